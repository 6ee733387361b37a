"""Weighted doubly robust estimation and the partial horizons that lead up to it.

The self-normalised doubly robust sum telescopes into the model's value and one correction per
decision place,

    V_j = 1/E sum_e v(x_e0) + sum_{t < j} sum_e w_et g_et d_et / sum_e w_et,
    d_et = r_et + discount v(x_e,t+1) - q(x_et, a_et)

j = 0 is the direct method, j = H is WDR. Every ratio's error is known to first order.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    continuation,
    discount_from_start,
    first_rows,
)
from nurture_rl.ope.value_model import ValuePredictions


@dataclass(frozen=True, slots=True, eq=False)
class PartialHorizons:
    """Estimates that correct the model for the first j decisions and trust it from there on."""

    values: FloatArray  # V_0 .. V_H, in the log's unit per episode, [1 + H]
    influence: FloatArray  # error of each, split by contact in ascending order, [C, 1 + H]
    ess: float  # effective number of episodes under the final weights


def value_ahead(log: EvaluationLog, value: FloatArray) -> FloatArray:
    """Worth now of `value` at the episode's next row, 0 at its last, [N] -> [N]."""
    return np.asarray(continuation(log) * np.append(value[1:], 0.0), dtype=np.float64)


def temporal_differences(log: EvaluationLog, predictions: ValuePredictions) -> FloatArray:
    """How much better than the model said a decision went, r + discount v(x') - q(x, a), [N]."""
    return log.reward + value_ahead(log, predictions.value) - predictions.q_logged


def partial_horizons(
    log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions
) -> PartialHorizons:
    """All V_j of this module, with the errors of their random denominators.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.

    Raises:
        OverlapError: all weights of some step are 0.
        ShapeError, ProbabilityError: as `cumulative_weights`.
    """
    weights = cumulative_weights(log, taken)
    total = weight_totals(log, weights)
    gains = as_panel(log, discount_from_start(log) * temporal_differences(log, predictions), 0.0)
    by_step = (weights * gains).sum(axis=0) / total
    start = predictions.value[first_rows(log)]
    errors = np.empty((log.n_episodes, 1 + by_step.size))
    errors[:, 0] = (start - start.mean()) / log.n_episodes
    # The denominators are random too: their noise enters through gains - by_step.
    errors[:, 1:] = weights / total * (gains - by_step)
    influence = np.column_stack([cluster_totals(log, column) for column in errors.T])
    return PartialHorizons(
        values=np.cumsum(np.append(start.mean(), by_step)),
        influence=np.cumsum(influence, axis=1),
        ess=effective_sample_size(weights[:, -1]),
    )


def wdr(log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions) -> ValueEstimate:
    """Estimate a policy's value by the weighted (self-normalised) doubly robust sum.

        V = 1/E sum_e v(x_e0) + sum_t sum_e w_et g_et d_et / sum_e w_et

    Consistent when the propensities are right, whatever the model; biased by O(1/E), and far less
    moved by single large weights than `dr`. With a model of zeros it is `snips`. Horizon 1 is the
    self-normalised doubly robust estimator of bandits.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.

    Returns:
        The estimate; `stderr` is the delta-method error, every step's denominator included.

    Raises:
        OverlapError, ShapeError, ProbabilityError: as `partial_horizons`.

    Source: Thomas & Brunskill (2016), Data-Efficient Off-Policy Policy Evaluation for
        Reinforcement Learning, sec. 5.
    """
    horizons = partial_horizons(log, taken, predictions)
    return estimate_from(log, float(horizons.values[-1]), horizons.influence[:, -1], horizons.ess)
