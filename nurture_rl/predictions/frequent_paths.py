"""Paths that many contacts go, and whether the north star follows them.

They are found in one half of the episodes and tested in the other.

A path is two or three acts in their order, with anything in between. Who goes it is held against
those who did the same acts in another order, day by day of the episode, as the log-rank test does
(Mantel 1966): who is interested does more of everything, and who stays longer has more time for it.
Many paths are tested, so the share of false ones among those that are told is bounded (Benjamini
and Hochberg 1995).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nurture_rl.predictions.episode_acts import EpisodeActs

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Path = tuple[int, ...]
_NEVER = (inf, inf)
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
    gone = [_gone(*acts.of(i)) for i in range(len(acts))]
    half = np.flatnonzero(first_half)
    counts = Counter(path for i in half for path in gone[i])
    least = max(share * len(half), _FEWEST)
    frequent = [path for path, many in counts.most_common() if many >= least and len(path) > 1]
    tested = _longest(frequent, counts)[:_MOST]
    found = [_tested(path, acts, gone, ~first_half) for path in tested]
    told = few_false([one.p for one in found], false)
    found = [replace(one, told=is_told) for one, is_told in zip(found, told, strict=True)]
    return sorted(found, key=lambda one: (not one.told, one.p, one.steps))


def _gone(act: IntArray, day: FloatArray) -> dict[Path, tuple[float, float]]:
    """When each path of an episode was first complete, and when it began."""
    found: dict[Path, tuple[float, float]] = {}
    shorter: list[Path] = []  # of one or two steps, from which a path goes on
    for one, at in zip(act.tolist(), day.tolist(), strict=True):
        new = [(*path, one) for path in shorter if one not in path]
        for path in [(one,), *new]:
            if path not in found:
                found[path] = (at, found[path[:-1]][1] if len(path) > 1 else at)
                if len(path) < 3:
                    shorter.append(path)
    return found


def _longest(paths: Sequence[Path], counts: Counter[Path]) -> list[Path]:
    """Paths without those that nearly everybody goes on from to one longer path."""
    longer = {
        path[:-1] for path in paths if len(path) == 3 and counts[path] > 0.95 * counts[path[:-1]]
    }
    return [path for path in paths if path not in longer]


def _tested(
    path: Path,
    acts: EpisodeActs,
    gone: Sequence[dict[Path, tuple[float, float]]],
    tested: NDArray[np.bool_],
) -> FrequentPath:
    n = len(acts)
    enters = np.array([max(one.get((step,), _NEVER)[0] for step in path) for one in gone])
    complete = np.array([one.get(path, _NEVER)[0] for one in gone])
    begun = np.array([one.get(path, _NEVER)[1] for one in gone])
    went = np.isfinite(complete)
    observed, expected, variance = _log_rank(
        enters[tested], complete[tested], acts.reached[tested], acts.watched[tested]
    )
    logged = (observed - expected) / variance if variance > 0.0 else 0.0
    error = 1.0 / sqrt(variance) if variance > 0.0 else inf
    z = logged / error if variance > 0.0 else 0.0
    reach = 1.96 * error
    return FrequentPath(
        steps=tuple(acts.names[step] for step in path),
        share=float(went.mean()) if n else 0.0,
        episodes=int(went.sum()),
        days=float(np.median(complete[went] - begun[went])) if went.any() else 0.0,
        ratio=exp(min(logged, 50.0)),
        lower=exp(logged - reach) if reach < inf else 0.0,
        upper=exp(min(logged + reach, 50.0)) if reach < inf else inf,
        p=float(2.0 * ndtr(-abs(z))),
        told=False,
    )


def _log_rank(
    enters: FloatArray, complete: FloatArray, reached: FloatArray, watched: FloatArray
) -> tuple[float, float, float]:
    """Events of those who went a path, how many were to be expected, and the variance.

    Args:
        enters: day by which all steps were done in any order, [n].
        complete: day by which they were done in the path's order, [n].
        reached: day of the north star, [n].
        watched: days that are known, [n].
    """
    days = int(np.ceil(watched.max(initial=0.0))) + 1
    observed = expected = variance = 0.0
    for day in range(days):
        at_risk = (enters < day) & (np.minimum(reached, watched) >= day)
        on = at_risk & (complete < day)
        wins = at_risk & (reached >= day) & (reached < day + 1) & (reached <= watched)
        total, many, won = int(at_risk.sum()), int(on.sum()), int(wins.sum())
        if total > 1 and won:
            observed += int((wins & on).sum())
            expected += won * many / total
            variance += won * (many / total) * (1 - many / total) * (total - won) / (total - 1)
    return observed, expected, variance


def few_false(chances: Sequence[float], false: float) -> list[bool]:
    """Which findings are told so that the expected share of false ones is bounded.

    Args:
        chances: p values of all that were tested.
        false: the bound, in (0, 1).

    Source: Benjamini and Hochberg (1995), Controlling the false discovery rate.
    """
    ordered = np.sort(chances)
    fits = ordered <= false * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    limit = ordered[np.flatnonzero(fits)[-1]] if fits.any() else -1.0
    return [bool(one <= limit) for one in chances]
