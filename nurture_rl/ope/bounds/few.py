"""Exact and nearly exact intervals of totals that rest on few outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.log import FloatArray


@dataclass(frozen=True, slots=True)
class Component:
    """One of several numbers that add up to an estimate, with its own interval."""

    value: float
    lower: float
    upper: float


def binomial_interval(successes: int, trials: int, level: float, scale: float = 1.0) -> Interval:
    """Exact interval of a share, times `scale` (Clopper-Pearson).

    Covers at least `level` at every count, where the normal interval fails for few successes.

    Raises:
        ShapeError: successes outside 0..trials, no trial, or a negative scale.

    Source: Clopper & Pearson (1934), The Use of Confidence or Fiducial Limits.
    """
    require_level(level)
    if not 0 <= successes <= trials or trials < 1 or scale < 0.0:
        raise ShapeError(
            f"expected 0 <= successes <= trials and scale >= 0, got {successes} of {trials} "
            f"times {scale}; count matched outcomes among the trials"
        )
    tail = (1.0 - level) / 2.0
    missed = trials - successes
    lower = special.betaincinv(successes, missed + 1, tail) if successes else 0.0
    upper = special.betainccinv(successes + 1, missed, tail) if missed else 1.0
    return Interval(scale * float(lower), scale * float(upper), level, "clopper-pearson")


def weighted_poisson(totals: FloatArray, further: float, level: float) -> Component:
    """Interval of the expected total of rare outcomes that weigh differently.

        lower = gamma quantile with mean y and variance v
        upper = the same with mean y + L and variance v + L^2
        y = sum of the totals, v = sum of their squares, L = further

    With equal weights it is the exact Poisson interval. With unequal ones L stands for the outcome
    that did not turn up. The heaviest weight there is never misses the stated coverage, yet where
    weights are products over many decisions it makes the interval twice as wide as it need be; the
    root mean square of the weights under the target holds it nearly.

    Args:
        totals: weighted outcomes of each contact, [C], each >= 0; contacts without one may be left
            out. Outcomes of one contact count as one, whose weight is their sum.
        further: what a further outcome would weigh, >= 0. It must come from all weights and all
            amounts, not from the outcomes that turned up.
        level: stated coverage, in (0, 1).

    Raises:
        ShapeError: a negative total or bound, or a level outside (0, 1).

    Source: Fay & Feuer (1997), Confidence Intervals for Directly Standardized Rates; a smaller L
        than the largest as in Tiwari, Clegg & Zou (2006), Efficient Interval Estimation for
        Age-adjusted Cancer Rates.
    """
    require_level(level)
    if totals.min(initial=0.0) < 0.0 or further < 0.0:
        raise ShapeError(
            f"weighted outcomes and their bound must be >= 0, got {totals.min(initial=0.0):g} and "
            f"{further:g}; give gains and losses apart"
        )
    tail = (1.0 - level) / 2.0
    unit = max(float(totals.max(initial=0.0)), further)
    if unit == 0.0:
        return Component(0.0, 0.0, 0.0)
    scaled, more = totals / unit, further / unit  # squares of huge weights stay finite
    mean, variance = float(scaled.sum()), float(np.square(scaled).sum())
    lower = 0.0
    if mean > 0.0:
        lower = variance / mean * float(special.gammaincinv(mean**2 / variance, tail))
    above, spread = mean + more, variance + more**2
    upper = spread / above * float(special.gammainccinv(above**2 / spread, tail))
    return Component(unit * mean, unit * lower, unit * upper)


def sum_of_parts(gained: Component, lost: Component, rest: Component) -> Component:
    """Interval of gained - lost + rest from the intervals of three unrelated parts.

        lower = value - sqrt(sum of the squared distances that pull it down), upper alike

    Where outcomes are rare, what they share with the rest is of the order of their rate.

    Source: Zou & Donner (2008), Construction of Confidence Limits about Effect Measures (method
        of variance estimates recovery).
    """
    value = gained.value - lost.value + rest.value
    down = (gained.value - gained.lower, lost.upper - lost.value, rest.value - rest.lower)
    up = (gained.upper - gained.value, lost.value - lost.lower, rest.upper - rest.value)
    return Component(value, value - float(np.linalg.norm(down)), value + float(np.linalg.norm(up)))
