"""Whether logged propensities can be what the logging policy really did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.compare import Comparison, Estimate, ratios
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories

_TOLERANCE = 1e-6
_FEWEST = 30  # actions taken that a mean weight needs
_SCORE_MARGIN = 0.05
_WEIGHT_MARGIN = 0.15  # of a mean weight about 1


@dataclass(frozen=True, slots=True)
class PropensityCheck:
    """What speaks for and against the logged propensities."""

    known: bool  # every decision has one
    impossible: float  # share of decisions with a propensity that cannot be
    slope: Estimate | None  # of taken against stated log odds; 1 where the propensities are true
    weights: tuple[Comparison, ...]  # mean importance weight by action, 1 where true
    decisions: int  # in which there was a choice


def propensity_check(log: Trajectories, journey: Journey) -> PropensityCheck:
    """Compare stated chances with the actions taken.

    The mean over an action's legal decisions of taken/propensity is 1. Where whole distributions
    were logged, the log odds of an action being taken rise one for one with those stated: a slope
    of 0 says that the propensities belong to other decisions.
    """
    p = log.propensity
    known = bool(np.isfinite(p).all())
    if not known:
        return PropensityCheck(False, 0.0, None, (), 0)
    chosen = log.mask.sum(axis=1) > 1
    bad = ~((p > 0.0) & (p <= 1.0 + _TOLERANCE)) | (~chosen & (p < 1.0 - _TOLERANCE))
    table = log.probabilities
    if table is not None:
        stated = table[np.arange(len(p)), log.action]
        bad = bad | (np.abs(stated - p) > _TOLERANCE)
        bad = bad | ((table > _TOLERANCE) & ~log.mask).any(axis=1)
    return PropensityCheck(
        known=True,
        impossible=float(bad.mean()),
        slope=None if table is None else _slope(log, table),
        weights=tuple(_weights(log, journey)),
        decisions=int(chosen.sum()),
    )


def _weights(log: Trajectories, journey: Journey) -> list[Comparison]:
    """Mean of taken/propensity over the decisions in which an action was legal."""
    comparisons = []
    usable = (log.propensity > 0.0) & (log.mask.sum(axis=1) > 1)
    for a, name in enumerate(ActionCatalog.of(journey).ids):
        taken = usable & (log.action == a)
        if taken.sum() < _FEWEST:
            continue
        legal = (usable & log.mask[:, a]).astype(np.float64)
        weight = np.where(taken, 1.0 / np.maximum(log.propensity, 1e-12), 0.0)
        value, stderr = ratios(log, (weight * legal)[:, None], legal)
        mean = Estimate(float(value[0]), float(stderr[0]))
        one = Estimate(1.0, 0.0)
        comparisons.append(
            Comparison(
                "mean weight",
                "",
                name,
                one,
                mean,
                mean.value - 1.0,
                max(mean.stderr, 1e-9),
                _WEIGHT_MARGIN,
                "difference",
            )
        )
    return comparisons


def _slope(log: Trajectories, table: FloatArray) -> Estimate | None:
    """Logistic regression of taken on stated log odds over all legal actions of free decisions."""
    rows = log.mask.sum(axis=1) > 1
    legal = log.mask[rows]
    taken = np.zeros(legal.shape)
    taken[np.arange(len(legal)), log.action[rows]] = 1.0
    x = logit(np.clip(table[rows], 1e-4, 1.0 - 1e-4))
    if not legal.any() or np.ptp(x[legal]) < 1e-3:
        return None
    x = x - x[legal].mean()
    a, b = float(logit(taken[legal].mean())), 0.0
    for _ in range(25):
        p = expit(a + b * x)
        off, curve = (taken - p) * legal, p * (1.0 - p) * legal
        s0, s1, s2 = curve.sum() + 1e-6, (curve * x).sum(), (curve * x * x).sum() + 1e-6
        g0, g1 = off.sum(), (off * x).sum()
        determinant = s0 * s2 - s1 * s1
        moves = (s2 * g0 - s1 * g1) / determinant, (s0 * g1 - s1 * g0) / determinant
        # Newton's steps overshoot where chances are near 0 and 1.
        a, b = (
            old + float(np.clip(move, -1.0, 1.0)) for old, move in zip((a, b), moves, strict=True)
        )
        if max(abs(moves[0]), abs(moves[1])) < 1e-9:
            break
    score = ((taken - expit(a + b * x)) * legal * (s0 * x - s1)).sum(axis=1) / determinant
    return Estimate(float(b), float(np.sqrt(score @ score)))
