"""How fast people recover from mail: the half-life of fatigue, in the log and in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, expit, logit

from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.surfaces import answers, sends_of
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories

GRID_DAYS = np.geomspace(0.5, 60.0, 33)
_Table = tuple[FloatArray, FloatArray, FloatArray]  # fatigue, sends at it, answered sends
_WITHIN = 1.92  # log-likelihood below the best that a 95 % interval allows


@dataclass(frozen=True, slots=True)
class HalfLife:
    """Half-life of the effect of earlier sends, in days; bounds at the grid's ends are open."""

    value: float
    lower: float
    upper: float

    @property
    def shown(self) -> str:
        """`5.1 days [4.3, 6.0]`."""
        upper = "∞" if self.upper >= float(GRID_DAYS[-1]) else f"{self.upper:.2g}"
        return f"{self.value:.2g} days [{self.lower:.2g}, {upper}]"


@dataclass(frozen=True, slots=True)
class HalfLives:
    """The log's and the world's, and how badly one fatigue would fit both."""

    real: HalfLife
    simulated: HalfLife
    deviance: float  # likelihood ratio of two half-lives and slopes against common ones
    freedom: int  # its degrees of freedom where fatigue is the same
    p_value: float  # chance of such a deviance where it is
    days: tuple[float, ...]  # half-lives tried
    real_profile: tuple[float, ...]  # log-likelihood less the best, for each
    simulated_profile: tuple[float, ...]

    @property
    def apart(self) -> bool:
        """Whether neither half-life lies in the other's interval."""
        a, b = self.real, self.simulated
        return not (b.lower <= a.value <= b.upper or a.lower <= b.value <= a.upper)


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """What was sent before each send, and how it was answered."""

    ages: FloatArray  # [S, m], days since each earlier send
    weight: FloatArray  # [S], scaled so that they sum to the effective number of sends
    answered: list[FloatArray]  # of each type, [S]


def half_lives(
    real: Trajectories, simulated: Trajectories, journey: Journey, types: tuple[str, ...]
) -> HalfLives | None:
    """Estimate both by profile likelihood; None where no episode has a second send.

        logit P(answer of type k) = a_k + b_k sum_j 0.5^(days since earlier send j / half-life)

    Intervals hold the half-lives whose log-likelihood is within 1.92 of the best. Log and world may
    always differ in a_k: how often the first send is answered is a matter of rates.
    """
    sides = [_answers(one, journey, types) for one in (real, simulated)]
    if not types or not all(np.isfinite(one.ages).any() for one in sides):
        return None
    fits = []
    for days in GRID_DAYS:
        real_tables, world_tables = (_tables(one, days) for one in sides)
        groups = (
            [[one] for one in real_tables],
            [[one] for one in world_tables],
            [list(pair) for pair in zip(real_tables, world_tables, strict=True)],
        )
        fits.append([sum(map(_likelihood, group)) for group in groups])
    a, b, both = np.array(fits).T
    deviance = max(0.0, float(2.0 * (a.max() + b.max() - both.max())))
    freedom = 1 + len(types)
    return HalfLives(
        real=_estimate(a - a.max()),
        simulated=_estimate(b - b.max()),
        deviance=deviance,
        freedom=freedom,
        p_value=float(chdtrc(freedom, deviance)),
        days=tuple(GRID_DAYS.tolist()),
        real_profile=tuple((a - a.max()).tolist()),
        simulated_profile=tuple((b - b.max()).tolist()),
    )


def _estimate(profile: FloatArray) -> HalfLife:
    inside = GRID_DAYS[profile >= -_WITHIN]
    best = float(GRID_DAYS[int(profile.argmax())])
    return HalfLife(best, float(inside.min()), float(inside.max()))


def _answers(played: Trajectories, journey: Journey, types: tuple[str, ...]) -> _Answers:
    sends = sends_of(played, journey)
    weight = played.weight[sends.row]
    answered = [answers(played, journey, name)[sends.row] for name in types]
    if not sends.row.size:
        return _Answers(sends.ages, weight, answered)
    # Kish's design effect over contacts: reweighted sends say less than their number.
    contact = played.contact[sends.row]
    effect = _unevenness(np.bincount(contact, weight)) / _unevenness(np.bincount(contact) * 1.0)
    scaled = weight / (max(float(weight.mean()), 1e-12) * max(effect, 1.0))
    return _Answers(sends.ages, scaled, answered)


def _unevenness(totals: NDArray[Any]) -> float:
    """Sum of squares over the square of the sum: one over the effective number."""
    return float(totals @ totals) / max(float(totals.sum()) ** 2, 1e-12)


def _tables(one: _Answers, days: float) -> list[_Table]:
    """Sends and answered sends of each type by fatigue, in steps of 0.02."""
    place = np.rint(50.0 * (0.5 ** (one.ages / days)).sum(axis=1)).astype(np.int64)
    below = np.bincount(place, one.weight).astype(np.float64)
    some = np.flatnonzero(below > 0.0)
    tops = [np.bincount(place, one.weight * y).astype(np.float64) for y in one.answered]
    return [(some / 50.0, below[some], top[some]) for top in tops]


def _likelihood(tables: list[_Table]) -> float:
    """Logistic regression on fatigue with one slope, and one intercept per table.

    Args:
        tables: distinct fatigue, sends and answered sends at each.
    """
    a = np.array([_logit(top.sum() / below.sum()) for _, below, top in tables])
    b, m = 0.0, len(tables)
    for _ in range(12):
        gradient, curve = np.zeros(m + 1), np.zeros((m + 1, m + 1))
        for side, (x, below, top) in enumerate(tables):
            p = expit(a[side] + b * x)
            off, bend = top - below * p, below * p * (1.0 - p)
            gradient[side], gradient[m] = off.sum(), gradient[m] + off @ x
            curve[side, side], curve[m, m] = bend.sum() + 1e-9, curve[m, m] + bend @ x**2
            curve[side, m] = curve[m, side] = bend @ x
        curve[m, m] += 1e-6
        step = np.linalg.solve(curve, gradient)
        a, b = a + step[:m], b + float(step[m])
    total = 0.0
    for side, (x, below, top) in enumerate(tables):
        p = np.clip(expit(a[side] + b * x), 1e-12, 1.0 - 1e-12)
        total += float(top @ np.log(p) + (below - top) @ np.log1p(-p))
    return total


def _logit(share: float) -> float:
    return float(logit(min(max(share, 1e-6), 1.0 - 1e-6)))
