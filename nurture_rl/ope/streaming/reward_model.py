"""A reward model that is fitted once and asked batch after batch, never about its own contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.ope.feature_map import scale
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, single
from nurture_rl.ope.value_model import ValueDesign, reward_weights


@dataclass(frozen=True, slots=True, eq=False)
class RewardModel:
    """Expected reward of every action, linear in features, cross-fitted by bucket of contacts."""

    weights: FloatArray  # of [1, features as they are] for every action by fold, [K, 1 + d, a]
    fold: IntArray  # whose model answers for a bucket: one that never saw it, [B]

    def rewards(
        self, features: NDArray[np.float32], bucket: IntArray, compiled: bool
    ) -> FloatArray:
        """Expected reward of every action, [n, d] and [n] -> [n, a]; by compiled loops or not."""
        fold = self.fold[bucket]
        predicted = np.empty((len(features), self.weights.shape[2]))
        if compiled:
            from nurture_rl.ope.streaming.compiled_policies import predict

            predict(predicted, features, self.weights, fold)
            return predicted
        x = features.astype(np.float64)
        for k, weights in enumerate(self.weights):
            rows = np.flatnonzero(fold == k)
            predicted[rows] = weights[0] + x[rows] @ weights[1:]
        return predicted


def reward_model(log: EvaluationLog, design: ValueDesign, n_buckets: int) -> RewardModel:
    """The model of a design, ready for rows that are not in it.

    Args:
        log: the decisions of the design, each an episode; their clusters are buckets.
        design: of `value_design` on them.
        n_buckets: B. A bucket that has no row there was seen by no fold, and gets any.

    Raises:
        ShapeError: episodes of several decisions.
    """
    if not single(log):
        raise ShapeError(
            "a reward model is for one-step decisions; evaluate longer episodes in memory"
        )
    mean, spread = scale(log)
    d, weights = log.features.shape[1], reward_weights(design)
    fold = np.arange(n_buckets, dtype=np.int64) % len(weights)
    for k in range(len(weights)):
        ends = design.cells(k)
        fold[log.cluster[design.order[ends[0] : ends[-1]]]] = k
    # The bin is a feature of the design too; it is the same in every row here and counts as 0.
    own = weights[:, : 1 + d].copy()
    own[:, 1:] /= spread[:d, None]
    own[:, 0] -= np.einsum("d,kda->ka", mean[:d], own[:, 1:])
    return RewardModel(own, fold)
