"""Contacts in the journey at a moment, and what a decision made then would know of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_rl.errors import LogError
from nurture_rl.features.bins import BinnedLog, bin_log
from nurture_rl.features.query import feature_matrix
from nurture_rl.logs.schema import UTC_TIME

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class CurrentContacts:
    """Who is in the journey, [n]."""

    table: pa.Table  # a decision each, made at the moment: contact_id, episode_id, step, ...
    log: BinnedLog  # the same on the journey's clock, with the events known by then
    features: NDArray[np.float32]  # [n, d]
    over: int  # contacts whose last episode is over


def known_by(events: pa.Table, as_of_us: int) -> pa.Table:
    """The events that had happened and were known at a moment."""
    moment = pa.scalar(as_of_us, pa.int64())
    known = [pc.less_equal(pc.cast(events[c], pa.int64()), moment) for c in _TIMES]
    return events.filter(pc.and_(*known))


_TIMES = ("occurred_at", "recorded_at")


def current_contacts(
    events: pa.Table,
    contacts: pa.Table,
    decided: pa.Table,
    journey: Journey,
    as_of_us: int,
    zone: str,
) -> CurrentContacts:
    """Who is in the journey at a moment, each as the next decision would see them.

    In it are contacts whose latest episode has a bin at that moment, and was ended by no terminal
    signal, no exit and nothing else that was known by then.

    Args:
        events: checked, known by then.
        contacts: checked.
        decided: decisions made by then, as the decision table has them.
        journey: of the log.
        as_of_us: the moment, UTC.
        zone: where contacts of unknown zone live.

    Raises:
        LogError: no decision was made by then.
    """
    if not len(decided):
        when = np.datetime64(as_of_us, "us").astype("datetime64[m]")
        raise LogError(f"no decision was made by {when}; give a later `at`")
    last = decided.take(_latest(decided))
    spec, clock = FeatureSpec.of(journey), journey.clock
    last = _at(last, np.asarray(last["step"]), as_of_us)
    log = bin_log(events, contacts, last, journey, zone)
    step = clock.bin_of(log.times.decided_local_us, log.times.anchor_us)
    running = (step >= 0) & (step < clock.horizon) & ~_ended(last, log, journey, as_of_us)
    now = _at(last, step, as_of_us).filter(pa.array(running))
    if not len(now):
        return CurrentContacts(now, log, np.zeros((0, len(spec.columns)), np.float32), len(last))
    log = bin_log(events, contacts, now, journey, zone)
    return CurrentContacts(now, log, feature_matrix(log, spec), len(last) - len(now))


def _latest(decided: pa.Table) -> NDArray[np.int64]:
    """Row of each contact's last decision."""
    who = np.asarray(decided["contact_id"].combine_chunks().dictionary_encode().indices)
    when = np.asarray(pc.cast(decided["decided_at"], pa.int64()))
    order = np.lexsort((np.asarray(decided["step"]), when, who))
    ends = np.append(who[order][1:] != who[order][:-1], True)
    return np.asarray(order[ends], np.int64)


def _at(last: pa.Table, step: NDArray[np.int64], as_of_us: int) -> pa.Table:
    moment = pa.array(np.full(len(last), as_of_us), pa.int64()).cast(UTC_TIME)
    kept = last.drop_columns([n for n in ("step", "decided_at") if n in last.column_names])
    return kept.append_column("step", pa.array(step.astype(np.int32))).append_column(
        "decided_at", moment
    )


def _ended(last: pa.Table, log: BinnedLog, journey: Journey, as_of_us: int) -> BoolArray:
    """Contacts whose last episode is known to be over, [n]."""
    anchor = np.full(len(log.contacts.ids), np.iinfo(np.int64).max)
    anchor[log.times.contact] = log.times.anchor_us
    ending = np.array([one.name in journey.terminals for one in journey.signals])
    events = log.events
    hit = ending[events.signal] & (events.local_us >= anchor[events.contact])
    over = np.zeros(len(anchor), bool)
    over[events.contact[hit]] = True
    exits = {a.id for a in ActionCatalog.of(journey).actions if a.routing == "exit"}
    left = np.array([action in exits for action in last["action"].to_pylist()], bool)
    cut = np.zeros(len(last), bool)
    if "ended_at" in last.column_names:
        ended = pc.fill_null(pc.cast(last["ended_at"], pa.int64()), np.iinfo(np.int64).max)
        cut = np.asarray(ended.to_numpy()) <= as_of_us
    return np.asarray(over[log.times.contact] | left | cut)
