"""Paths that many contacts go, and whether the north star follows them.

They are found in one half of the episodes and tested in the other.

A path is two or three acts in the order in which each came first, with anything in between. Who
went it is held, from the day on which all of them were done, against those who did the same acts in
another order, day by day of the episode, as the log-rank test does (Mantel 1966): who is interested
does more of everything, more often, and who stays longer has more time for it. Many paths are
tested, so the share of false ones among those that are told is bounded (Benjamini and Hochberg
1995).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from math import exp, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.simulator.gap.false_findings import few_false

FloatArray = NDArray[np.float64]
Path = tuple[int, ...]
_MOST = 60  # paths that are tested, the most frequent ones
_FEWEST = 30  # episodes of the first half that go a path


@dataclass(frozen=True, slots=True)
class FrequentPath:
    """A path, and what follows it."""

    steps: tuple[str, ...]  # signals
    share: float  # of all episodes that go it
    episodes: int  # that go it
    days: float  # median, from the first step to the last
    ratio: float  # how often the north star follows, beside other orders of the steps; 1: as often
    lower: float  # of the 95 % interval of that ratio
    upper: float
    p: float  # two-sided, that the ratio is 1
    told: bool  # among the findings: so few are false


def frequent_paths(
    acts: EpisodeActs, first_half: NDArray[np.bool_], share: float, false: float
) -> list[FrequentPath]:
    """Paths from the most to the least sure.

    Args:
        acts: of all episodes.
        first_half: episodes in which paths are found; the others test them, [e].
        share: of the first half's episodes, that go a path at least.
        false: share of the told paths that may be false, in the mean.
    """
    first = _first_days(acts)
    half = first[first_half]
    least = max(share * len(half), _FEWEST)
    paths = [path for n in (2, 3) for path in permutations(range(len(acts.names)), n)]
    many = {path: int(_in_order(half, path).sum()) for path in paths}
    frequent = sorted((path for path in paths if many[path] >= least), key=lambda p: -many[p])
    found = [_tested(path, acts, first, ~first_half) for path in frequent[:_MOST]]
    told = few_false([one.p for one in found], false)
    found = [replace(one, told=is_told) for one, is_told in zip(found, told, strict=True)]
    return sorted(found, key=lambda one: (not one.told, one.p, one.steps))


def _first_days(acts: EpisodeActs) -> FloatArray:
    """When each act first came, inf where it never did, [episodes, acts]."""
    first = np.full((len(acts), len(acts.names)), inf)
    episode = np.repeat(np.arange(len(acts)), np.diff(acts.starts))
    np.minimum.at(first, (episode, acts.act), acts.day)
    return first


def _in_order(first: FloatArray, path: Path) -> NDArray[np.bool_]:
    """Which episodes have all steps of a path, each first after the one before."""
    steps = first[:, path]
    return np.isfinite(steps[:, -1]) & (steps[:, :-1] < steps[:, 1:]).all(axis=1)


def _tested(
    path: Path, acts: EpisodeActs, first: FloatArray, tested: NDArray[np.bool_]
) -> FrequentPath:
    steps = first[:, path]
    went, enters = _in_order(first, path), steps.max(axis=1)
    observed, expected, variance = _log_rank(
        enters[tested], went[tested], acts.reached[tested], acts.watched[tested]
    )
    logged = (observed - expected) / variance if variance > 0.0 else 0.0
    error = 1.0 / sqrt(variance) if variance > 0.0 else inf
    reach = 1.96 * error
    return FrequentPath(
        steps=tuple(acts.names[step] for step in path),
        share=float(went.mean()) if len(acts) else 0.0,
        episodes=int(went.sum()),
        days=float(np.median(steps[went, -1] - steps[went, 0])) if went.any() else 0.0,
        ratio=exp(min(logged, 50.0)),
        lower=exp(logged - reach),
        upper=exp(min(logged + reach, 50.0)) if reach < inf else inf,
        p=float(2.0 * ndtr(-abs(logged) / error)),
        told=False,
    )


def _log_rank(
    enters: FloatArray, went: NDArray[np.bool_], reached: FloatArray, watched: FloatArray
) -> tuple[float, float, float]:
    """Events of those who went a path, how many were to be expected, and the variance.

    Args:
        enters: day by which all steps were done in any order, [n].
        went: whether they came in the path's order, [n].
        reached: day of the north star, [n].
        watched: days that are known, [n].
    """
    days = int(np.ceil(watched.max(initial=0.0))) + 1
    observed = expected = variance = 0.0
    for day in range(days):
        at_risk = (enters < day) & (np.minimum(reached, watched) >= day)
        on = at_risk & went
        wins = at_risk & (reached >= day) & (reached < day + 1) & (reached <= watched)
        total, many, won = int(at_risk.sum()), int(on.sum()), int(wins.sum())
        if total > 1 and won:
            observed += int((wins & on).sum())
            expected += won * many / total
            variance += won * (many / total) * (1 - many / total) * (total - won) / (total - 1)
    return observed, expected, variance
