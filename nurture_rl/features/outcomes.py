"""What followed each decision: the channel sums of its bin, its reward, and whether all is in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import utc_microseconds
from nurture_envs.journey import Journey
from nurture_envs.signals import channel_rows
from nurture_rl.errors import ActionError
from nurture_rl.features.bins import (
    BinnedLog,
    Contacts,
    DecisionTimes,
    IntArray,
    SignalEvents,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What followed each of n decisions."""

    channels: FloatArray  # sums over the decision's bin, late records included, [n, c]
    reward: FloatArray  # the journey's unit, action price taken off, [n]
    matured: BoolArray  # everything the reward counts is in the log by now, [n]
    terminal: BoolArray  # the episode ended in this bin, [n]
    available: BoolArray  # the contact could be reached, [n]


def outcomes_of(decisions: pa.Table, log: BinnedLog, journey: Journey, as_of_us: int) -> Outcomes:
    """Join each decision with the events of its own bin.

    Where several decisions of one episode share a bin, the last of them gets the bin's events
    (and its end), the earlier ones get none; each pays for its own action. An event of a contact
    with overlapping episodes counts in each.

    Args:
        decisions: `action` and `mask` as in the decisions table, [n].
        log: the same decisions on the journey's clock, with the events of the whole log.
        journey: channels, reward and terminals.
        as_of_us: UTC instant up to which the log is complete, microseconds.

    Raises:
        ActionError: a logged action or mask does not fit the journey's catalogue.
    """
    channels = _bin_sums(log.times, log.events, journey)
    routing = _routings(decisions, journey)
    reward = journey.reward
    weights = np.zeros(len(journey.channels))
    for name, weight in reward.weights:
        weights[journey.channel_index(name)] = weight
    price = reward.send_cost * (routing == "send") + reward.escalate_cost * (routing == "escalate")
    ending = [journey.channel_index(name) for name in journey.terminals]
    return Outcomes(
        channels=channels,
        reward=channels @ weights - price,
        matured=_due_us(log.times, log.contacts, journey) <= as_of_us,
        terminal=(channels[:, ending] > 0).any(axis=1) | (routing == "exit"),
        available=_available(decisions, journey),
    )


def _bin_sums(times: DecisionTimes, events: SignalEvents, journey: Journey) -> FloatArray:
    """Channel sums of each decision's bin, [n, c]."""
    sums = np.zeros((len(times.step), len(journey.channels)))
    if not len(times.step) or not len(events.signal):
        return sums
    event, episode, anchor_us = _in_episodes(times, events)
    bins = journey.clock.bin_of(events.local_us[event], anchor_us)
    decision = _last_decision(times, episode, bins)
    event, decision = event[decision >= 0], decision[decision >= 0]
    rows = channel_rows(events.signal[event], events.value[event], journey)
    np.add.at(sums, (decision[rows.event], rows.channel), rows.amount)
    return sums


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


def _last_decision(times: DecisionTimes, episode: IntArray, bins: IntArray) -> IntArray:
    """The last decision of each (episode, bin), [k]; -1 where there is none."""
    low = int(times.step.min())
    span = int(times.step.max()) - low + 1
    keys = times.episode * span + (times.step - low)
    order = np.lexsort((times.decided_us, keys))
    wanted = episode * span + (bins - low)
    place = np.searchsorted(keys[order], wanted, side="right") - 1
    found = order[np.maximum(place, 0)]
    hit = (place >= 0) & (keys[found] == wanted) & (bins >= low) & (bins < low + span)
    return np.asarray(np.where(hit, found, -1), np.int64)


def _due_us(times: DecisionTimes, contacts: Contacts, journey: Journey) -> IntArray:
    """UTC instant by which the log knows all that a decision's reward counts, [n]."""
    delays = dict(zip(journey.channels, journey.delays, strict=True))
    wait = max((delays[name] for name, _ in journey.reward.weights), default=0)
    local = times.anchor_us + journey.clock.start_us(times.step + 1 + wait)
    zones = contacts.zones.astype(str)[times.contact] if len(local) else np.zeros(0, "U1")
    return utc_microseconds(local, zones)


def _routings(decisions: pa.Table, journey: Journey) -> NDArray[np.str_]:
    routing = {action.id: action.routing for action in ActionCatalog.of(journey).actions}
    taken = decisions["action"].to_pylist()
    unknown = sorted(set(taken) - set(routing))
    if unknown:
        row = taken.index(unknown[0])
        raise ActionError(
            f"expected actions of journey {journey.name!r}, got {unknown[0]!r} in decision row "
            f"{row} ({len(unknown)} unknown ids); load the journey version that made this log"
        )
    return np.array([routing[action] for action in taken], dtype="U8")


def _available(decisions: pa.Table, journey: Journey) -> BoolArray:
    """Whether a send was open to the decision; journeys without availability always reach."""
    n = decisions.num_rows
    if not journey.guardrails.availability:
        return np.ones(n, bool)
    sends = np.array([a.routing == "send" for a in ActionCatalog.of(journey).actions])
    masks: list[list[bool]] = decisions["mask"].to_pylist()
    wrong = next((row for row, mask in enumerate(masks) if len(mask) not in (0, len(sends))), None)
    if wrong is not None:
        raise ActionError(
            f"expected a mask of {len(sends)} actions, got {len(masks[wrong])} in decision row "
            f"{wrong}; load the journey version that made this log"
        )
    return np.array([not mask or bool(np.any(np.array(mask) & sends)) for mask in masks], bool)
