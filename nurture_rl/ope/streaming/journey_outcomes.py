"""Rare outcomes of a log that is read in blocks, as `rare_outcomes` tells them of one in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.ope.bounds.rare_outcomes import (
    RARE_FACTOR,
    RARE_SHARE,
    RARE_VARIATION,
    RareOutcomes,
)
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, discount_from_start
from nurture_rl.ope.streaming.contact_blocks import LogShape
from nurture_rl.ope.streaming.journey_sums import panel


@dataclass(frozen=True, slots=True, eq=False)
class RareSums:
    """What a block's rewards say of rare outcomes."""

    episodes: int  # with a rare outcome
    square: float  # of all rewards
    within: float  # of the rare ones
    paid: FloatArray  # rare gains, then losses turned positive, summed, [2]
    cubes: FloatArray  # their cubes by place in the episode, [2, H]


@dataclass(frozen=True, slots=True, eq=False)
class WeightedOutcomes:
    """Rare outcomes of a block, weighted by a policy or by the difference of two."""

    gained: FloatArray  # by contact, >= 0, [C]
    lost: FloatArray  # turned positive, [C]
    weight: FloatArray  # weights above 0, then those below turned positive, summed, [2, H]
    cubes: FloatArray  # of the weights, [2, H]
    matched: int


def rare_sums(log: EvaluationLog, shape: LogShape) -> RareSums:
    """What a block's rewards say of rare outcomes; `shape` is of the whole log."""
    rare = _rare(log, shape)
    amounts = _amounts(log, shape)
    sides = np.stack([np.maximum(amounts, 0.0), np.maximum(-amounts, 0.0)])
    return RareSums(
        episodes=np.unique(log.episode[rare]).size,
        square=float(log.reward @ log.reward),
        within=float(log.reward[rare] @ log.reward[rare]),
        paid=sides.sum(axis=(1, 2)),
        cubes=(sides**3).sum(axis=1),
    )


def ruled_by_rare(parts: Sequence[RareSums], n_episodes: int) -> bool:
    """Whether rewards are ruled by rare outcomes, from the sums of all blocks."""
    episodes = sum(part.episodes for part in parts)
    within, square = sum(part.within for part in parts), sum(part.square for part in parts)
    return 0 < episodes <= RARE_SHARE * n_episodes and within >= RARE_VARIATION * square


def weighted_outcomes(log: EvaluationLog, weights: FloatArray, shape: LogShape) -> WeightedOutcomes:
    """Rare outcomes of a block.

    Args:
        log: decisions of whole contacts.
        weights: cumulative weights, or their difference to another policy's, [E, H].
        shape: of the whole log.
    """
    weighted = weights * _amounts(log, shape) / shape.n_episodes
    sides = np.stack([np.maximum(weights, 0.0), np.maximum(-weights, 0.0)])
    return WeightedOutcomes(
        gained=cluster_totals(log, np.maximum(weighted, 0.0).sum(axis=1)),
        lost=cluster_totals(log, np.maximum(-weighted, 0.0).sum(axis=1)),
        weight=sides.sum(axis=1),
        cubes=(sides**3).sum(axis=1),
        matched=int((weighted != 0.0).sum()),
    )


def journey_outcomes(
    rare: Sequence[RareSums], parts: Sequence[WeightedOutcomes], episodes: FloatArray
) -> RareOutcomes:
    """The rare outcomes of the whole log; an exact share is never told.

    Args:
        rare: of every block.
        parts: of every block, by one policy or difference.
        episodes: of each contact, [C].
    """
    n = float(episodes.sum())
    paid, paid_cubes = (np.sum([getattr(one, at) for one in rare], axis=0) for at in _PAID)
    weight, cubes = (np.sum([getattr(one, at) for one in parts], axis=0) for at in _WEIGHED)
    square = cubes / np.where(weight > 0.0, weight, 1.0)

    def further(side: int, amount: int) -> float:
        if not weight[side].any() or paid[amount] <= 0.0:
            return 0.0
        return float(np.sqrt(square[side] @ paid_cubes[amount] / paid[amount]))

    return RareOutcomes(
        gained=np.concatenate([one.gained for one in parts]),
        lost=np.concatenate([one.lost for one in parts]),
        further_gain=max(further(0, 0), further(1, 1)) / n,
        further_loss=max(further(0, 1), further(1, 0)) / n,
        episodes=episodes / n,
        matched=sum(one.matched for one in parts),
        sparse=True,
        share=None,
    )


_PAID, _WEIGHED = ("paid", "cubes"), ("weight", "cubes")


def _rare(log: EvaluationLog, shape: LogShape) -> BoolArray:
    return np.abs(log.reward) > RARE_FACTOR * shape.size


def _amounts(log: EvaluationLog, shape: LogShape) -> FloatArray:
    """Rare outcomes as they count at the episode's start, [E, H]."""
    earned = np.where(_rare(log, shape), discount_from_start(log) * log.reward, 0.0)
    return panel(log, earned, 0.0, shape.horizon)
