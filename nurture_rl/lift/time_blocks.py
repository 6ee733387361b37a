"""What happened in the blocks of an experiment that deals time, day by day."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_envs.signals import channel_rows
from nurture_envs.switchback import Switchback, block_arm
from nurture_rl.errors import LogError
from nurture_rl.features.bins import DecidedContacts, index_contacts, signal_events, times_of
from nurture_rl.features.table import clusters_of
from nurture_rl.lift.contrast import FloatArray
from nurture_rl.lift.enrolled import (
    LogTables,
    arms_in,
    longest_delay_us,
    of_experiment,
)
from nurture_rl.lift.velocity import IntArray
from nurture_rl.lift.written_plan import Plan

NOT_OVER = "not over yet"


@dataclass(frozen=True, slots=True, eq=False)
class BlockCounts:
    """What happened in the planned blocks, by day of each; T days in all, F key figures."""

    amounts: FloatArray  # events of contacts at risk on the day they happened, [T, F]
    at_risk: FloatArray  # contact-days, of 24 hours, [T]
    arms: tuple[str, ...]  # of the blocks, as decided; empty where there is not one
    faults: tuple[str, ...]  # why a block is not compared, and NOT_OVER; empty: it may be
    contacts: int  # at risk in any of the blocks
    ends_us: int  # when the last planned block is over and all of it is known, UTC


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Times at risk, which do not overlap within a contact; sorted by contact and time, [s]."""

    contact: IntArray  # code
    since_us: IntArray  # UTC
    until_us: IntArray


def block_counts(log: LogTables, plan: Plan, journey: Journey) -> BlockCounts:
    """Count contact-days and events of the planned blocks.

    A contact is at risk from the first decision of each of its episodes for the plan's window,
    whatever was decided, and also after an exit or an opt-out: who is at risk when is no work of
    the arms. An event belongs to the day on which it happened, not to the decision before it: it
    has many before it, of several arms, and what salespeople do that day is shared by all. So each
    event counts once, and the washout is for those that come of the block before.

    Args:
        log: the checked log.
        plan: has a switchback.
        journey: of the plan.

    Raises:
        LogError: nobody was decided for in the blocks.
    """
    blocks = _blocks_of(plan)
    edges = np.array(
        [blocks.day_begins_us(day) for day in range(blocks.blocks * blocks.block_days + 1)]
    )
    rows = log.decisions.filter(pc.equal(log.decisions["journey"], journey.name))
    moments = np.asarray(pc.cast(rows["decided_at"], pa.int64()), np.int64)
    if not ((moments >= edges[0]) & (moments < edges[-1])).any():
        raise LogError(
            f"expected decisions of the journey in the {blocks.blocks} blocks since "
            f"{blocks.first_day} in the log, got none; give the log of the experiment"
        )
    figures = (journey.north_star, *journey.supporting)
    late = longest_delay_us(journey, {name for kpi in figures for name in kpi.of})
    arms, faults = _run(rows, moments, plan, edges[:: blocks.block_days], log.as_of_us - late)
    indexed = index_contacts(log.contacts, rows, log.default_zone)
    known = replace(indexed, zones=np.full(len(indexed.ids), "UTC", object))
    spans = _spans(rows, known, plan.window_days)
    inside = (spans.since_us < edges[-1]) & (spans.until_us > edges[0])
    return BlockCounts(
        amounts=_amounts(log, known, spans, edges, plan, journey),
        at_risk=_contact_days(spans, edges),
        arms=arms,
        faults=faults,
        contacts=np.unique(spans.contact[inside]).size,
        ends_us=int(edges[-1]) + late,
    )


def _blocks_of(plan: Plan) -> Switchback:
    assert plan.switchback is not None, "asked for where time is dealt"
    return plan.switchback


def _run(
    decisions: pa.Table, moments: IntArray, plan: Plan, edges: IntArray, known_us: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arm of each block by its decisions, and why a block cannot be compared.

    What no later record mends is told before the block is over.

    Args:
        decisions: of the journey, [n].
        moments: when they were made, UTC, [n].
        plan: of the experiment.
        edges: when the blocks begin and the last one ends, UTC, [blocks + 1].
        known_us: all that happened until then is known, UTC.
    """
    named, dealt = arms_in(decisions, plan), of_experiment(decisions, plan)
    of = np.searchsorted(edges, moments, side="right") - 1
    began_us = round(plan.starts.timestamp() * 1e6)
    arms, faults = [], []
    for block in range(edges.size - 1):
        mine = of == block
        found = sorted(set(named[mine].tolist()))
        meant = None if plan.salt is None else block_arm(plan.salt, plan.shares, block)
        fault = ""
        if edges[block] < began_us:
            fault = "began before the experiment did"
        elif not dealt[mine].all():
            fault = "has decisions that the experiment did not deal"
        elif len(found) > 1 or {*found} - ({*plan.shares} if meant is None else {meant}):
            fault = f"has decisions of {', '.join(found)}, and its arm is {meant or 'one'}"
        elif edges[block + 1] > known_us:
            fault = NOT_OVER
        elif not found:
            fault = "nobody was decided for"
        arms.append(meant or (found[0] if len(found) == 1 else ""))
        faults.append(fault)
    return tuple(arms), tuple(faults)


def _spans(decisions: pa.Table, known: DecidedContacts, window_days: int) -> _Spans:
    """From each episode's first decision for the window, or until the next one's."""
    times = times_of(decisions, known)
    order = np.lexsort((times.decided_us, times.episode))
    first = order[np.unique(times.episode[order], return_index=True)[1]]
    first = first[np.lexsort((times.decided_us[first], times.contact[first]))]
    contact, since = times.contact[first], times.decided_us[first]
    until = since + window_days * DAY_US
    again = contact[1:] == contact[:-1]
    until[:-1][again] = np.minimum(until[:-1], since[1:])[again]
    return _Spans(contact, since, until)


def _contact_days(spans: _Spans, edges: IntArray) -> FloatArray:
    """Contact-days at risk on each day, [T]."""
    found = np.empty(edges.size - 1)
    for day, (begin, end) in enumerate(pairwise(edges.tolist())):
        overlap = np.minimum(spans.until_us, end) - np.maximum(spans.since_us, begin)
        found[day] = np.maximum(overlap, 0).sum() / DAY_US
    return found


def _amounts(
    log: LogTables,
    known: DecidedContacts,
    spans: _Spans,
    edges: IntArray,
    plan: Plan,
    journey: Journey,
) -> FloatArray:
    """Events of each key figure on the day that they happened, of contacts at risk, [T, F]."""
    seen, _, _ = signal_events(log.events, known, journey)
    told = (seen.known_us <= log.as_of_us) & _is_at_risk(spans, seen.contact, seen.local_us)
    kept = np.flatnonzero(told & (seen.local_us >= edges[0]) & (seen.local_us < edges[-1]))
    kept = kept[np.argsort(seen.local_us[kept], kind="stable")]
    day = np.searchsorted(edges, seen.local_us[kept], side="right") - 1
    clusters = clusters_of(pa.chunked_array([known.ids]), log.contacts)
    account = np.asarray(clusters.dictionary_encode().indices, np.int64)[seen.contact[kept]]
    rows = channel_rows(seen.signal[kept], seen.value[kept], journey)
    figures = (journey.north_star, *journey.supporting)
    found = np.zeros((edges.size - 1, len(figures)))
    for place, kpi in enumerate(figures):
        channels = [journey.channel_index(name) for name in kpi.of]
        mine = np.flatnonzero(np.isin(rows.channel, channels))
        events, amount = rows.event[mine], rows.amount[mine]
        if kpi.name in plan.once:
            first = np.unique(account[np.sort(events[amount > 0.0])], return_index=True)[1]
            events, amount = np.sort(events[amount > 0.0])[first], np.ones(first.size)
        found[:, place] = np.bincount(day[events], weights=amount, minlength=edges.size - 1)
    return found


def _is_at_risk(spans: _Spans, contact: IntArray, at_us: IntArray) -> NDArray[np.bool_]:
    """Whether each event fell into a time at risk of its contact, [m]."""
    moments = np.unique(spans.since_us)
    rank = np.searchsorted(moments, at_us, side="right") - 1
    begun = spans.contact * moments.size + np.searchsorted(moments, spans.since_us)
    asked = contact * moments.size + rank
    at = np.searchsorted(begun, asked, side="right") - 1
    near = np.maximum(at, 0)
    found = (rank >= 0) & (at >= 0) & (spans.contact[near] == contact)
    return np.asarray(found & (at_us < spans.until_us[near]))
