"""How fast people recover from mail: the half-life of fatigue, in the log and in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.surfaces import answers, sends_of
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories

GRID_DAYS = np.geomspace(0.5, 60.0, 33)
_WITHIN = 1.92  # log-likelihood below the best that a 95 % interval allows


@dataclass(frozen=True, slots=True)
class HalfLife:
    """Half-life of what earlier sends cost, in days; bounds at the grid's ends are open."""

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
    """The log's and the world's, and how badly one half-life would fit both."""

    real: HalfLife
    simulated: HalfLife
    deviance: float  # chi-square with one degree of freedom where they are equal
    days: tuple[float, ...]  # half-lives tried
    real_profile: tuple[float, ...]  # log-likelihood less the best, for each
    simulated_profile: tuple[float, ...]


def half_lives(
    real: Trajectories, simulated: Trajectories, journey: Journey, types: tuple[str, ...]
) -> HalfLives | None:
    """Estimate both by profile likelihood; None where an episode never has a second send.

        logit P(answer of type k) = a_k + b_k sum_j 0.5^(days since earlier send j / half-life)

    Intervals hold the half-lives whose log-likelihood is within 1.92 of the best.
    """
    profiles = [_profile(one, journey, types) for one in (real, simulated)]
    if profiles[0] is None or profiles[1] is None:
        return None
    a, b = profiles[0], profiles[1]
    return HalfLives(
        real=_estimate(a),
        simulated=_estimate(b),
        deviance=float(-2.0 * (a + b).max()),
        days=tuple(GRID_DAYS.tolist()),
        real_profile=tuple(a.tolist()),
        simulated_profile=tuple(b.tolist()),
    )


def _estimate(profile: FloatArray) -> HalfLife:
    inside = GRID_DAYS[profile >= -_WITHIN]
    best = float(GRID_DAYS[int(profile.argmax())])
    return HalfLife(best, float(inside.min()), float(inside.max()))


def _profile(played: Trajectories, journey: Journey, types: tuple[str, ...]) -> FloatArray | None:
    sends = sends_of(played, journey)
    if not types or not np.isfinite(sends.since).any():
        return None
    weight = played.weight[sends.row]
    y = [answers(played, journey, name)[sends.row] for name in types]
    fits = [_likelihood((0.5 ** (sends.ages / days)).sum(axis=1), y, weight) for days in GRID_DAYS]
    return np.array(fits) - max(fits)


def _likelihood(fatigue: FloatArray, y: list[FloatArray], weight: FloatArray) -> float:
    """Best log-likelihood over all types of answers, given the fatigue of each send."""
    distinct, place = np.unique(np.round(fatigue, 3), return_inverse=True)
    below = np.bincount(place, weight)
    total = 0.0
    for one in y:
        top = np.bincount(place, weight * one)
        a, b = float(logit(np.clip(top.sum() / below.sum(), 1e-6, 1 - 1e-6))), 0.0
        for _ in range(12):
            p = expit(a + b * distinct)
            off, curve = top - below * p, below * p * (1 - p)
            s0, s1, s2 = curve.sum(), curve @ distinct, curve @ distinct**2 + 1e-6
            g0, g1 = off.sum(), off @ distinct
            determinant = s0 * s2 - s1 * s1
            a += (s2 * g0 - s1 * g1) / determinant
            b += (s0 * g1 - s1 * g0) / determinant
        p = np.clip(expit(a + b * distinct), 1e-12, 1 - 1e-12)
        total += float(top @ np.log(p) + (below - top) @ np.log1p(-p))
    return total
