"""Intervals for errors that are a sum over few or unequal contacts.

A log that happened to miss its heaviest contacts gives an estimate and a standard error that are
both too small, so the plain t interval misses on the low side. Two facts of the influences mend
most of it: their skewness turns the interval toward the side it misses on, and their kurtosis says
how little the standard error itself is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.log import FloatArray


@dataclass(frozen=True, slots=True)
class Skewness:
    """How far a sum over contacts is from a normal one."""

    skewness: float  # of the sum: that of one contact over the root of their number
    dof: float  # degrees of freedom of the standard error, in [2, C - 1] for C > 2


def skewness_of(influence: FloatArray) -> Skewness:
    """Skewness of an estimate's error, and degrees of freedom of its standard error.

        skewness = sum psi^3 / (sum psi^2)^(3/2),    dof = 2 C / (kurtosis - 1), at most C - 1

    m equal outcomes among very many contacts have about 2 m degrees of freedom.

    Args:
        influence: psi, error of the estimate split by contact, [C].

    Returns:
        The tail; without any error, that of a normal one.

    Source: Satterthwaite (1946), An Approximate Distribution of Estimates of Variance Components,
        with the variance of a sample variance, s^4 (kurtosis - 1) / C.
    """
    count = influence.size
    largest = np.abs(influence).max(initial=0.0)
    if largest == 0.0:
        return Skewness(0.0, max(count - 1.0, 1.0))
    scaled = influence / largest  # fourth powers of small numbers would vanish
    squares = np.square(scaled)
    square = float(squares.sum())
    kurtosis = count * float(np.square(squares).sum()) / square**2
    most = max(count - 1.0, 1.0)
    dof = most if kurtosis <= 1.0 else min(2.0 * count / (kurtosis - 1.0), most)
    return Skewness(float((squares * scaled).sum()) / square**1.5, dof)


def skewed_interval(value: float, influence: FloatArray, level: float) -> Interval:
    """The t interval on a scale that straightens the error's skewness.

        value - stderr h(+q)  to  value - stderr h(-q),    q = t quantile at the tail's dof
        h(x) = 3/g [(1 + g (x - g/6))^(1/3) - 1],          g = skewness of the error

    As g goes to 0 it is the plain t interval.

    Args:
        value: the estimate.
        influence: its error split by contact, [C].
        level: stated coverage, in (0, 1).

    Returns:
        The interval; unbounded with one contact.

    Raises:
        ShapeError: a level outside (0, 1).

    Source: Hall (1992), On the Removal of Skewness by Transformation, the cubic transformation;
        its quantile taken at Satterthwaite's degrees of freedom.
    """
    require_level(level)
    if influence.size < 2:
        return Interval(-np.inf, np.inf, level, "skewed-t")
    tail, stderr = skewness_of(influence), clustered_stderr(influence)
    quantile = float(special.stdtrit(tail.dof, 0.5 + level / 2.0))
    lower = value - stderr * _straightened(quantile, tail.skewness)
    upper = value - stderr * _straightened(-quantile, tail.skewness)
    return Interval(lower, upper, level, "skewed-t")


def skewed_p(value: float, influence: FloatArray) -> float:
    """Two-sided chance of a value so far from 0 where 0 is due: the p of `skewed_interval`.

        q = g/6 + [(1 + g T/3)^3 - 1] / g,    T = value / stderr,    g = skewness of the error

    Args:
        value: the estimate.
        influence: its error split by contact, [C].

    Returns:
        The p; 1 with one contact, and where the value is 0.
    """
    if influence.size < 2 or value == 0.0:
        return 1.0
    stderr = clustered_stderr(influence)
    if stderr == 0.0:
        return 0.0
    tail, reached = skewness_of(influence), value / stderr
    g = tail.skewness
    quantile = reached if abs(g) < 1e-6 else g / 6.0 + ((1.0 + g * reached / 3.0) ** 3 - 1.0) / g
    return 2.0 * float(special.stdtr(tail.dof, -abs(quantile)))


def _straightened(quantile: float, skewness: float) -> float:
    if abs(skewness) < 1e-6:
        return quantile
    root = np.cbrt(1.0 + skewness * (quantile - skewness / 6.0))
    return float(3.0 * (root - 1.0) / skewness)
