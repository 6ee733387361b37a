"""The state features are computed from, and the one pure function that computes them.

The server computes them so; a simulation carries sums along instead (`running`), bit for bit alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from nurture_envs.clock import weekday_of
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.journey import Feature

Array = Any  # numpy or torch

NEVER = -1_000_000  # bin of an event that has not happened


@dataclass(frozen=True, slots=True)
class FeatureState:
    """What is known of each contact's past at the start of a bin."""

    ring: Array  # [n, W, c] f32: channel sums of the bin l + 1 before the current one, at [:, l]
    last: Array  # [n, c] i32: last bin in which the channel's signal is known to have happened


@dataclass(frozen=True, slots=True)
class History:
    """What is known of each contact from before its first bin, component-major."""

    ring: Array  # [w, c, n] f32: channel sums of bin -(l + 1), at [l]; nothing is known before
    last: Array  # [c, n] i32: last bin in which the signal happened, negative; NEVER if it did not

    @classmethod
    def of_bin(cls, amounts: Array) -> History:
        """A past of which only the bin before entry is known; `amounts` [c, n]."""
        xp = array_namespace(amounts)
        happened = amounts != 0
        last = xp.where(happened, xp.asarray(-1, device=device(amounts)), NEVER)
        return cls(amounts[None], xp.astype(last, xp.int32))


def evaluate(
    spec: FeatureSpec, state: FeatureState, bins: Array, anchor_us: Array, attributes: Array
) -> Array:
    """The feature vector of each contact at the start of a bin.

    Args:
        spec: the declared features.
        state: the known past.
        bins: the bin about to be decided, [n].
        anchor_us: the episode's anchor, local wall time, [n], microseconds.
        attributes: encoded attribute columns, [n, attribute columns].

    Returns:
        Features, [n, d], float32, in the order of `spec.columns`.
    """
    xp = array_namespace(state.ring)
    sums = xp.cumulative_sum(state.ring, axis=1)
    lags = xp.astype(bins, xp.int32)[:, None] - state.last  # bins since, [n, c]
    columns: list[Array] = []
    used = 0
    for feature in spec.features:
        if feature.kind == "attribute":
            width = len(spec.names(feature))
            columns += [attributes[:, used + i] for i in range(width)]
            used += width
        elif feature.kind == "calendar":
            columns += _calendar(spec, feature, bins, anchor_us, xp)
        else:
            columns += _from_past(spec, feature, state, sums, lags, xp)
    return xp.stack([xp.astype(column, xp.float32) for column in columns], axis=1)


def _calendar(
    spec: FeatureSpec, feature: Feature, bins: Array, anchor_us: Array, xp: Any
) -> list[Array]:
    if feature.part == "bin":
        return [bins]
    if feature.part == "slot":
        slots = len(spec.clock.slots_hours)
        return [bins % slots == slot for slot in range(slots)]
    weekday = weekday_of(anchor_us + spec.clock.start_us(xp.astype(bins, xp.int64)))
    return [weekday == day for day in range(7)]


def _from_past(
    spec: FeatureSpec, feature: Feature, state: FeatureState, sums: Array, lags: Array, xp: Any
) -> list[Array]:
    if feature.kind == "stage":
        return _stage(spec, feature, lags, xp)
    of = spec.channel_indices(feature.of)
    if feature.kind == "count":
        return [_total(sums, feature.window, of)]
    if feature.kind == "memory":
        totals = [_total(sums, window, of) for window in range(1, feature.window + 1)]
        return [totals[0], *(more - less for less, more in pairwise(totals))]
    if feature.kind == "ratio":
        top = _total(sums, feature.window, of)
        below = _total(sums, feature.window, spec.channel_indices(feature.over))
        some = below != 0
        return [
            xp.where(some, top / xp.where(some, below, xp.ones_like(below)), xp.zeros_like(top))
        ]
    since = _least(lags, of, xp)
    if feature.kind == "recency":
        return [xp.where(since < feature.window, since, xp.full_like(since, feature.window))]
    if feature.kind == "ever":
        return [since < -NEVER // 2]
    # streak: events in the bins after the last one that ends it
    ended = _least(lags, spec.channel_indices(feature.until), xp)
    lag = xp.arange(1, feature.window + 1, dtype=ended.dtype, device=device(ended))
    open_bins = xp.astype(lag[None, :] < ended[:, None], xp.float32)
    inside = state.ring[:, : feature.window, of[0]]
    for channel in of[1:]:
        inside = inside + state.ring[:, : feature.window, channel]
    return [xp.sum(inside * open_bins, axis=1)]


def _total(sums: Array, window: int, channels: list[int]) -> Array:
    total = sums[:, window - 1, channels[0]]
    for channel in channels[1:]:
        total = total + sums[:, window - 1, channel]
    return total


def _least(lags: Array, channels: list[int], xp: Any) -> Array:
    least = lags[:, channels[0]]
    for channel in channels[1:]:
        least = xp.where(lags[:, channel] < least, lags[:, channel], least)
    return least


def _stage(spec: FeatureSpec, feature: Feature, lags: Array, xp: Any) -> list[Array]:
    """One-hot of the stage entered last; the later stage of the order wins a tie."""
    entered = spec.channel_indices([signal for _, signal in feature.stages])
    best = xp.full_like(lags[:, 0], -NEVER // 2)
    current = xp.full_like(lags[:, 0], -1)
    for position, channel in enumerate(entered):
        lag = lags[:, channel]
        newer = lag <= best
        best = xp.where(newer, lag, best)
        current = xp.where(newer, xp.full_like(current, position), current)
    return [current == position for position in range(len(entered))]


def state_from_events(
    spec: FeatureSpec,
    contact: NDArray[np.int64],
    lag: NDArray[np.int64],
    channel: NDArray[np.int64],
    amount: NDArray[np.float64],
    bins: NDArray[np.int64],
) -> FeatureState:
    """The known past of n contacts from their events; the server's way into `evaluate`.

    Args:
        spec: the declared features.
        contact: row of the contact of each event, [m].
        lag: bins from the event to the contact's current bin, [m]; events with lag < 1 are left
            out, because features read completed bins.
        channel: channel of each event, [m]; a valued event comes twice, once for its value.
        amount: 1 for counts, the value for value channels, [m].
        bins: current bin of each contact, [n].
    """
    done = lag >= 1
    contact, lag, channel, amount = contact[done], lag[done], channel[done], amount[done]
    n, c = len(bins), len(spec.channels)
    last = np.full((n, c), NEVER, np.int32)
    np.maximum.at(last, (contact, channel), (bins[contact] - lag).astype(np.int32))
    near = lag <= spec.window
    ring = np.zeros((n, spec.window, c), np.float32)
    np.add.at(ring, (contact[near], lag[near] - 1, channel[near]), amount[near].astype(np.float32))
    return FeatureState(ring, last)
