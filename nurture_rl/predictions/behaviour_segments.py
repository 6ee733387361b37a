"""Groups of contacts by what they do early, if there are any that another draw finds again.

k-means (Lloyd 1982, seeded as Arthur and Vassilvitskii 2007) on how often each act came. A number
of groups is stable where clusterings of two resamples agree about all contacts (adjusted Rand
index, Hubert and Arabie 1985; Ben-Hur et al. 2002), and more than they do once each act is shuffled
over contacts by itself: what then is left are single acts and no kinds of people. Whole accounts
are drawn, so that a few large ones are no kinds either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

from nurture_rl.predictions.clustered_log_rank import clustered_log_rank
from nurture_rl.predictions.episode_acts import EpisodeActs
from nurture_rl.predictions.incidence import NOTHING, incidence

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_GROUPS = (2, 3, 4, 5)
_PAIRS, _STARTS, _STEPS = 6, 3, 30
_STABLE = 0.8  # agreement below which groups are no kinds of people
_BEYOND = 0.1  # by which it must be above that of shuffled acts
_AS_GOOD = 0.05  # fewer groups are taken that come so near to the best number of them
_SMALLEST = 0.05  # share of the contacts that a kind has at least; fewer are odd ones
_FEWEST, _MOST = 100, 2000  # contacts that are clustered


@dataclass(frozen=True, slots=True)
class BehaviourSegment:
    """A group of contacts."""

    share: float  # of the contacts
    reached: float  # chance to reach the north star later in the episode
    means: dict[str, float]  # of each act, in the first days


@dataclass(frozen=True, slots=True)
class FoundSegments:
    """What was found, or why nothing was."""

    stability: float  # mean adjusted Rand index of the best number of groups
    shuffled: float  # the same where each act is shuffled over contacts
    segments: tuple[BehaviourSegment, ...]  # empty: no stable ones
    p: float  # that all groups reach the north star alike; 1 where there are none
    days: float  # that were looked at
    told: bool = False  # among the findings: groups reach it otherwise


def behaviour_segments(
    acts: EpisodeActs, days: float, rng: np.random.Generator
) -> tuple[FoundSegments, IntArray]:
    """Kinds of contacts by what they did in their first days, and the kind of each episode, [e].

    The kind is -1 where an episode is in none.

    Args:
        acts: of all episodes; those that were not watched so long, or ended before, are left out.
        days: that are looked at.
        rng: draws resamples and the k-means' starts.
    """
    there = np.flatnonzero((acts.watched > days) & (acts.reached > days))
    nothing = FoundSegments(0.0, 0.0, (), 1.0, days), np.full(len(acts), -1)
    if there.size < _FEWEST:
        return nothing
    if there.size > _MOST:
        there = np.sort(rng.choice(there, _MOST, replace=False))
    counts = np.stack([_counts(acts, i, days) for i in there.tolist()])
    varied = counts.std(axis=0) > 0.0
    if varied.sum() < 2:
        return nothing
    points = _scaled(counts[:, varied])
    mixed = np.stack([rng.permutation(column) for column in points.T], axis=1)
    _, cluster = np.unique(acts.cluster[there].astype(str), return_inverse=True)
    found = [
        (_stability(points, cluster, k, rng), _stability(mixed, cluster, k, rng), k)
        for k in _GROUPS
    ]
    best = max(stable - mixed for stable, mixed, _ in found)
    stability, shuffled, k = next(one for one in found if one[0] - one[1] >= best - _AS_GOOD)
    group = _nearest(points, _centres(points, k, rng))
    small = np.bincount(group, minlength=k).min() < _SMALLEST * len(group)
    if stability < _STABLE or stability - shuffled < _BEYOND or small:
        return FoundSegments(stability, shuffled, (), 1.0, days), nothing[1]
    group = np.argsort(np.argsort(-np.bincount(group, minlength=k), kind="stable"))[group]
    leaves = np.minimum(acts.reached, acts.watched)[there]
    won = (acts.reached <= acts.watched)[there]
    came = np.where(won, 0, NOTHING)
    segments = tuple(
        BehaviourSegment(
            share=float((group == one).mean()),
            reached=incidence(leaves[group == one], came[group == one], 0, acts.length).chance,
            means={
                name: float(counts[group == one, place].mean())
                for place, name in enumerate(acts.names)
                if varied[place]
            },
        )
        for one in range(k)  # the largest first
    )
    # At risk from the day that begins with the grouping, not from the one after.
    p = clustered_log_rank((np.full(len(there), days - 1.0), leaves), won, group, cluster).p
    of_each = np.full(len(acts), -1)
    of_each[there] = group
    return FoundSegments(stability, shuffled, segments, p, days), of_each


def adjusted_rand(one: IntArray, other: IntArray) -> float:
    """How far two groupings of the same things agree: 1 wholly, 0 as by chance, [n] each."""
    table = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(table, (one, other), 1.0)
    both = comb(table, 2).sum()
    rows, columns = comb(table.sum(axis=1), 2).sum(), comb(table.sum(axis=0), 2).sum()
    by_chance = rows * columns / comb(len(one), 2)
    most = (rows + columns) / 2.0
    return 1.0 if most == by_chance else float((both - by_chance) / (most - by_chance))


def _counts(acts: EpisodeActs, episode: int, days: float) -> FloatArray:
    act, day = acts.of(episode)
    return np.bincount(act[day < days], minlength=len(acts.names)).astype(float)


def _scaled(counts: FloatArray) -> FloatArray:
    logged = np.log1p(counts)
    return np.asarray((logged - logged.mean(axis=0)) / logged.std(axis=0))


def _stability(points: FloatArray, cluster: IntArray, k: int, rng: np.random.Generator) -> float:
    order = np.argsort(cluster, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(cluster))[:-1])
    agreed = []
    for _ in range(_PAIRS):
        groups = []
        for _ in range(2):
            drawn = rng.integers(0, len(members), len(members))
            rows = np.concatenate([members[one] for one in drawn.tolist()])
            groups.append(_nearest(points, _centres(points[rows], k, rng)))
        agreed.append(adjusted_rand(*groups))
    return float(np.mean(agreed))


def _centres(points: FloatArray, k: int, rng: np.random.Generator) -> FloatArray:
    """Centres of k groups, the best of some starts, [k, d]."""
    best, least = points[:k], np.inf
    for _ in range(_STARTS):
        centres = points[rng.integers(len(points))][None]
        while len(centres) < k:  # far points are likely to be centres
            far = _squares(points, centres).min(axis=1)
            chance = far / far.sum() if far.sum() > 0.0 else None
            centres = np.vstack([centres, points[rng.choice(len(points), p=chance)]])
        for _ in range(_STEPS):
            group = _nearest(points, centres)
            moved = np.stack(
                [
                    points[group == one].mean(axis=0) if (group == one).any() else centres[one]
                    for one in range(k)
                ]
            )
            if np.allclose(moved, centres):
                break
            centres = moved
        spread = float(_squares(points, centres).min(axis=1).sum())
        if spread < least:
            best, least = centres, spread
    return best


def _nearest(points: FloatArray, centres: FloatArray) -> IntArray:
    return np.asarray(_squares(points, centres).argmin(axis=1), np.int64)


def _squares(points: FloatArray, centres: FloatArray) -> FloatArray:
    """Squared distances, [n, k]."""
    return np.asarray(((points[:, None, :] - centres[None]) ** 2).sum(axis=2))
