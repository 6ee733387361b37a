"""When two numbers are one but for rounding: the place that every comparison asks.

Sums over a log are right to about 1e-16 of what was added up, and probabilities are stored to about
1e-7 of themselves. What is smaller says nothing, whatever its sign, and an error made of it is no
error: divided by each other the two make any verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # a serving host reads evidence and has no scipy, which estimators need
    from nurture_rl.ope.estimators import ValueEstimate

FloatArray = NDArray[np.float64]

ROUNDING = 1e-9  # share of what was added up; far above rounding, far below what anybody earns
STORED = 1e-6  # share of a probability; files keep no more than its first digits


def negligible(difference: ArrayLike, scale: ArrayLike) -> NDArray[np.bool_]:
    """Whether a difference is rounding, for numbers and arrays alike; NaN is not.

    Args:
        difference: of two numbers, any shape.
        scale: the size of what was added up to make them, >= 0, in the same unit.
    """
    apart, size = np.abs(np.asarray(difference, dtype=np.float64)), np.abs(scale)
    with np.errstate(invalid="ignore"):
        return np.asarray((apart <= ROUNDING * size) & np.isfinite(size), dtype=np.bool_)


def added_up(estimate: ValueEstimate) -> float:
    """The size of what an estimate was added up from, in its unit: |V| + sum |psi|."""
    return abs(estimate.value) + float(np.abs(estimate.influence).sum())


def settled(difference: float, influence: FloatArray, scale: float) -> tuple[float, FloatArray]:
    """A difference and its error by contact, exactly 0 where they are rounding.

    Args:
        difference: of two numbers.
        influence: its error split by contact, [C].
        scale: the size of what was added up to make them, >= 0.
    """
    value = 0.0 if negligible(difference, scale) else difference
    if negligible(float(np.abs(influence).sum()), scale):
        return value, np.zeros_like(influence)
    return value, influence


def apart(first: ValueEstimate, second: ValueEstimate) -> tuple[float, FloatArray]:
    """First less second with its error by contact, [C]; rounding is exactly 0."""
    scale = added_up(first) + added_up(second)
    return settled(first.value - second.value, first.influence - second.influence, scale)


def alike(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Where two arrays of probabilities are the same as far as they are stored.

    Args:
        first: probabilities, any shape.
        second: others of that shape.
    """
    return np.asarray(np.abs(first - second) <= STORED * np.maximum(first, second), dtype=np.bool_)


def one_value(values: FloatArray) -> bool:
    """Whether all of some values are one number but for rounding; so are none at all."""
    return values.size == 0 or bool(negligible(np.ptp(values), np.abs(values).max()))
