"""The doubly robust estimator with weights that sum to one at every step."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import (
    ValueEstimate,
    as_panel,
    cumulative_weights,
    effective_sample_size,
    estimate_from,
    weight_totals,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start
from nurture_rl.ope.value_model import ValuePredictions


def sndr(log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions) -> ValueEstimate:
    """Estimate a policy's value by the self-normalised doubly robust estimator.

        V = sum_t sum_e g_et [ W_{e,t-1} v_et + W_et (r_et - q_et) ],
        W_et = w_et / sum_e w_et,    W_{e,-1} = 1/E

    At horizon 1 the mean of v plus the weighted mean of the residuals: bounded by the largest
    residual, where `dr` is not. Biased by O(1/E), consistent.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.

    Returns:
        The estimate; `stderr` is the delta-method error, which counts the noise of every step's
        denominator.

    Raises:
        OverlapError: all weights of some step are 0.
        ShapeError, ProbabilityError: as `cumulative_weights`.

    Source: Robins, Sued, Lei-Gomez & Rotnitzky (2007), Comment: Performance of Double-Robust
        Estimators; step by step Thomas & Brunskill (2016), Data-Efficient Off-Policy Policy
        Evaluation (weighted doubly robust).
    """
    weights = cumulative_weights(log, taken)
    total = weight_totals(log, weights)
    worth = discount_from_start(log)
    value = as_panel(log, worth * predictions.value, 0.0)
    residual = as_panel(log, worth * (log.reward - predictions.q_logged), 0.0)
    share = weights / total
    before = np.hstack([np.full((log.n_episodes, 1), 1.0 / log.n_episodes), share[:, :-1]])
    modelled, corrected = (before * value).sum(axis=0), (share * residual).sum(axis=0)
    # The denominators are random too: their noise enters through the deviations from each mean.
    per_episode = before * (value - modelled) + share * (residual - corrected)
    influence = cluster_totals(log, per_episode.sum(axis=1))
    ess = effective_sample_size(weights[:, -1])
    return estimate_from(log, float((modelled + corrected).sum()), influence, ess)
