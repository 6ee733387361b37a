"""Estimators of a target policy's value, in sequential form.

At horizon 1 they are the bandit estimators of the same names. Notation: e an episode, t the place
of a decision in it, E episodes, g discount^(bins since the first decision),

    rho_et = target(a_et|x_et) / propensity_et,    w_et = rho_e0 * ... * rho_et

An episode that ended before t keeps its last weight: its reward after the end is a known 0, so it
stays in every average. Dividing step t by the episodes still alive would over-count late rewards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError, ProbabilityError, ShapeError
from nurture_rl.ope.clusters import cluster_totals, clustered_stderr
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    continuation,
    discount_from_start,
    first_rows,
    horizon,
    positions,
    single,
)
from nurture_rl.ope.value_model import ValuePredictions


@dataclass(frozen=True, slots=True, eq=False)
class ValueEstimate:
    """What a target policy would earn per episode, and how sure we are."""

    value: float  # in the log's unit, per episode
    stderr: float  # clustered by contact, same unit; infinite with one contact
    n_episodes: int  # episodes used
    n_clusters: int  # contacts they belong to
    ess: float  # effective number of episodes under the final weights, in (0, n_episodes]
    influence: FloatArray  # error of the estimate, split by contact in ascending order, [C]


def as_panel(log: EvaluationLog, values: FloatArray, fill: float) -> FloatArray:
    """Lay a number per row out by episode and place, [E, H]; `fill` where an episode has ended.

    Where each episode is one decision it is the numbers themselves, no copy: do not write into it.
    """
    if single(log):
        return np.asarray(values, dtype=np.float64).reshape(-1, 1)
    panel = np.full((log.n_episodes, horizon(log)), fill, dtype=np.float64)
    panel[log.episode, positions(log)] = values
    return panel


def cumulative_weights(log: EvaluationLog, taken: FloatArray) -> FloatArray:
    """Products of the importance ratios up to each decision, ended episodes padded, [E, H].

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].

    Raises:
        ShapeError: `taken` is not [N].
        ProbabilityError: an entry outside [0, 1].
        OverlapError: a product, or their sum, leaves the range of floating point numbers.
    """
    if taken.shape != (log.n_rows,):
        raise ShapeError(f"taken must be [{log.n_rows}], one per decision, got {taken.shape}")
    if not ((taken >= 0.0) & (taken <= 1.0 + 1e-6)).all():
        raise ProbabilityError(
            f"target probabilities of logged actions must lie in [0, 1], got {taken.min():g} to "
            f"{taken.max():g}; give probabilities, not their logarithms"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        weights = as_panel(log, taken / log.propensity, 1.0)
        if weights.shape[1] > 1:
            weights = np.cumprod(weights, axis=1, dtype=np.float64)
        known = np.isfinite(weights.sum(axis=0)).all()
    if not known:
        raise OverlapError(
            f"importance weights over {horizon(log)} decisions exceed floating point; the target "
            "is too far from the logging policy for weights, stay closer or shorten the episodes"
        )
    return np.asarray(weights, dtype=np.float64)


def weight_totals(log: EvaluationLog, weights: FloatArray) -> FloatArray:
    """Sum of the weights [E, H] at each step, what self-normalised estimators divide by, [H].

    Raises:
        OverlapError: all weights of some step are 0.
    """
    total = weights.sum(axis=0)
    dead = np.flatnonzero(total <= 0.0)
    if dead.size:
        raise OverlapError(
            f"all {log.n_episodes} importance weights are 0 from decision {dead[0]} of the "
            "episodes on: the target policy never does what was logged; compare the action sets, "
            "or log with more exploration"
        )
    return np.asarray(total, dtype=np.float64)


def effective_sample_size(weights: FloatArray) -> float:
    """(sum w)^2 / sum w^2: equally weighted episodes worth as much, in [0, E].

    Source: Kish (1965), Survey Sampling; Owen, Monte Carlo theory, ch. 9.
    """
    largest = weights.max()
    if largest <= 0.0:
        return 0.0
    # Scaling by the largest keeps squares of huge weights finite.
    scaled = weights / largest
    return float(scaled.sum() ** 2 / np.square(scaled).sum())


def ips(log: EvaluationLog, taken: FloatArray) -> ValueEstimate:
    """Estimate a policy's value by per-decision importance weighting.

        V = 1/E sum_e sum_t g_et w_et r_et

    Unbiased when the propensities are right and cover the target; its variance grows with the
    horizon like the second moment of the ratios to the power t.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].

    Returns:
        The estimate. With `taken` equal to the propensities it is the log's own mean.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Precup, Sutton & Singh (2000), Eligibility Traces for Off-Policy Policy Evaluation.
    """
    per_episode, final = weighted_returns(log, taken)
    return mean_of_episodes(log, per_episode, effective_sample_size(final))


def weighted_returns(log: EvaluationLog, taken: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What `ips` averages, sum_t g_et w_et r_et, and each episode's final weight, [E] each."""
    weights = cumulative_weights(log, taken)
    gains = as_panel(log, discount_from_start(log) * log.reward, 0.0)
    return (weights * gains).sum(axis=1), weights[:, -1]


def snips(log: EvaluationLog, taken: FloatArray) -> ValueEstimate:
    """Estimate a policy's value by self-normalised (weighted per-decision) importance weighting.

        V = sum_t V_t,    V_t = sum_e g_et w_et r_et / sum_e w_et

    Biased by O(1/E), consistent, and each V_t bounded by the rewards observed at t.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].

    Returns:
        The estimate; `stderr` is the delta-method error, which counts the noise of every step's
        denominator.

    Raises:
        OverlapError: all weights of some step are 0.
        ShapeError, ProbabilityError: as `cumulative_weights`.

    Source: Swaminathan & Joachims (2015), The Self-Normalized Estimator for Counterfactual
        Learning; per decision as in Precup, Sutton & Singh (2000).
    """
    weights = cumulative_weights(log, taken)
    total = weight_totals(log, weights)
    gains = as_panel(log, discount_from_start(log) * log.reward, 0.0)
    by_step = (weights * gains).sum(axis=0) / total
    # The denominators are random too: their noise enters through gains - by_step.
    per_episode = (weights / total * (gains - by_step)).sum(axis=1)
    ess = effective_sample_size(weights[:, -1])
    return estimate_from(log, float(by_step.sum()), cluster_totals(log, per_episode), ess)


def dm(log: EvaluationLog, predictions: ValuePredictions) -> ValueEstimate:
    """Estimate a policy's value by the value model alone (direct method).

        V = 1/E sum_e v(x_e0),    v(x) = sum_a target(a|x) q(x, a)

    Bias is whatever the model has. The standard error only covers which contacts were sampled,
    not the error of the fitted model: read its interval as too narrow.

    Args:
        log: the logged decisions.
        predictions: a cross-fitted value model's answers on the log.

    Returns:
        The estimate; `ess` is the number of episodes, as no weight is used.

    Source: Le, Voloshin & Yue (2019), Batch Policy Learning under Constraints (fitted Q
        evaluation); at horizon 1 the direct method of Dudik, Langford & Li (2011).
    """
    return mean_of_episodes(log, predictions.value[first_rows(log)], float(log.n_episodes))


def dr(log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions) -> ValueEstimate:
    """Estimate a policy's value by the doubly robust recursion.

        D_t = v(x_t) + rho_t (r_t + discount D_{t+1} - q(x_t, a_t)),    V = 1/E sum_e D_e0

    Unbiased when the propensities are right, whatever the model, as long as the model of a row
    never saw that row's contact; the better the model, the smaller the variance.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.

    Returns:
        The estimate.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Jiang & Li (2016), Doubly Robust Off-policy Value Evaluation for Reinforcement
        Learning; horizon 1 is Dudik, Langford & Li (2011).
    """
    per_episode, final = corrected_returns(log, taken, predictions)
    return mean_of_episodes(log, per_episode, effective_sample_size(final))


def corrected_returns(
    log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions
) -> tuple[FloatArray, FloatArray]:
    """What `dr` averages, D_e0, and each episode's final weight, [E] each."""
    weights = cumulative_weights(log, taken)
    return corrected_values(log, taken / log.propensity, predictions), weights[:, -1]


def corrected_values(
    log: EvaluationLog, ratio: FloatArray, predictions: ValuePredictions
) -> FloatArray:
    """The doubly robust recursion's D at each episode's first decision, [E]; `ratio` is [N]."""
    # Past an episode's end value, residual and weight of the next are 0, so D stays 0 there.
    value = as_panel(log, predictions.value, 0.0)
    residual = as_panel(log, log.reward - predictions.q_logged, 0.0)
    rho, onward = as_panel(log, ratio, 1.0), as_panel(log, continuation(log), 0.0)
    corrected = np.zeros(log.n_episodes)
    for t in range(value.shape[1] - 1, -1, -1):
        corrected = value[:, t] + rho[:, t] * (residual[:, t] + onward[:, t] * corrected)
    return corrected


def mean_of_episodes(log: EvaluationLog, per_episode: FloatArray, ess: float) -> ValueEstimate:
    """The estimate that is a mean over episodes, [E]; contacts stay together in its error."""
    value = float(per_episode.mean())
    influence = cluster_totals(log, per_episode - value) / log.n_episodes
    return estimate_from(log, value, influence, ess)


def estimate_from(
    log: EvaluationLog, value: float, influence: FloatArray, ess: float
) -> ValueEstimate:
    """The estimate with the clustered error that its influence by contact says, [C]."""
    return ValueEstimate(
        value=value,
        stderr=clustered_stderr(influence),
        n_episodes=log.n_episodes,
        n_clusters=influence.size,
        ess=ess,
        influence=influence,
    )
