"""A confidence sequence that may be looked at every day, from five running sums.

The interval holds at all times at once: stopping when it looks good does not spoil it. State is
constant in size, so it fits into a server that counts as outcomes arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.bounds.weighted_rewards import Range, WeightedRewards
from nurture_rl.ope.log import FloatArray

ETA = 1.1  # ratio of two epochs of the boundary
POWER = 1.1  # how fast the error left to later epochs falls


@dataclass(frozen=True, slots=True)
class RunningSums:
    """What the sequence remembers of the contacts so far."""

    contacts: int = 0
    earned: float = 0.0  # sum of X
    earned_square: float = 0.0  # sum of (X - its prediction)^2
    missing: float = 0.0
    missing_square: float = 0.0


def observe(sums: RunningSums, seen: WeightedRewards) -> RunningSums:
    """Take further contacts in, in the order they came.

    The prediction of a contact is the mean of those before it, at most 1, never itself.
    """
    earned, earned_square = _taken_in(sums.contacts, sums.earned, seen.earned)
    missing, missing_square = _taken_in(sums.contacts, sums.missing, seen.missing)
    return RunningSums(
        contacts=sums.contacts + seen.earned.size,
        earned=earned,
        earned_square=sums.earned_square + earned_square,
        missing=missing,
        missing_square=sums.missing_square + missing_square,
    )


def sequence_interval(sums: RunningSums, limits: Range, level: float) -> Interval:
    """The interval now, valid at every time at once.

        lower = range scaled by (sum X - boundary(sum (X - prediction)^2)) / n,   alpha/2 a side

    Args:
        sums: from `observe`.
        limits: range of one reward, as given to `weighted_rewards`.
        level: stated coverage at all times together, in (0, 1).

    Source: Howard, Ramdas, McAuliffe & Sekhon (2021), Time-uniform, Nonparametric, Nonasymptotic
        Confidence Sequences, theorem 4; for nonnegative weights as in Waudby-Smith et al. (2022),
        Anytime-valid Off-policy Inference for Contextual Bandits (arXiv 2210.10768).
    """
    require_level(level)
    error = (1.0 - level) / 2.0
    low = _lower(sums.contacts, sums.earned, sums.earned_square, error)
    high = 1.0 - _lower(sums.contacts, sums.missing, sums.missing_square, error)
    return Interval(
        limits.lower + limits.width * low,
        limits.lower + limits.width * max(high, low),
        level,
        "bernstein-sequence",
    )


def stitched_boundary(variance: float, error: float) -> float:
    """What a sum with this intrinsic variance exceeds, ever, with chance at most `error`.

        k1 sqrt(v l) combined with k2 l:   sqrt(k1^2 v l + k2^2 l^2) + k2 l
        l = s ln(ln(eta v) / ln eta + 1) + ln(zeta(s) / error)
        k1 = (eta^(1/4) + eta^(-1/4)) / sqrt 2,    k2 = (sqrt eta + 1) / 2,    v at least 1

    Source: Howard, Ramdas, McAuliffe & Sekhon (2021), equation 10 (polynomial stitching).
    """
    v = max(variance, 1.0)
    epochs = np.log(ETA * v) / np.log(ETA) + 1.0
    surprise = POWER * np.log(epochs) + np.log(special.zeta(POWER) / error)
    spread = (ETA**0.25 + ETA**-0.25) / np.sqrt(2.0)
    bound = (np.sqrt(ETA) + 1.0) / 2.0
    root = np.sqrt(spread**2 * v * surprise + (bound * surprise) ** 2)
    return float(root + bound * surprise)


def _lower(count: int, total: float, square: float, error: float) -> float:
    if count == 0:
        return 0.0
    return min(max((total - stitched_boundary(square, error)) / count, 0.0), 1.0)


def _taken_in(count: int, total: float, values: FloatArray) -> tuple[float, float]:
    """The sum after these values, and their squared distances from the predictions."""
    running = total + np.cumsum(values)
    before = running - values
    place = count + np.arange(1.0, values.size + 1.0)
    predicted = np.minimum((before + 0.5) / place, 1.0)
    return float(running[-1]), float(((values - predicted) ** 2).sum())
