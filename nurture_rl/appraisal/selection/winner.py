"""What the policy that looks best is really worth: the winner's curse and its correction.

The largest of several noisy estimates is large partly by luck. Conditioning on which policy won
takes that luck out of its estimate and its interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.appraisal.selection.simultaneous import Family, critical_value
from nurture_rl.errors import ShapeError
from nurture_rl.ope.intervals import Interval
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ties import negligible, settled

PROJECTED = 0.1  # share of the error that the simultaneous interval inside the hybrid takes
BISECTIONS = 60  # halve the bracket to rounding


@dataclass(frozen=True, slots=True)
class Winner:
    """The policy with the largest estimate, and its value once the winning is accounted for."""

    place: int  # among the estimates
    naive: float  # its estimate as it stands, biased upward
    corrected: float  # median-unbiased up to a tenth of the error, <= naive
    interval: Interval  # of its true value; method "hybrid"


def correct_winner(
    values: FloatArray, influences: FloatArray, level: float, rng: np.random.Generator
) -> Winner:
    """Correct the largest of several estimates for having been chosen.

    With Y ~ N(mu, S) and i the winner, Y_i given that i won and given Y_j - S_ij / S_ii Y_i is a
    normal cut off at [L, U]. The hybrid also keeps it within c standard deviations s of mu_i, c
    being the critical value of a simultaneous interval of small error b:

        F(Y_i; mu) = [Phi(Y_i) - Phi(L')] / [Phi(U') - Phi(L')],    each standardised by mu and s
        L' = max(L, mu - c s),    U' = min(U, mu + c s)

    and solves F = 1/2 for the value, F = 1 - a/2 and a/2 for the interval, a = (1 - level - b) /
    (1 - b). It never is wider than the simultaneous interval, and comes down to the ordinary one
    when the winner is far ahead.

    Args:
        values: the estimates, [k].
        influences: their errors split by contact, [k, C]; gives S.
        level: stated coverage, in (0, 1).
        rng: draws the simultaneous critical value.

    Raises:
        ShapeError: values and influences that do not fit, or a level outside (0, 1).

    Source: Andrews, Kitagawa & McCloskey (2024), Inference on Winners.
    """
    if values.ndim != 1 or influences.shape[:1] != values.shape:
        raise ShapeError(
            f"values must be [k] with influences [k, C], got {values.shape} and {influences.shape}"
        )
    beta = PROJECTED * (1.0 - level)
    bound = critical_value(influences, Family(1.0 - beta), rng)
    contacts = influences.shape[1]
    place = int(values.argmax())
    naive = float(values[place])
    values, influences, first = _others(values, influences, place)
    covariance = influences @ influences[first] * (contacts / max(contacts - 1, 1))
    spread = float(np.sqrt(covariance[first]))
    sure = bool(negligible(np.abs(influences[first]).sum(), abs(naive)))
    if sure or spread == 0.0 or not np.isfinite(bound):
        infinite = 0.0 if sure or spread == 0.0 else np.inf
        known = Interval(naive - infinite, naive + infinite, level, "hybrid")
        return Winner(place, naive, naive, known)
    low, high = cut_off(values, covariance, first)
    held = _Held(naive, spread, low, high, bound)
    tail = (1.0 - level - beta) / (1.0 - beta) / 2.0
    interval = Interval(held.solve(1.0 - tail), held.solve(tail), level, "hybrid")
    return Winner(place, naive, held.solve(0.5), interval)


def _others(
    values: FloatArray, influences: FloatArray, place: int
) -> tuple[FloatArray, FloatArray, int]:
    """The estimates without those that are one with the winner but for rounding.

    A twin wins and loses with the winner, and says nothing about how much luck that took.

    Returns:
        Values, influences, and where the winner is among them.
    """
    size = np.abs(values) + np.abs(influences).sum(axis=1)
    kept = [
        other
        for other in range(values.size)
        if other == place
        or settled(0.0, influences[other] - influences[place], size[other] + size[place])[1].any()
    ]
    return values[kept], influences[kept], kept.index(place)


def cut_off(values: FloatArray, covariance: FloatArray, place: int) -> tuple[float, float]:
    """Between which values the winner's estimate still wins, the rest of the data held fixed.

    Args:
        values: the estimates, [k].
        covariance: of each estimate with the winner's, [k].
        place: the winner.

    Returns:
        L and U; infinite where nothing bounds.
    """
    variance = covariance[place]
    fixed = values - covariance / variance * values[place]
    slack = variance - covariance
    with np.errstate(divide="ignore", invalid="ignore"):
        even = variance * fixed / slack
    below, above = slack > 0.0, slack < 0.0
    return (
        float(even[below].max(initial=-np.inf)),
        float(even[above].min(initial=np.inf)),
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """The winner's estimate as a draw from a normal cut off on both sides."""

    value: float
    spread: float
    low: float
    high: float
    bound: float  # standard deviations from the mean that are possible at all

    def chance_below(self, mean: float) -> float:
        """F(value; mean), falling from 1 to 0 over the bracket of `solve`."""
        from scipy.special import ndtr

        low = max((self.low - mean) / self.spread, -self.bound)
        high = min((self.high - mean) / self.spread, self.bound)
        own = min(max((self.value - mean) / self.spread, low), high)
        room = ndtr(high) - ndtr(low)
        # No room: the cut off range lies at one end of what is possible.
        return float((ndtr(own) - ndtr(low)) / room) if room > 0.0 else float(mean <= self.value)

    def solve(self, chance: float) -> float:
        """The mean under which the value has that chance of not being exceeded."""
        first = self.value - self.bound * self.spread
        last = self.value + self.bound * self.spread
        for _ in range(BISECTIONS):
            middle = (first + last) / 2.0
            if self.chance_below(middle) > chance:
                first = middle
            else:
                last = middle
        return (first + last) / 2.0
