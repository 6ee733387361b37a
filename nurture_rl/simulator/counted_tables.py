"""The counted parts of a learned world: what can follow what, rare rates, repeats, values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_MEAN_REPEATS = 1.2  # mean count of a bin with events from which repeats are drawn
_SURE = 10.0  # expected events whose absence is no accident: exp(-10) = 5e-5
_LONGEST_LIST = 32  # distinct amounts
_LISTED = 0.25  # share of the values' variance that actions must explain
_FEWEST_PRICES = 20  # bins from which an action has prices of its own
_SKEWED = 1.0  # skewness from which positive values are modelled by their logarithm


@dataclass(frozen=True, slots=True, eq=False)
class RoutingCounts:
    """Bins and bins with events, by action and by the action's routing."""

    rows: FloatArray  # [a, H], as many bins as would have shown an event
    events: FloatArray  # [a, H]
    class_rows: FloatArray  # [a, H]: of all actions of the same routing
    class_events: FloatArray  # [a, H]


def count_by_routing(
    action: IntArray,
    happened: BoolArray,
    catalog: ActionCatalog,
    exposure: FloatArray | None = None,
    weight: FloatArray | None = None,
) -> RoutingCounts:
    """Count what followed each action.

    Args:
        action: catalogue positions, [n].
        happened: whether each head's signal is known to have happened in the bin, [n, H].
        catalog: names each action's routing. A routing that was never taken borrows the counts of
            the pauses: it is assumed to do nothing.
        exposure: chance that an event of the bin would be known, [n, H]; None: 1. A bin of which
            half would be known counts as half a bin.
        weight: of each bin, [n]; None: 1.
    """
    weights = np.ones(len(action)) if weight is None else weight
    seen = np.ones(happened.shape) if exposure is None else exposure
    rows, events = np.zeros((2, len(catalog), happened.shape[1]))
    np.add.at(rows, action, weights[:, None] * seen)
    np.add.at(events, action, weights[:, None] * happened)
    taken = np.bincount(action, minlength=len(catalog))
    same = np.array([[a.routing == b.routing for b in catalog.actions] for a in catalog.actions])
    same[same @ taken == 0] = catalog.routed("pause")
    return RoutingCounts(rows, events, same @ rows, same @ events)


def class_rates(counts: RoutingCounts) -> FloatArray:
    """Share of bins with an event, by routing, [a, H]."""
    rows = counts.class_rows
    share = np.divide(counts.class_events, rows, out=np.zeros_like(rows), where=rows > 0.0)
    return np.minimum(share, 1.0)


def possible_events(counts: RoutingCounts) -> BoolArray:
    """Whether an event can follow an action, [a, H].

    It cannot when it never followed any action of the routing, or never followed this action
    although the routing's rate made at least ten such events expected (a click on a topic that
    the message does not have). What happened days after a send, in a bin of waiting, stays
    possible in a bin of waiting.
    """
    expected = class_rates(counts) * counts.rows
    never = (counts.events == 0) & (expected >= _SURE)
    return np.asarray((counts.class_events > 0) & ~never)


def repeats(counted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Chance that one more event follows in the same bin, and the most events seen; each [H].

    A geometric count with mean m has repeat chance (m - 1) / m. Heads with m below 1.2 count at
    most one event a bin: 0 and 1.
    """
    repeat, most = np.zeros(counted.shape[1]), np.ones(counted.shape[1])
    for head, column in enumerate(counted.T):
        some = column[column > 0]
        if some.size and some.mean() >= _MEAN_REPEATS:
            repeat[head], most[head] = (some.mean() - 1.0) / some.mean(), some.max()
    return repeat, most


@dataclass(frozen=True, slots=True, eq=False)
class ValueScales:
    """How each valued signal's sum of a bin is put on a standard scale; each [V]."""

    logarithmic: BoolArray
    mean: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray


def value_scales(values: FloatArray, happened: BoolArray) -> ValueScales:
    """Scales of the values of bins with events.

    Args:
        values: value sums of the bins, [n, V].
        happened: bins with events, [n, V]. Values that are all positive and skewed by more than 1
            (money) are modelled by their logarithm, others as they are.
    """
    v = values.shape[1]
    scales = ValueScales(np.zeros(v, bool), np.zeros(v), np.ones(v), np.zeros(v), np.zeros(v))
    for head in range(v):
        seen = values[happened[:, head], head]
        if not seen.size:
            continue
        scales.low[head], scales.high[head] = seen.min(), seen.max()
        scales.logarithmic[head] = seen.min() > 0 and _skewness(seen) > _SKEWED
        seen = np.log(seen) if scales.logarithmic[head] else seen
        scales.mean[head], scales.scale[head] = seen.mean(), seen.std() or 1.0
    return scales


@dataclass(frozen=True, slots=True, eq=False)
class PriceLists:
    """Values that depend on what was offered, not on who took it."""

    listed: BoolArray  # [V]
    prices: FloatArray  # even quantiles of the logged values after each action, [a, V, q]


def price_lists(
    values: FloatArray, happened: BoolArray, action: IntArray, catalog: ActionCatalog, q: int
) -> PriceLists:
    """Find valued signals whose amounts are prices, and what each action's prices are.

    They are where at most 32 amounts occur and the action explains a quarter of their variance. The
    mean and noise of other values move with the contact; prices have no values between them.

    Args:
        values: value sums of the bins, [n, V].
        happened: bins with events, [n, V].
        action: catalogue positions, [n]. One with fewer than 20 events borrows those of its
            routing, and where these are too few, everybody's.
        catalog: names each action's routing.
        q: quantiles kept.
    """
    a, v = len(catalog), values.shape[1]
    lists = PriceLists(np.zeros(v, bool), np.zeros((a, v, q)))
    same = np.array([[x.routing == y.routing for y in catalog.actions] for x in catalog.actions])
    for head in range(v):
        seen, after = values[happened[:, head], head], action[happened[:, head]]
        if seen.size < _FEWEST_PRICES or not _are_prices(seen, after, a):
            continue
        lists.listed[head] = True
        for one in range(a):
            pools = (after == one, same[one][after], np.ones(len(after), bool))
            pool = next(p for p in pools if p.sum() >= _FEWEST_PRICES)
            lists.prices[one, head] = np.quantile(
                seen[pool], (np.arange(q) + 0.5) / q, method="inverted_cdf"
            )
    return lists


def _are_prices(seen: FloatArray, after: IntArray, a: int) -> bool:
    means = np.bincount(after, seen, a) / np.maximum(np.bincount(after, minlength=a), 1)
    explained = means[after].var() >= _LISTED * seen.var()
    return bool(np.unique(seen).size <= _LONGEST_LIST and explained)


def standard_values(values: FloatArray, scales: ValueScales) -> FloatArray:
    """Values on their standard scale, [n, V]; rows without an event hold anything finite."""
    moved = np.where(scales.logarithmic, np.log(np.maximum(values, 1e-12)), values)
    return np.asarray((moved - scales.mean) / scales.scale)


def availability(available: BoolArray, step: IntArray, slots: int) -> FloatArray:
    """Share of bins in which contacts could be reached, by place in the period, [slots]."""
    rows = np.bincount(step % slots, minlength=slots)
    reached = np.bincount(step % slots, weights=available, minlength=slots)
    return np.where(rows > 0, reached / np.maximum(rows, 1), 1.0)


def _skewness(x: FloatArray) -> float:
    spread = x.std()
    return float((((x - x.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
