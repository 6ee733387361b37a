"""Paths that many contacts go, and whether the north star follows them.

They are found in one half of the accounts and tested in the other.

A path is two or three acts in the order in which each came first, with anything in between, none
longer after the first than an episode lasts. Who went it is held, from the day on which all of it
was known, against those who did the same acts in another order, day by day of the episode, as the
log-rank test does (Mantel 1966): who is interested does more of everything, more often, and who
stays longer has more time for it. It is what a journey's `paths` make an event of, where they ask
for the first of each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations
from math import exp, inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from nurture_rl.predictions.clustered_log_rank import clustered_log_rank
from nurture_rl.predictions.episode_acts import EpisodeActs

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
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
    told: bool = False  # among the findings: so few are false


def frequent_paths(acts: EpisodeActs, first_half: BoolArray, share: float) -> list[FrequentPath]:
    """Paths from the most frequent on.

    Args:
        acts: of all episodes.
        first_half: episodes in which paths are found; the others test them, [e].
        share: of the first half's episodes, that go a path at least.
    """
    least = max(share * int(first_half.sum()), _FEWEST)
    paths = [path for n in (2, 3) for path in permutations(range(len(acts.names)), n)]
    many = {path: int(_gone(acts, path)[first_half].sum()) for path in paths}
    frequent = sorted((path for path in paths if many[path] >= least), key=lambda p: -many[p])
    return [_tested(path, acts, ~first_half) for path in frequent[:_MOST]]


def _gone(acts: EpisodeActs, path: Path) -> BoolArray:
    """Which episodes go a path, and before the north star, [e]."""
    went, enters = in_order(acts, path)
    return went & (enters < np.minimum(acts.reached, acts.watched))


def in_order(acts: EpisodeActs, path: Path) -> tuple[BoolArray, FloatArray]:
    """Which episodes have all steps in their order, and from when on they are known in any, [e].

    What came and was known at once has no order.
    """
    came, known = acts.first[:, path], acts.known[:, path]
    with np.errstate(invalid="ignore"):
        apart = came.max(axis=1) - came.min(axis=1)
    near = np.nan_to_num(apart, nan=inf) <= acts.length
    went = near.copy()
    for one, other in pairwise(range(len(path))):
        later = came[:, other] > came[:, one]
        went &= (known[:, other] > known[:, one]) | (known[:, other] == known[:, one]) & later
    return went, np.where(near, known.max(axis=1), inf)


def _tested(path: Path, acts: EpisodeActs, tested: BoolArray) -> FrequentPath:
    went, enters = in_order(acts, path)
    rows = np.flatnonzero(tested & np.isfinite(enters))
    gone = _gone(acts, path)
    _, cluster = np.unique(acts.cluster[rows].astype(str), return_inverse=True)
    found = clustered_log_rank(
        (enters[rows], np.minimum(acts.reached, acts.watched)[rows]),
        (acts.reached <= acts.watched)[rows],
        went[rows].astype(np.int64),
        cluster,
    )
    score, variance = float(found.score[-1]), float(found.variance[-1, -1])
    logged = score / variance if variance > 0.0 else 0.0
    error = found.error(-1) / variance if variance > 0.0 else inf
    reach = float(stdtrit(max(found.clusters - 1, 1), 0.975)) * error
    steps = acts.first[gone][:, path]
    return FrequentPath(
        steps=tuple(acts.names[step] for step in path),
        share=float(gone.mean()) if len(acts) else 0.0,
        episodes=int(gone.sum()),
        days=float(np.median(np.maximum(steps[:, -1] - steps[:, 0], 0.0))) if gone.any() else 0.0,
        ratio=exp(min(logged, 50.0)),
        lower=exp(logged - reach),
        upper=exp(min(logged + reach, 50.0)),
        p=found.p,
    )
