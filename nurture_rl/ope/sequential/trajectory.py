"""Whole-trajectory importance sampling: every reward weighted by the whole episode's ratio.

Never better than the per-decision forms; they are here to check those, and to show what one gives
up by weighting an early reward with what was done after it.
"""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import (
    ValueEstimate,
    as_panel,
    cumulative_weights,
    effective_sample_size,
    estimate_from,
    mean_of_episodes,
)
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    continuation,
    discount_from_start,
    positions,
)


def discounted_returns(log: EvaluationLog) -> FloatArray:
    """Discounted sum of each episode's rewards, in the log's unit, [E]."""
    gains = discount_from_start(log) * log.reward
    return np.bincount(log.episode, weights=gains).astype(np.float64)


def returns_to_go(log: EvaluationLog) -> FloatArray:
    """Discounted sum of the rewards from each decision to its episode's end, worth there, [N]."""
    gains = as_panel(log, log.reward, 0.0)
    onward = as_panel(log, continuation(log), 0.0)
    for t in range(gains.shape[1] - 2, -1, -1):
        gains[:, t] += onward[:, t] * gains[:, t + 1]
    return np.asarray(gains[log.episode, positions(log)], dtype=np.float64)


def tis(log: EvaluationLog, taken: FloatArray) -> ValueEstimate:
    """Estimate a policy's value by whole-trajectory importance weighting.

        V = 1/E sum_e w_eH G_e,    G_e = sum_t g_et r_et

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Precup, Sutton & Singh (2000), Eligibility Traces for Off-Policy Policy Evaluation.
    """
    final = cumulative_weights(log, taken)[:, -1]
    return mean_of_episodes(log, final * discounted_returns(log), effective_sample_size(final))


def sntis(log: EvaluationLog, taken: FloatArray) -> ValueEstimate:
    """Estimate a policy's value by self-normalised whole-trajectory weighting.

        V = sum_e w_eH G_e / sum_e w_eH

    Biased by O(1/E), consistent, and bounded by the returns observed.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].

    Raises:
        OverlapError: every episode's weight is 0.
        ShapeError, ProbabilityError: as `cumulative_weights`.

    Source: Precup, Sutton & Singh (2000), as above.
    """
    final = cumulative_weights(log, taken)[:, -1]
    total = final.sum()
    if total <= 0.0:
        raise OverlapError(
            f"all {log.n_episodes} episode weights are 0: the target policy never does all of what "
            "was logged in an episode; use a per-decision estimator, or log with more exploration"
        )
    returns = discounted_returns(log)
    value = float(final @ returns / total)
    influence = cluster_totals(log, final * (returns - value)) / total
    return estimate_from(log, value, influence, effective_sample_size(final))
