"""Whether two estimators that must agree do: what uses the features against what does not."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p
from nurture_rl.ope.checks.grouped import RARE, ROUNDING, cautious_error
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import cumulative_weights, dr, effective_sample_size, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start, positions
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.ties import apart
from nurture_rl.ope.value_model import ValuePredictions


def agreement_finding(
    log: EvaluationLog,
    target: TargetOnLog,
    predictions: ValuePredictions,
    thresholds: CheckThresholds,
) -> Finding | None:
    """Whether the doubly robust estimate and the self-normalised one differ beyond their error.

    Both are right where propensities are and features were known before the decision; the first
    reads features, the second none. Their difference is taken contact by contact, so that the
    error they share cancels. Weights of rare actions often do not turn up, and what did then looks
    surer than it is: one more contact of their size stands for them, at either end.

    Args:
        log: the logged decisions.
        target: the target policy on them.
        predictions: a cross-fitted value model's answers on the log.
        thresholds: when to warn and when to refuse.

    Returns:
        The finding; None where the effective sample is too small for either to be near its limit.

    Raises:
        OverlapError: weights beyond floating point, or all 0.
    """
    weights = cumulative_weights(log, target.taken)
    if effective_sample_size(weights[:, -1]) < thresholds.min_ess:
        return None
    plain = snips(log, target.taken)
    robust = dr(log, target.taken, predictions)
    value, influence = apart(robust, plain)
    error = cautious_error(influence, _unseen(log, target, predictions, weights))
    p, stderr = skewed_p(value, error), clustered_stderr(error)
    severity = by_p(p, thresholds)
    agree = severity is Severity.OK
    return Finding(
        "estimators-agree",
        severity,
        {"difference": value, "stderr": stderr, "p": p},
        f"with features (doubly robust) and without (self-normalised) the policy is worth "
        f"{robust.value:.4g} and {plain.value:.4g} {log.unit}, "
        f"{'as near as' if agree else 'further apart than'} their joint error {stderr:.2g} "
        f"{'lets them be' if agree else 'explains'} (p {p:.2g})",
        ""
        if agree
        else "look for a feature that is written after the decision, and for wrong propensities; "
        "leave features out until the two agree",
    )


def _unseen(
    log: EvaluationLog, target: TargetOnLog, predictions: ValuePredictions, weights: FloatArray
) -> float:
    """Size of the difference that one more weight of every rare action would make, >= 0.

    A weight w on action a moves the two estimates apart by w times the distance of q(x, a) from
    the mean value there; the largest distance of any q stands for that of what was not taken.

    Args:
        log: the logged decisions.
        target: the target policy on them.
        predictions: a cross-fitted value model's answers on the log.
        weights: products of the importance ratios, [E, H].
    """
    place = positions(log)
    before = np.column_stack([np.ones(log.n_episodes), weights[:, :-1]])[log.episode, place]
    now = weights[log.episode, place]
    chance = _chances(log, target)
    rare = (chance > ROUNDING) & (chance < RARE)
    rare[np.arange(log.n_rows), log.action] = False
    due = np.where(rare, before[:, None] * target.probabilities, 0.0)
    first = due.sum(axis=0)
    second = (due**2 / np.where(rare, chance, 1.0)).sum(axis=0)
    # Of many that had their chance some turned up, and the error knows: one more will do.
    one = np.divide(second, first, out=np.zeros_like(second), where=first > 0.0)
    weight = float(np.sqrt(np.minimum(second, one**2).sum()))
    total = np.bincount(place, weights=now)
    mean = np.bincount(place, weights=now * predictions.q_logged) / np.where(total > 0, total, 1.0)
    values = np.stack([predictions.q_logged, predictions.value])
    away = np.abs(discount_from_start(log) * (values - mean[place])).max()
    return weight * float(away) / log.n_episodes


def _chances(log: EvaluationLog, target: TargetOnLog) -> FloatArray:
    """Chance of every action that was not taken, [N, a].

    Without the logged distributions, what the taken action left, shared as the target shares it:
    no other shares make smaller weights.
    """
    if log.logged_probabilities is not None:
        return log.logged_probabilities
    others = np.maximum(1.0 - target.taken, ROUNDING)
    return np.asarray(target.probabilities * ((1.0 - log.propensity) / others)[:, None])
