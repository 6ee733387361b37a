"""Estimators that give up a little bias for much less variance: large weights are made smaller.

In the notation of `nurture_rl.ope.estimators`. `ess` is that of the weights before they are made
smaller: it says what the log offers, whatever is then done about it.
"""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import (
    ValueEstimate,
    as_panel,
    corrected_values,
    cumulative_weights,
    effective_sample_size,
    mean_of_episodes,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start
from nurture_rl.ope.value_model import ValuePredictions


def clipped_ips(log: EvaluationLog, taken: FloatArray, clip: float) -> ValueEstimate:
    """Estimate a policy's value by importance weights that never exceed `clip`.

        V = 1/E sum_e sum_t g_et min(w_et, clip) r_et

    With rewards >= 0 it errs downwards only. `clip` infinite is `ips`.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        clip: largest weight, > 0.

    Raises:
        ShapeError: `clip` is not above 0, or `taken` is not [N].
        ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Ionides (2008), Truncated Importance Sampling; for logs Bottou et al. (2013),
        Counterfactual Reasoning and Learning Systems.
    """
    _require_above(clip > 0.0, "clip", clip, "above 0; weights are 1 on average")
    weights = cumulative_weights(log, taken)
    gains = as_panel(log, discount_from_start(log) * log.reward, 0.0)
    per_episode = (np.minimum(weights, clip) * gains).sum(axis=1)
    return mean_of_episodes(log, per_episode, effective_sample_size(weights[:, -1]))


def switch_dr(
    log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions, tau: float
) -> ValueEstimate:
    """Estimate a policy's value by `dr` where ratios are small, by the model elsewhere.

        D_t = v(x_t) + rho_t 1[rho_t <= tau] (r_t + discount D_{t+1} - q(x_t, a_t))

    `tau` infinite is `dr`, 0 is `dm`. Its bias is the model's, on decisions of large ratios only.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.
        tau: largest ratio of a decision that is used, >= 0.

    Raises:
        ShapeError: `tau` is below 0, or `taken` is not [N].
        ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Wang, Agarwal & Dudik (2017), Optimal and Adaptive Off-policy Evaluation in Contextual
        Bandits; step by step here.
    """
    _require_above(tau >= 0.0, "tau", tau, "0 or more; 0 trusts the model alone")
    ratio = taken / log.propensity
    return _shrunken(log, taken, np.where(ratio <= tau, ratio, 0.0), predictions)


def dros(
    log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions, lam: float
) -> ValueEstimate:
    """Estimate a policy's value by `dr` with optimistic shrinkage of its ratios.

        D_t = v(x_t) + lam rho_t / (rho_t^2 + lam) (r_t + discount D_{t+1} - q(x_t, a_t))

    A ratio far above sqrt(lam) counts as lam / rho. `lam` infinite is `dr`, 0 is `dm`.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.
        lam: square of the ratio from which on shrinkage bites, >= 0.

    Raises:
        ShapeError: `lam` is below 0, or `taken` is not [N].
        ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Su, Dimakopoulou, Krishnamurthy & Dudik (2020), Doubly Robust Off-policy Evaluation with
        Shrinkage; step by step here.
    """
    _require_above(lam >= 0.0, "lam", lam, "0 or more; 0 trusts the model alone")
    ratio = taken / log.propensity
    shrunken = ratio / (1.0 + ratio**2 / lam) if lam > 0.0 else np.zeros(log.n_rows)
    return _shrunken(log, taken, shrunken, predictions)


def _shrunken(
    log: EvaluationLog, taken: FloatArray, ratio: FloatArray, predictions: ValuePredictions
) -> ValueEstimate:
    """`dr` with ratios of one's own, [N]; the weights are checked and counted as they were."""
    weights = cumulative_weights(log, taken)
    corrected = corrected_values(log, ratio, predictions)
    return mean_of_episodes(log, corrected, effective_sample_size(weights[:, -1]))


def _require_above(met: bool, name: str, value: float, expected: str) -> None:
    if not met:
        raise ShapeError(f"{name} must be {expected}, got {value}")
