"""How many standard errors an interval is wide that may be read every day of a planned experiment.

An estimate that is read once is 1.96 standard errors wide on each side at 95 %. Whoever reads it
every day and stops when it looks good is wrong far more often than one time in twenty. These widths
hold at all times together, and they are narrowest where the plan says that the answer is due.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize, special

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.interval import require_level
from nurture_rl.ope.log import FloatArray

FIRST_READ = 0.05  # share of the planned information before which nothing is said
# Up to so much of the plan the widths of the plan hold. Chance deals some arms more units than
# their share, and nobody plans to the very contact: widths that leapt at 1 would leap every second
# time.
OVERRUN = 1.1
WITHIN_PLAN = 0.8  # part of the error that may happen up to the overrun; the rest is for later
_SHAPE = 0.25  # width falls as t^-1/4: between Pocock's (0) and O'Brien and Fleming's (1/2)
_GRID = 160  # of times, and of values
_OVERSHOOT = 0.5826  # mean overshoot of a walk over a line, in steps (Siegmund 1985, chapter 10)


def looks_width(information: float, level: float) -> float:
    """Half width of the interval, in standard errors; holds at all times together.

        t in [0.05, 1.1]:  c t^(-1/4),          P(any t: |B_t| > c t^(1/4)) = 0.8 (1 - level)
        t above 1.1:       sqrt(a^2 + ln t),    2 (1 - Phi(a) + a phi(a)) = 0.2 (1 - level)

    B is a Brownian motion: in large samples an estimate with independent increments is one on the
    scale of its information. That holds for means, for ratios of means, for their regression-
    adjusted kinds and for restricted means of times (Scharfstein, Tsiatis & Robins 1997).

    Args:
        information: t, information so far over that at the planned end. For a mean it is the
            number of units so far over the planned number. The plan is stated before the first
            read; a poor plan makes the interval wider, never wrong.
        level: stated coverage at all times together, in (0, 1).

    Returns:
        The width; infinite before 0.05 of the plan.

    Raises:
        ShapeError: the information is negative or no number.

    Source: Wang & Tsiatis (1987), Approximately optimal one-parameter boundaries; after the plan
        Robbins (1970), Statistical methods related to the law of the iterated logarithm.
    """
    require_level(level)
    if not information >= 0.0:
        raise ShapeError(f"expected the information to be at least 0, got {information}")
    if information < FIRST_READ:
        return float("inf")
    if information <= OVERRUN:
        return float(_planned(level) * information**-_SHAPE)
    return float(np.sqrt(_beyond(level) ** 2 + np.log(information)))


@lru_cache(maxsize=16)
def _planned(level: float) -> float:
    error = WITHIN_PLAN * (1.0 - level)
    found = optimize.brentq(lambda c: _crossing(c) - error, 1.5, 6.0, xtol=1e-4)
    return float(found)


@lru_cache(maxsize=16)
def _beyond(level: float) -> float:
    error = (1.0 - WITHIN_PLAN) * (1.0 - level)

    def crossing(a: float) -> float:
        return float(2.0 * (special.ndtr(-a) + a * _bell(np.array(a))))

    return float(optimize.brentq(lambda a: crossing(a) - error, 1.0, 20.0, xtol=1e-9))


def _crossing(width: float) -> float:
    """Chance that |B_t| exceeds `width` t^(1/4) at any time in [0.05, 1.1].

    Equal steps of ln t, where B_t / sqrt t is a stationary process; between two steps the walk may
    cross unseen, so the line is drawn nearer by the mean overshoot.
    """
    times = np.exp(np.linspace(np.log(FIRST_READ), np.log(OVERRUN), _GRID))
    step = np.log(times[1] / times[0])
    lines = width * times**-_SHAPE - _OVERSHOOT * np.sqrt(step)
    keep = np.exp(-step / 2.0)
    spread = np.sqrt(1.0 - keep**2)
    inside, weight = _nodes(lines[0])
    density = _bell(inside) * weight
    for line in lines[1:]:
        nodes, weight = _nodes(line)
        density = (_kernel(nodes, inside * keep, spread) @ density) * weight
        inside = nodes
    return float(1.0 - density.sum())


def _nodes(line: float) -> tuple[FloatArray, FloatArray]:
    """Midpoints of equal cells between the two lines, and the width of a cell."""
    edges = np.linspace(-line, line, _GRID + 1)
    middle = (edges[1:] + edges[:-1]) / 2.0
    return middle, np.full(_GRID, edges[1] - edges[0])


def _kernel(to: FloatArray, centre: FloatArray, spread: float) -> FloatArray:
    return _bell((to[:, None] - centre[None, :]) / spread) / spread


def _bell(x: FloatArray) -> FloatArray:
    """Density of the standard normal."""
    return np.asarray(np.exp(-0.5 * np.square(x)) / np.sqrt(2.0 * np.pi))
