"""Where contacts stay: after which act nothing follows more often than after others.

Each episode counts once for each act, by its first one. What is still open counts by the days that
were watched (Kaplan and Meier 1958, with Greenwood's variance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.simulator.gap.false_findings import few_false

FloatArray = NDArray[np.float64]
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
    told: bool  # among the findings


def stall_points(acts: EpisodeActs, days: float, false: float) -> list[StallPoint]:
    """Acts after which contacts stay, findings first, and what stays most beyond the others.

    Args:
        acts: of all episodes.
        days: within which something more, or the north star, should follow.
        false: share of the told ones that may be false, in the mean.
    """
    gap, open_, what = _gaps(acts)
    found = []
    for place, name in enumerate(acts.names):
        mine = what == place
        if int(mine.sum()) < _FEWEST or mine.all():
            continue
        stays, error = _still(gap[mine], open_[mine], days)
        others, besides = _still(gap[~mine], open_[~mine], days)
        spread = sqrt(error**2 + besides**2)
        p = 1.0 if spread == 0.0 else float(2.0 * ndtr(-abs(stays - others) / spread))
        lower, upper = (
            float(np.clip(stays + side * 1.96 * error, 0.0, 1.0)) for side in (-1.0, 1.0)
        )
        many = int(mine.sum())
        found.append(StallPoint(name, many, stays, lower, upper, others, p, False))
    sure = few_false([one.p for one in found], false)
    told = [
        replace(one, told=fits and one.stays > one.others)
        for one, fits in zip(found, sure, strict=True)
    ]
    return sorted(told, key=lambda one: (not one.told, one.others - one.stays))


def _gaps(acts: EpisodeActs) -> tuple[FloatArray, NDArray[np.bool_], NDArray[np.int64]]:
    """Days from the first act of each kind to what follows; whether nothing was seen; its kind."""
    gaps: list[float] = []
    still: list[bool] = []
    kinds: list[int] = []
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
            still.append(follows > end)
            kinds.append(one)
    return np.array(gaps), np.array(still, bool), np.array(kinds, np.int64)


def _still(gap: FloatArray, still: NDArray[np.bool_], days: float) -> tuple[float, float]:
    """The chance that nothing follows within some days, and its standard error."""
    order = np.argsort(gap, kind="stable")
    gap, follows = gap[order], ~still[order]
    share, greenwood = 1.0, 0.0
    moments: Sequence[float] = np.unique(gap[follows & (gap <= days)]).tolist()
    for moment in moments:
        at_risk = int((gap >= moment).sum())
        many = int((follows & (gap == moment)).sum())
        share *= 1.0 - many / at_risk
        if at_risk > many:
            greenwood += many / (at_risk * (at_risk - many))
    return share, share * sqrt(greenwood)
