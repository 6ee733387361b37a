"""Whether two estimators that must agree do: what uses the features against what does not."""

from __future__ import annotations

from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import cumulative_weights, dr, effective_sample_size, snips
from nurture_rl.ope.log import EvaluationLog
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
    error they share cancels.

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
    final = cumulative_weights(log, target.taken)[:, -1]
    if effective_sample_size(final) < thresholds.min_ess:
        return None
    plain = snips(log, target.taken)
    robust = dr(log, target.taken, predictions)
    value, influence = apart(robust, plain)
    p, stderr = skewed_p(value, influence), clustered_stderr(influence)
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
