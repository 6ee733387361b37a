"""Scores of several seeds in one number, with an interval that says how much seeds differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_DRAWS = 2000  # bootstrap samples
_TAIL = 0.25  # share of the scores that is cut off on each side


@dataclass(frozen=True, slots=True)
class Summary:
    """Interquartile mean over seeds; the ends are not a number where a stratum has one seed."""

    value: float
    lower: float
    upper: float
    scores: int


def interquartile_mean(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the middle half of the last axis; of fewer than four scores the plain mean.

    Source: Agarwal et al. (2021), Deep Reinforcement Learning at the Edge of the Statistical
        Precipice.
    """
    return np.asarray(stats.trim_mean(scores, _TAIL, axis=-1))


def summary(
    strata: Sequence[Sequence[float]], rng: np.random.Generator, level: float = 0.95
) -> Summary:
    """Interquartile mean of all scores, and its stratified bootstrap interval.

    Scores are drawn anew inside each stratum, as many as it has, so that every journey keeps its
    weight; the ends are quantiles of the interquartile means of such draws.

    Args:
        strata: scores of the seeds, by journey; one stratum for a single journey.
        rng: draws.
        level: share of the draws between the ends.

    Source: as `interquartile_mean`.
    """
    kept = [np.asarray(scores, np.float64) for scores in strata if len(scores)]
    every = np.concatenate(kept) if kept else np.zeros(0)
    if not every.size:
        return Summary(float("nan"), float("nan"), float("nan"), 0)
    value = float(interquartile_mean(every))
    if min(len(scores) for scores in kept) < 2:
        return Summary(value, float("nan"), float("nan"), every.size)
    drawn = [scores[rng.integers(0, len(scores), (_DRAWS, len(scores)))] for scores in kept]
    means = interquartile_mean(np.concatenate(drawn, axis=1))
    lower, upper = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Summary(value, float(lower), float(upper), every.size)
