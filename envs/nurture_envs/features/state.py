"""The state features are computed from, and the one pure function that computes them.

The server computes them so; a simulation carries sums along instead (`running`), bit for bit alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from nurture_envs.clock import weekday_of
from nurture_envs.features.spec import FeatureSpec, decay_weights, reach_of
from nurture_envs.journey import Feature
from nurture_envs.once import once

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
    xp, here = array_namespace(state.ring), device(state.ring)
    out = xp.empty((state.ring.shape[0], len(spec.columns)), dtype=xp.float32, device=here)
    sums = _sums_of(spec)
    totals = _totals(sums, state.ring, xp)
    counts, counted = (xp.asarray(places, device=here) for places in sums.counts)
    out[:, counts] = xp.take(totals, counted, axis=1)
    lags = xp.astype(bins, xp.int32)[:, None] - state.last  # bins since, [n, c]
    first = used = 0
    for feature, names in zip(spec.features, spec.names_of_each, strict=True):
        own = slice(first, first + len(names))
        if feature.kind == "attribute":
            out[:, own] = attributes[:, used : used + len(names)]
            used += len(names)
        elif feature.kind == "calendar":
            out[:, own] = _calendar(spec, feature, bins, anchor_us, xp)
        elif feature.kind == "memory":
            own_sums = [totals[:, place] for place in sums.of[feature.name]]
            out[:, first] = own_sums[0]
            for later, (less, more) in enumerate(pairwise(own_sums), first + 1):
                out[:, later] = more - less
        elif feature.kind == "stage":
            for place, column in enumerate(_stage(spec, feature, lags, xp), first):
                out[:, place] = column
        elif feature.kind == "affinity":
            of = [totals[:, place] for place in sums.of.get(feature.name, ())]
            some = of or _slot_sums(spec, feature, state, bins, xp)
            for place, column in enumerate(_shares(feature, some), first):
                out[:, place] = column
        elif feature.kind != "count":
            of = [totals[:, place] for place in sums.of.get(feature.name, ())]
            out[:, first] = _from_past(spec, feature, of, state, lags, xp)
        first += len(names)
    return out


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of channels over the last bins that features ask for, t of them.

    Those of more channels come first: a sum begins with its first channel, and the first of the
    sums take the next one, and so on.
    """

    parts: tuple[NDArray[np.int64], ...]  # places in [W * c], of the first channels, then the next
    of: dict[str, tuple[int, ...]]  # which sums each feature reads
    counts: tuple[NDArray[np.int64], NDArray[np.int64]]  # columns that are a sum, and which


@once
def _sums_of(spec: FeatureSpec) -> _Sums:
    asked: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
    for feature in spec.features:
        if feature.kind == "count":
            asked[feature.name] = [(feature.window, feature.of)]
        elif feature.kind == "memory":
            asked[feature.name] = [(bins, feature.of) for bins in range(1, feature.window + 1)]
        elif feature.kind == "ratio":
            asked[feature.name] = [(feature.window, feature.of), (feature.window, feature.over)]
        elif feature.kind == "trend":
            asked[feature.name] = [
                (bins, feature.of) for bins in (feature.window, reach_of(feature))
            ]
        elif feature.groups:
            asked[feature.name] = [(feature.window, channels) for _, channels in feature.groups]
    distinct = dict.fromkeys(one for some in asked.values() for one in some)
    order = sorted(distinct, key=lambda one: -len(one[1]))
    most, c = len(order[0][1]) if order else 0, len(spec.channels)
    parts = [
        [(bins - 1) * c + spec.channels.index(of[k]) for bins, of in order if len(of) > k]
        for k in range(most)
    ]
    of = {name: tuple(order.index(one) for one in some) for name, some in asked.items()}
    names = [feature.name for feature in spec.features if feature.kind == "count"]
    return _Sums(
        tuple(np.array(part, np.int64) for part in parts),
        of,
        (
            np.array([spec.column(name) for name in names], np.int64),
            np.array([of[name][0] for name in names], np.int64),
        ),
    )


def _totals(sums: _Sums, ring: Array, xp: Any) -> Array:
    """The sums of each contact, [n, t] f32, each added in the order of its channels."""
    flat = xp.reshape(xp.cumulative_sum(ring, axis=1), (ring.shape[0], -1))
    parts = [xp.asarray(part, device=device(ring)) for part in sums.parts]
    if not parts:
        return flat[:, :0]
    totals = xp.take(flat, parts[0], axis=1)
    for part in parts[1:]:
        totals[:, : part.shape[0]] += xp.take(flat, part, axis=1)
    return totals


def _calendar(spec: FeatureSpec, feature: Feature, bins: Array, anchor_us: Array, xp: Any) -> Array:
    """The columns of a calendar feature, [n, columns]."""
    if feature.part == "bin":
        return bins[:, None]
    if feature.part == "slot":
        slots = len(spec.clock.slots_hours)
        return (bins % slots)[:, None] == xp.arange(slots, device=device(bins))
    weekday = weekday_of(anchor_us + spec.clock.start_us(xp.astype(bins, xp.int64)))
    return weekday[:, None] == xp.arange(7, device=device(bins))


def _from_past(
    spec: FeatureSpec,
    feature: Feature,
    sums: Sequence[Array],
    state: FeatureState,
    lags: Array,
    xp: Any,
) -> Array:
    """The one column of a feature of the past, [n]; `sums` are those that it asks for."""
    if feature.kind == "ratio":
        top, below = sums
        some = below != 0
        return xp.where(some, top / xp.where(some, below, xp.ones_like(below)), xp.zeros_like(top))
    if feature.kind == "trend":
        late, both = sums
        return late - (both - late)
    if feature.kind == "distinct":
        return reduce(xp.add, [xp.astype(some != 0, xp.float32) for some in sums])
    if feature.kind == "decayed":
        weights = xp.asarray(decay_weights(feature), device=device(state.ring))
        return xp.sum(xp.astype(_inside(spec, feature, state), xp.float64) * weights, axis=1)
    since = _least(lags, spec.places[feature.of], xp)
    if feature.kind == "recency":
        return xp.where(since < feature.window, since, feature.window)
    if feature.kind == "ever":
        return since < -NEVER // 2
    # streak: events in the bins after the last one that ends it
    ended = _least(lags, spec.places[feature.until], xp)
    lag = xp.arange(1, feature.window + 1, dtype=ended.dtype, device=device(ended))
    open_bins = xp.astype(lag[None, :] < ended[:, None], xp.float32)
    return xp.sum(_inside(spec, feature, state) * open_bins, axis=1)


def _inside(spec: FeatureSpec, feature: Feature, state: FeatureState) -> Array:
    """Sums of a feature's channels in each bin of its window, [n, window]."""
    first, *more = spec.places[feature.of]
    inside = state.ring[:, : feature.window, first]
    for channel in more:
        inside = inside + state.ring[:, : feature.window, channel]
    return inside


def _slot_sums(
    spec: FeatureSpec, feature: Feature, state: FeatureState, bins: Array, xp: Any
) -> list[Array]:
    """Events of a feature by the slot of their bin, [n] each."""
    slots, inside = len(spec.clock.slots_hours), _inside(spec, feature, state)
    lag = xp.arange(1, feature.window + 1, dtype=bins.dtype, device=device(bins))
    slot = (bins[:, None] - lag[None, :]) % slots
    return [xp.sum(inside * xp.astype(slot == one, xp.float32), axis=1) for one in range(slots)]


def _shares(feature: Feature, sums: Sequence[Array]) -> list[Array]:
    """Shrunken shares, [n] each: whole numbers divided once, so that every engine rounds alike."""
    groups, prior = len(sums), feature.prior
    below = (reduce(add, sums) + prior) * groups
    return [(some * groups + prior) / below for some in sums]


def _least(lags: Array, channels: Sequence[int], xp: Any) -> Array:
    return reduce(xp.minimum, [lags[:, channel] for channel in channels])


def _stage(spec: FeatureSpec, feature: Feature, lags: Array, xp: Any) -> list[Array]:
    """One-hot of the stage entered last; the later stage of the order wins a tie."""
    entered = spec.places[tuple(signal for _, signal in feature.stages)]
    best = xp.full_like(lags[:, 0], -NEVER // 2)
    current = xp.full_like(lags[:, 0], -1)
    for position, channel in enumerate(entered):
        newer = lags[:, channel] <= best
        best = xp.where(newer, lags[:, channel], best)
        current = xp.where(newer, position, current)
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
