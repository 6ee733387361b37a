"""How long episodes go without an event, in the log and in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.gap.rates import first_events, main_heads
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories

_Z95 = 1.959964
OPEN = "episode ended early"


@dataclass(frozen=True, slots=True)
class Band:
    """Share of episodes without the event after each bin, with pointwise 95 % bounds; each [S]."""

    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SurvivalCurves:
    """One event's curves; what ends an episode otherwise leaves it without the event."""

    head: str
    real: Band
    simulated: Band


def survival_curves(
    real: Trajectories, simulated: Trajectories, journey: Journey
) -> tuple[SurvivalCurves, ...]:
    """Curves of the end of the episode, of stages and of the heads that matter, frequent first.

    Every episode was observed to its end, so nothing is censored and Greenwood's variance is the
    binomial one, here with the episodes' weights.
    """
    heads = Heads.of(journey).counts
    stages = {signal for feature in journey.features for _, signal in feature.stages}
    wanted = [h for h in heads if h in stages or h in main_heads(journey)]
    sides = ((one, first_events(one, journey)) for one in (real, simulated))
    horizon = journey.clock.horizon
    tables = [(one, np.column_stack([_ended(one, horizon), table])) for one, table in sides]
    places = [0, *(1 + heads.index(name) for name in wanted)]
    curves = []
    for name, place in zip((OPEN, *wanted), places, strict=True):
        bands = [_band(one, table[:, place], horizon) for one, table in tables]
        if min(*bands[0].share, *bands[1].share) < 1.0:
            curves.append(SurvivalCurves(name, *bands))
    return tuple(sorted(curves, key=lambda one: (one.head != OPEN, one.real.share[-1])))


def _ended(played: Trajectories, horizon: int) -> FloatArray:
    """1 in the last bin of each episode that ended before the horizon, [N]."""
    ends = np.zeros(len(played.action))
    ends[played.last] = played.step[played.last] < horizon - 1
    return ends


def _band(played: Trajectories, hits: FloatArray, horizon: int) -> Band:
    n = played.episodes
    weight = hits * played.weight
    fallen = np.cumsum(np.bincount(played.step, weight, horizon)[:horizon]) / n
    square = np.cumsum(np.bincount(played.step, weight**2, horizon)[:horizon]) / n
    share = 1.0 - fallen
    error = np.sqrt(np.maximum(square - fallen**2, 0.0) / n)
    low, high = (np.clip(share + side * _Z95 * error, 0.0, 1.0) for side in (-1.0, 1.0))
    return Band(tuple(share.tolist()), tuple(low.tolist()), tuple(high.tolist()))
