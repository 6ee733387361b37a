"""Where contacts stay: after which act nothing follows more often than after others.

Each episode counts once for each act, by its first one. What is still open counts by the days that
were watched. Contacts of one account are no independent witnesses, nor are one's own acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.incidence import (
    NOTHING,
    Incidence,
    clustered_error,
    incidence,
    interval,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
_FEWEST = 30  # episodes with an act


@dataclass(frozen=True, slots=True)
class StallPoint:
    """An act, and whether contacts go on from it."""

    act: str  # signal
    episodes: int  # that had it
    stays: float  # chance that nothing follows within the days
    lower: float  # of the 95 % interval
    upper: float
    others: float  # the same after all other acts
    p: float  # two-sided, that both are one
    told: bool = False  # among the findings


def stall_points(acts: EpisodeActs, days: float) -> list[StallPoint]:
    """Acts after which contacts stay, and what stays most beyond the others first.

    Args:
        acts: of all episodes.
        days: within which something more, or the north star, should follow.
    """
    gap, came, what, cluster = _gaps(acts)
    found = []
    for place, name in enumerate(acts.names):
        mine = what == place
        many = int(mine.sum())
        if many < _FEWEST or mine.all():
            continue
        follows, others = (incidence(gap[rows], came[rows], 0, days) for rows in (mine, ~mine))
        error, _ = clustered_error(follows.influence, cluster[mine])
        low, high = interval(follows.chance, error, len(np.unique(cluster[mine][follows.known])))
        stays, elsewhere = 1.0 - follows.chance, 1.0 - others.chance
        p = _both_alike(follows, others, mine, cluster)
        found.append(StallPoint(name, many, stays, 1.0 - high, 1.0 - low, elsewhere, p))
    return sorted(found, key=lambda one: one.others - one.stays)


def _both_alike(one: Incidence, other: Incidence, mine: BoolArray, cluster: IntArray) -> float:
    """The chance that two chances differ as much though they are one.

    The variance is at least that of independent ones with the chance of both together, so that what
    never or always came is not taken for sure.
    """
    between = np.zeros(len(mine))
    between[mine], between[~mine] = one.influence, -other.influence
    error, clusters = clustered_error(between, cluster)
    n, m = int(one.known.sum()), int(other.known.sum())
    if not n or not m:
        return 1.0
    pooled = (n * one.chance + m * other.chance) / (n + m)
    error = max(error, sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)))
    apart = abs(one.chance - other.chance)
    if error == 0.0 or clusters < 2:
        return 1.0
    return float(2.0 * stdtr(clusters - 1, -apart / error))


def _gaps(
    acts: EpisodeActs,
) -> tuple[FloatArray, IntArray, IntArray, IntArray]:
    """Days from the first act of each kind to what follows; if it was seen; kind; account."""
    gaps: list[float] = []
    came: list[int] = []
    kinds: list[int] = []
    whose: list[int] = []
    _, cluster = np.unique(acts.cluster.astype(str), return_inverse=True)
    for i in range(len(acts)):
        act, day = acts.of(i)
        seen: set[int] = set()
        for place, (one, at) in enumerate(zip(act.tolist(), day.tolist(), strict=True)):
            if one in seen:
                continue
            seen.add(one)
            later = day[place + 1 :]
            after = later[later > at]
            follows = min(float(after[0]) if len(after) else np.inf, float(acts.reached[i]))
            end = float(acts.watched[i])
            gaps.append(max(min(follows, end) - at, 0.0))
            came.append(NOTHING if follows > end else 0)
            kinds.append(one)
            whose.append(int(cluster[i]))
    kinds_, whose_ = np.array(kinds, np.int64), np.array(whose, np.int64)
    return np.array(gaps), np.array(came, np.int64), kinds_, whose_
