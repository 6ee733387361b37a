"""What followed each decision: the channel sums of its bin, its reward, and whether all is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import local_microseconds, utc_microseconds
from nurture_envs.journey import Journey
from nurture_envs.signals import channel_rows
from nurture_rl.errors import ActionError
from nurture_rl.features.bins import (
    BinnedLog,
    DecidedContacts,
    DecisionTimes,
    IntArray,
    SignalEvents,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What followed each of n decisions."""

    channels: FloatArray  # sums up to the next decision, late records included, [n, c]
    reward: FloatArray  # the journey's unit, action price taken off, [n]
    matured: BoolArray  # all events of the decision's bin are in the log by now, [n]
    complete: BoolArray  # all events of the episode's whole horizon are in the log, [n]
    terminal: BoolArray  # the episode ended before the next decision, [n]
    available: BoolArray  # the contact could be reached, [n]
    age: IntArray  # whole bins passed since the decision's, [n]; -1: it is still open
    event_delay: IntArray  # bins until the first event of a channel was known; -1: none, [n, c]


def outcomes_of(decisions: pa.Table, log: BinnedLog, journey: Journey, as_of_us: int) -> Outcomes:
    """Join each decision with what followed it.

    An event belongs to the last decision of the episode at or before it, so no event is lost where
    decisions are made inside a bin or bins are skipped. An event before the episode's first
    decision, or after the bin in which it ended (a terminal signal, an exit, the horizon), belongs
    to no decision. Neither does one after the moment at which something else ended the episode
    (`ended_at`): that cuts the episode short, and is no terminal. Where a contact has overlapping
    episodes, its event counts in each.

    `complete` does not depend on how an episode went. If an episode that ended early counted as
    complete sooner, a log that still runs would keep successes and leave out the rest. It does not
    depend on what was carried out either: a send is withdrawn because a contact opted out, and
    without those episodes a log would show too few opt-outs. A decision that was not carried out
    costs nothing.

    Args:
        decisions: `action` and `mask` as in the decisions table, [n].
        log: the same decisions on the journey's clock, with the events of the whole log.
        journey: channels, reward and terminals.
        as_of_us: UTC instant up to which the log is complete, microseconds.

    Raises:
        ActionError: a logged action or mask does not fit the journey's catalogue.
    """
    routing = _routings(decisions, journey)
    channels, event_delay = _sums(log, journey, routing == "exit", _ended_us(decisions))
    reward = journey.reward
    weights = np.zeros(len(journey.channels))
    for name, weight in reward.weights:
        weights[journey.channel_index(name)] = weight
    price = _prices(decisions, journey) * ~deferred_of(decisions)
    ending = [journey.channel_index(name) for name in journey.terminals]
    return Outcomes(
        channels=channels,
        reward=channels @ weights - price,
        matured=_due_us(log.times, log.contacts, journey, log.times.step + 1) <= as_of_us,
        complete=_due_us(
            log.times, log.contacts, journey, np.full_like(log.times.step, journey.clock.horizon)
        )
        <= as_of_us,
        terminal=(channels[:, ending] > 0).any(axis=1) | (routing == "exit"),
        available=_available(decisions, journey),
        age=_age(log.times, log.contacts, journey, as_of_us),
        event_delay=event_delay,
    )


def deferred_of(decisions: pa.Table) -> BoolArray:
    """Decisions that were chosen and not carried out, [n]; false where the table does not say."""
    if "deferred" not in decisions.column_names:
        return np.zeros(decisions.num_rows, bool)
    return np.asarray(decisions["deferred"].to_pylist(), bool)


def _ended_us(decisions: pa.Table) -> IntArray:
    """UTC microseconds at which the episode of each decision was cut short, [n]."""
    if "ended_at" not in decisions.column_names:
        return np.full(decisions.num_rows, _NEVER)
    ended = pc.fill_null(decisions["ended_at"].cast(pa.int64()), _NEVER)
    return np.asarray(ended.to_numpy(), np.int64)


def _sums(
    log: BinnedLog, journey: Journey, exits: BoolArray, ended_us: IntArray
) -> tuple[FloatArray, IntArray]:
    """Channel sums of what belongs to each decision and bins until it was known, both [n, c]."""
    times, events = log.times, log.events
    sums = np.zeros((len(times.step), len(journey.channels)))
    delays = np.full(sums.shape, _NEVER)
    if len(times.step) and len(events.signal):
        event, episode, anchor_us = _in_episodes(times, events)
        in_time = events.local_us[event] <= _cut_us(log, ended_us)[episode]
        event, episode, anchor_us = event[in_time], episode[in_time], anchor_us[in_time]
        bins = journey.clock.bin_of(events.local_us[event], anchor_us)
        ending = np.array([signal.name in journey.terminals for signal in journey.signals])
        last = _last_bin(times, episode, bins, ending[events.signal[event]], exits, journey)
        decision = _latest_decision(times, episode, events.local_us[event])
        kept = (decision >= 0) & (bins >= 0) & (bins <= last[episode])
        event, decision = event[kept], decision[kept]
        late = _bins_late(log, event, bins[kept], anchor_us[kept], journey)
        rows = channel_rows(events.signal[event], events.value[event], journey)
        np.add.at(sums, (decision[rows.event], rows.channel), rows.amount)
        np.minimum.at(delays, (decision[rows.event], rows.channel), late[rows.event])
    return sums, np.where(delays == _NEVER, -1, delays)


def _cut_us(log: BinnedLog, ended_us: IntArray) -> IntArray:
    """Local wall time at which each episode was cut short, by episode code."""
    times = log.times
    cut = np.full(int(times.episode.max()) + 1, _NEVER)
    some = np.flatnonzero(ended_us != _NEVER)
    zones = log.contacts.zones.astype(str)[times.contact[some]]
    np.minimum.at(cut, times.episode[some], local_microseconds(ended_us[some], zones))
    return cut


def _bins_late(
    log: BinnedLog, event: IntArray, bins: IntArray, anchor_us: IntArray, journey: Journey
) -> IntArray:
    """Bins between the end of each event's bin and the first bin that could know of it, [k]."""
    zones = log.contacts.zones.astype(str)[log.events.contact[event]]
    known_us = local_microseconds(log.events.known_us[event], zones)
    # What is recorded as a bin begins is known to its decision.
    return np.asarray(np.maximum(journey.clock.bin_of(known_us - 1, anchor_us) - bins, 0))


def _age(
    times: DecisionTimes, contacts: DecidedContacts, journey: Journey, as_of_us: int
) -> IntArray:
    """Whole bins between the end of each decision's bin and the read-out, [n]."""
    zones = contacts.zones.astype(str)[times.contact] if len(times.step) else np.zeros(0, "U1")
    # A log without events counts as read in 1970, before all decisions.
    now_us = local_microseconds(np.full(len(times.step), max(as_of_us, 0)), zones)
    now = journey.clock.bin_of(now_us, times.anchor_us)
    return np.asarray(np.maximum(now - times.step - 1, -1))


def _last_bin(
    times: DecisionTimes,
    episode: IntArray,
    bins: IntArray,
    ending: BoolArray,
    exits: BoolArray,
    journey: Journey,
) -> IntArray:
    """The bin in which each episode ended, by episode code."""
    last = np.full(int(times.episode.max()) + 1, journey.clock.horizon - 1, np.int64)
    ends = ending & (bins >= 0)
    np.minimum.at(last, episode[ends], bins[ends])
    np.minimum.at(last, times.episode[exits], times.step[exits])
    return last


def _in_episodes(times: DecisionTimes, events: SignalEvents) -> tuple[IntArray, IntArray, IntArray]:
    """Every event once per episode of its contact: event, episode code, anchor; all [k]."""
    _, first = np.unique(times.episode, return_index=True)
    first = first[np.argsort(times.contact[first], kind="stable")]
    owner = times.contact[first]
    begin = np.searchsorted(owner, events.contact, side="left")
    count = np.searchsorted(owner, events.contact, side="right") - begin
    event = np.repeat(np.arange(len(count)), count)
    nth = np.arange(len(event)) - np.repeat(np.cumsum(count) - count, count)
    row = first[np.repeat(begin, count) + nth]
    return event, times.episode[row], times.anchor_us[row]


def _latest_decision(times: DecisionTimes, episode: IntArray, local_us: IntArray) -> IntArray:
    """The last decision of the episode at or before a local time, [k]; -1 where there is none."""
    order = np.lexsort((times.decided_local_us, times.episode))
    moments = np.unique(np.concatenate([times.decided_local_us, local_us]))
    rank = len(moments) + 1  # ranks of moments keep the joint key inside 64 bits
    keys = times.episode * rank + np.searchsorted(moments, times.decided_local_us)
    wanted = episode * rank + np.searchsorted(moments, local_us)
    place = np.searchsorted(keys[order], wanted, side="right") - 1
    latest = order[np.maximum(place, 0)]
    hit = (place >= 0) & (times.episode[latest] == episode)
    return np.asarray(np.where(hit, latest, -1), np.int64)


def _due_us(
    times: DecisionTimes, contacts: DecidedContacts, journey: Journey, bins: IntArray
) -> IntArray:
    """UTC instant by which the log knows all that happened before `bins` [n] of each episode."""
    local = times.anchor_us + journey.clock.start_us(bins + max(journey.delays))
    zones = contacts.zones.astype(str)[times.contact] if len(local) else np.zeros(0, "U1")
    return utc_microseconds(local, zones)


def _routings(decisions: pa.Table, journey: Journey) -> NDArray[np.str_]:
    routing = {action.id: action.routing for action in ActionCatalog.of(journey).actions}
    taken = decisions["action"].to_pylist()
    unknown = sorted(set(taken) - set(routing))
    if unknown:
        which = decisions["decision_id"][taken.index(unknown[0])].as_py()
        raise ActionError(
            f"expected actions of journey {journey.name!r}, got {unknown[0]!r} in decision "
            f"{which!r} ({len(unknown)} unknown ids); load the journey version that made this log"
        )
    return np.array([routing[action] for action in taken], dtype="U8")


def _prices(decisions: pa.Table, journey: Journey) -> FloatArray:
    """What the action of each decision costs, [n]."""
    catalog = ActionCatalog.of(journey)
    prices = dict(zip(catalog.ids, catalog.prices(journey.reward).tolist(), strict=True))
    return np.array([prices[action] for action in decisions["action"].to_pylist()], np.float64)


def _available(decisions: pa.Table, journey: Journey) -> BoolArray:
    """Whether a send was open to the decision; journeys without availability always reach."""
    n = decisions.num_rows
    if not journey.guardrails.availability:
        return np.ones(n, bool)
    sends = np.array([a.routing == "send" for a in ActionCatalog.of(journey).actions])
    masks: list[list[bool]] = decisions["mask"].to_pylist()
    wrong = next((row for row, mask in enumerate(masks) if len(mask) not in (0, len(sends))), None)
    if wrong is not None:
        which = decisions["decision_id"][wrong].as_py()
        raise ActionError(
            f"expected a mask of {len(sends)} actions, got {len(masks[wrong])} in decision "
            f"{which!r}; load the journey version that made this log"
        )
    return np.array([not mask or bool(np.any(np.array(mask) & sends)) for mask in masks], bool)
