"""Importance-weighted rewards in the form that confidence sequences read.

Weights are never negative and 1 on average, so a lower bound needs no bound on them: a heavy weight
that did not turn up can only have made the true value larger. An upper bound is the lower bound
of what is missing to the largest reward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Range:
    """Between which numbers a reward lies, whatever happens."""

    lower: float
    upper: float

    @property
    def width(self) -> float:
        """Upper minus lower."""
        return self.upper - self.lower


@dataclass(frozen=True, slots=True, eq=False)
class WeightedRewards:
    """One pair of numbers per contact, in the order the contacts came."""

    earned: FloatArray  # weight times (reward - smallest) / range, [C], each >= 0
    missing: FloatArray  # weight times (largest - reward) / range, [C], each >= 0


def weighted_rewards(
    weight: FloatArray, reward: FloatArray, contact: IntArray, limits: Range
) -> WeightedRewards:
    """Average each contact's weighted decisions; contacts in the order of their first.

    The value is then the mean over contacts of the mean over their decisions. Decisions of a
    contact must come together in one call: only contacts are independent.

    Args:
        weight: importance weights, [N], each >= 0.
        reward: rewards, [N], in `limits`.
        contact: whose decision it is, [N].
        limits: the range of one reward, known beforehand.

    Raises:
        ShapeError: arrays of different length, a negative weight, or a reward outside its range.
    """
    if not weight.shape == reward.shape == contact.shape or weight.ndim != 1:
        raise ShapeError(
            f"weight, reward and contact must be [N], got {weight.shape}, {reward.shape} and "
            f"{contact.shape}"
        )
    within = (reward >= limits.lower) & (reward <= limits.upper)
    if weight.size == 0 or weight.min() < 0.0 or not within.all() or limits.width <= 0.0:
        raise ShapeError(
            f"expected weights >= 0 and rewards in [{limits.lower:g}, {limits.upper:g}], a range "
            "known before any reward was seen; got others, or none"
        )
    _, first, place = np.unique(contact, return_index=True, return_inverse=True)
    order = np.argsort(first)
    size = np.bincount(place).astype(np.float64)
    share = (reward - limits.lower) / limits.width
    earned = np.bincount(place, weights=weight * share) / size
    missing = np.bincount(place, weights=weight * (1.0 - share)) / size
    return WeightedRewards(earned[order], missing[order])
