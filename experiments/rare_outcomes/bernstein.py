"""Intervals that hold at every sample size, for contacts whose numbers have a known range."""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.bounds.weighted_rewards import Range
from nurture_rl.ope.log import FloatArray


def empirical_bernstein(totals: FloatArray, limits: Range, level: float) -> Interval:
    """Interval of the mean of one number per contact, valid at every number of contacts.

        mean +- [ sqrt(2 s^2 ln(4/alpha) / C) + 7 R ln(4/alpha) / (3 (C - 1)) ]

    with s^2 the sample variance and R the width of the range.

    Args:
        totals: one number per contact, [C], such as its weighted rewards.
        limits: its known range; never the sample's own.
        level: stated coverage, in (0, 1); both sides together, hence 4 and not 2.

    Raises:
        ShapeError: a total outside the range, or a level outside (0, 1).

    Source: Maurer & Pontil (2009), Empirical Bernstein Bounds and Sample Variance Penalization.
    """
    _require_within(totals, limits)
    require_level(level)
    if totals.size < 2:
        return Interval(limits.lower, limits.upper, level, "empirical-bernstein")
    count, surprise = totals.size, np.log(4.0 / (1.0 - level))
    variance = float(totals.var(ddof=1))
    half = float(np.sqrt(2.0 * variance * surprise / count))
    half += float(7.0 * limits.width * surprise / (3.0 * (count - 1)))
    return _clipped(float(totals.mean()), half, limits, level, "empirical-bernstein")


def hoeffding(totals: FloatArray, limits: Range, level: float) -> Interval:
    """Interval of a mean from its range alone: mean +- R sqrt(ln(2/alpha) / (2 C)).

    Useless at rare rewards; here so that the others can be measured against it.

    Args:
        totals: one number per contact, [C].
        limits: its known range.
        level: stated coverage, in (0, 1).

    Raises:
        ShapeError: as `empirical_bernstein`.

    Source: Hoeffding (1963), Probability Inequalities for Sums of Bounded Random Variables.
    """
    _require_within(totals, limits)
    require_level(level)
    half = limits.width * float(np.sqrt(np.log(2.0 / (1.0 - level)) / (2.0 * totals.size)))
    return _clipped(float(totals.mean()), half, limits, level, "hoeffding")


def _clipped(mean: float, half: float, limits: Range, level: float, method: str) -> Interval:
    return Interval(max(mean - half, limits.lower), min(mean + half, limits.upper), level, method)


def _require_within(totals: FloatArray, limits: Range) -> None:
    if totals.size == 0 or totals.min() < limits.lower or totals.max() > limits.upper:
        got = "none" if totals.size == 0 else f"{totals.min():g} to {totals.max():g}"
        raise ShapeError(
            f"every total must lie in [{limits.lower:g}, {limits.upper:g}], got {got}; the range "
            "follows from the weight bound and the reward's bounds, not from the sample"
        )
