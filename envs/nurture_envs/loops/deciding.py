"""What contacts are shown at the start of a bin: features, legal actions, and why not others."""

from __future__ import annotations

from typing import Any

import numpy as np

from nurture_envs.jit import jit
from nurture_envs.loops.guardrail_loops import LoopFacts, write_rules
from nurture_envs.loops.loop_records import (
    DAY_US,
    HOUR_US,
    Floats,
    LoopJourney,
    Scratch,
    Shown,
    State,
)
from nurture_envs.loops.past_features import features_of
from nurture_envs.worlds.draw_loops import draw

OPERATORS = (">=", "<=", ">", "<", "==", "!=")  # what conditions name by their position here

_EVER = np.float32(500_000.0)  # bins; the lag of what never happened lies beyond it

_jit = jit()
_inlined = jit(inline="always")  # compiled as part of those that call it, not once more by itself


@_jit
def _facts(
    state: State, clock: int, journey: LoopJourney, first: int, size: int, scratch: Scratch
) -> None:
    """What guardrails need to know of a tile, and its weekdays; see `Simulation.facts`."""
    facts, slots = scratch.facts, journey.offsets.shape[0]
    for i in range(size):
        at = first + i
        whole = np.floor(np.float64(state.bins[at]) / slots)
        slot = state.bins[at] - np.int64(whole) * slots
        now = np.float64(state.anchor[at]) + whole * journey.period + journey.offsets[slot]
        today = np.floor(now / DAY_US)
        facts.now_hours[i] = now / HOUR_US
        facts.midnight_hours[i] = today * 24.0
        facts.today[i] = np.int64(today)
        day = today + 3.0  # 1970-01-01 was a Thursday
        scratch.weekday[i] = np.float32(day - 7.0 * np.floor(day / 7.0))
    for i in range(size):
        at = first + i
        facts.consent[i] = state.consent[at]
        facts.available[i] = state.available[at]
        facts.zone_known[i] = state.zone[at]
        facts.paused[i] = state.bins[at] < state.paused[at]
        facts.opted_out[i], facts.hard_bounced[i] = 0, 0
        facts.conversation[i], facts.intent[i], facts.slowed[i] = 0, journey.intent, 0
    for row in range(journey.standing.shape[0]):
        kind, time, most, closed = journey.standing[row]
        last = state.past.last[time, first : first + size]
        reach = _EVER if most < 0 else np.float32(most)
        target = facts.intent
        if kind == 0:
            target = facts.opted_out
        elif kind == 1:
            target = facts.hard_bounced
        elif kind == 2:
            target = facts.conversation
        elif kind == 4:
            target = facts.slowed
        if closed >= 0:
            until = state.past.last[closed, first : first + size]
            for i in range(size):
                lag = np.float32(state.bins[first + i]) - last[i]
                target[i] |= np.uint8(lag <= reach and last[i] >= until[i])
            continue
        for i in range(size):
            lag = np.float32(state.bins[first + i]) - last[i]
            target[i] |= np.uint8(lag <= reach)


@_jit
def _activity(state: State, journey: LoopJourney, first: int, size: int, facts: LoopFacts) -> None:
    """How long a tile did nothing, and who may be probed."""
    last, (stream, share) = state.past.last[journey.activity, first : first + size], journey.probes
    for i in range(size):
        at = first + i
        facts.inactive[i] = np.float32(state.bins[at]) - last[i]
        lot = draw(state.keys[at], state.bins[at], stream, 0)
        facts.probed[i] = lot < np.float32(share)


@_jit
def _eligible(
    journey: LoopJourney, features: Floats, stride: int, size: int, scratch: Scratch
) -> None:
    """Which limited offers a tile may have by its features; see `guardrails.eligible`."""
    bits = scratch.facts.eligible
    for i in range(size):
        bits[i] = (1 << journey.offers) - 1
    for row in range(journey.conditions.shape[0]):
        offer, column, operator = journey.conditions[row]
        threshold, gone = journey.thresholds[row], ~(np.int64(1) << offer)
        values = features[column * stride : column * stride + size]
        for i in range(size):
            if not _holds(values[i], operator, threshold):
                bits[i] &= gone


@_jit
def _holds(value: Any, operator: int, threshold: Any) -> bool:
    if operator == 0:
        return bool(value >= threshold)
    if operator == 1:
        return bool(value <= threshold)
    if operator == 2:
        return bool(value > threshold)
    if operator == 3:
        return bool(value < threshold)
    return bool(value == threshold) if operator == 4 else bool(value != threshold)


@_inlined
def decide(
    state: State, clock: int, journey: LoopJourney, first: int, size: int, scratch: Scratch,
    shown: Shown, column: int,
) -> None:  # fmt: skip
    """Write what a tile is shown, from `column` of `shown` on."""
    _facts(state, clock, journey, first, size, scratch)
    now, facts = scratch.spare[0, :size], scratch.facts
    if journey.activity >= 0:
        _activity(state, journey, first, size, facts)
    for i in range(size):
        now[i] = np.float32(state.bins[first + i])
    features_of(
        state.past, clock, journey.sets, journey.plan, state.attributes, now,
        scratch.weekday[:size], first, shown.features[column:], shown.stride,
    )  # fmt: skip
    if journey.offers > 0:
        _eligible(journey, shown.features[column:], shown.stride, size, scratch)
    tile = LoopFacts(
        facts.consent[:size], facts.opted_out[:size], facts.hard_bounced[:size],
        facts.conversation[:size], facts.intent[:size], facts.paused[:size],
        facts.available[:size], facts.zone_known[:size], facts.now_hours[:size],
        facts.midnight_hours[:size], facts.today[:size], facts.slowed[:size],
        facts.eligible[:size], facts.inactive[:size], facts.probed[:size],
    )  # fmt: skip
    sends = state.sends.reshape(-1)[first:]
    latest = (sends, state.sends.shape[1], state.sends.shape[0])
    mask, reasons = (shown.mask[column:], shown.stride), (shown.reasons[column:], shown.stride)
    write_rules(tile, latest, journey.rules, mask, reasons)
