"""Features that know the outcome of their own bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.gap.rates import happened
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, Trajectories

_FEWEST = 20  # events that the area under a curve needs
_ROWS = 60_000  # whole contacts up to that many decisions
_Z = 3.5  # one-sided quantile that holds for some thousands of pairs of feature and signal


@dataclass(frozen=True, slots=True)
class LeakLimits:
    """What no honest feature does by itself."""

    auc: float = 0.90  # the lower bound in the log must lie above it
    excess: float = 0.10  # and the log's area must exceed the world's by as much


@dataclass(frozen=True, slots=True)
class Leak:
    """How well one feature by itself tells what happens in its own bin."""

    feature: str
    head: str
    by: str  # "level": its value; "change": what it gained since the bin before
    auc: float  # in the log
    lower: float  # bound that holds for all pairs together
    simulated: float  # the same in the world; 0.5 where it happens too rarely
    events: int


def suspicious_features(
    real: Trajectories, simulated: Trajectories, journey: Journey, limits: LeakLimits
) -> tuple[Leak, ...]:
    """The features that predict a signal of their own bin too well, best first.

    A feature must be computed before its bin. If it almost determines the events of that bin in the
    log, but not in the world, the log computed it afterwards. Sends and other decisions are looked
    at separately, because a send makes some events certain.
    """
    spec, heads = FeatureSpec.of(journey), Heads.of(journey).counts
    leaks: dict[tuple[int, int], Leak] = {}
    for by in ("level", "change"):
        a, events = _areas(real, journey, by)
        b, _ = _areas(simulated, journey, by)
        lower = a - _Z * _error(a, events)
        world = np.where(np.isnan(b), 0.5, b)
        bad = (lower > limits.auc) & (a - world > limits.excess)
        for f, h in np.argwhere(bad):
            one = Leak(
                spec.columns[f],
                heads[h],
                by,
                float(a[f, h]),
                float(lower[f, h]),
                float(world[f, h]),
                int(events[h]),
            )
            if (f, h) not in leaks or leaks[f, h].lower < one.lower:
                leaks[f, h] = one
    return tuple(sorted(leaks.values(), key=lambda one: -one.lower))


def _areas(played: Trajectories, journey: Journey, by: str) -> tuple[FloatArray, FloatArray]:
    """Area of each feature for each head, in either direction, [d, H]; events of each head, [H]."""
    rows = np.arange(min(len(played.action), _ROWS))
    x = played.features[rows].astype(np.float64)
    if by == "change":
        rows = np.flatnonzero(np.append(False, np.diff(played.episode[rows]) == 0))
        x = x[rows] - x[rows - 1]
    y = happened(played, journey)[rows] > 0
    sent = ActionCatalog.of(journey).routed("send")[played.action[rows]]
    best = np.full((x.shape[1], y.shape[1]), np.nan)
    most = np.zeros(y.shape[1])
    for inside in (sent, ~sent):
        events = y[inside].sum(axis=0)
        use = (events >= _FEWEST) & (events < inside.sum() - _FEWEST) & (events > most)
        if use.any():
            best[:, use] = _rank_areas(x[inside], y[inside][:, use])
            most[use] = events[use]
    return best, most


def _rank_areas(x: FloatArray, y: BoolArray) -> FloatArray:
    """Mann-Whitney areas of every column of x for every column of y, in the better direction."""
    from scipy.stats import rankdata  # settings are read by all verbs, and loading it takes long

    n, n1 = len(x), y.sum(axis=0)
    ranks = rankdata(x, axis=0)
    area = (ranks.T @ y.astype(np.float64) - n1 * (n1 + 1) / 2) / (n1 * (n - n1))
    return np.asarray(np.maximum(area, 1.0 - area))


def _error(area: FloatArray, events: FloatArray) -> FloatArray:
    """Standard error of an area with far more rows without the event than with it.

    Source: Hanley & McNeil (1982), The Meaning and Use of the Area under an ROC Curve.
    """
    clipped = np.clip(np.nan_to_num(area, nan=0.5), 0.5, 1.0 - 1e-3)
    q = 2.0 * clipped**2 / (1.0 + clipped) - clipped**2
    return np.asarray(np.sqrt(q / np.maximum(events, 1.0)))
