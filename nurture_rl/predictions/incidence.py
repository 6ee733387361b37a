"""The chance that something came by some day, where not everybody was watched so long.

One of several things may come first, and ends the waiting for the others (Aalen and Johansen 1978;
with one thing alone it is one minus Kaplan and Meier's curve). Errors are those of sums over
accounts of what each contact adds, to first order (infinitesimal jackknife).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
NOTHING = -1  # what came while somebody was watched: nothing


@dataclass(frozen=True, slots=True, eq=False)
class Incidence:
    """A chance, and what each adds to it."""

    chance: float
    influence: FloatArray  # [n]
    known: BoolArray  # of whom it is known whether it came by then, [n]


def incidence(days: FloatArray, came: IntArray, kind: int, by: float) -> Incidence:
    """The chance that one kind of thing came first, and by some day.

        F(t) = sum over u <= t of S(u-) d_k(u) / Y(u),   S(u) = prod over v <= u of 1 - d(v) / Y(v)

    Args:
        days: until something came, or as long as each was watched, [n].
        came: what came, `NOTHING` where nothing did, [n].
        kind: that is asked for.
        by: the day t.
    """
    moments, at = np.unique(days, return_inverse=True)
    ends = np.bincount(at, minlength=len(moments))
    at_risk = (ends[::-1].cumsum())[::-1].astype(float)
    inside = moments <= by
    mine, any_ = (
        np.bincount(at[rows], minlength=len(moments)) * inside / at_risk
        for rows in (came == kind, came != NOTHING)
    )
    stays = np.concatenate([[1.0], np.cumprod(1.0 - any_)[:-1]])
    so_far = np.cumsum(stays * mine)
    chance = float(so_far[-1]) if len(so_far) else 0.0
    # A hazard that is higher brings more of this kind now, and leaves fewer for later.
    later = np.divide(chance - so_far, 1.0 - any_, out=np.zeros(len(moments)), where=any_ < 1.0)
    gain, loss = stays / at_risk, later / at_risk
    waited = np.cumsum(gain * mine - loss * any_)
    influence = -waited[at]
    influence += (gain * inside)[at] * (came == kind)
    influence -= (loss * inside)[at] * (came != NOTHING)
    return Incidence(chance, influence, (days >= by) | (came != NOTHING))


def clustered_error(influence: FloatArray, cluster: IntArray) -> tuple[float, int]:
    """Standard error over accounts of a sum of influences, and how many accounts there are."""
    _, code = np.unique(cluster, return_inverse=True)
    summed = np.bincount(code, weights=influence)
    many = len(summed)
    return sqrt(float(summed @ summed) * many / max(many - 1, 1)), many


def interval(chance: float, error: float, clusters: int) -> tuple[float, float]:
    """The 95 % interval of a chance, on the scale of log(-log(1 - chance)).

    Where everything or nothing came no error is known, and the interval is that of as many
    accounts that are all alike (a one-sided bound of 97.5 %).

    Args:
        chance: as estimated.
        error: of it, as `clustered_error` tells.
        clusters: accounts of whom it is known whether it came.
    """
    if clusters < 2:
        return 0.0, 1.0
    if not 0.0 < chance < 1.0:
        slack = 1.0 - 0.025 ** (1.0 / max(clusters, 1))
        return max(chance - slack, 0.0) if chance > 0.5 else chance, min(chance + slack, 1.0)
    hazard = -log(1.0 - chance)
    reach = float(stdtrit(max(clusters - 1, 1), 0.975)) * error / ((1.0 - chance) * hazard)
    low, high = (1.0 - exp(-hazard * exp(side * min(reach, 50.0))) for side in (-1.0, 1.0))
    return low, high
