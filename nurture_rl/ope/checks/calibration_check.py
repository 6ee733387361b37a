"""Whether probabilities and values mean what they say."""

from __future__ import annotations

import numpy as np
from scipy import special

from nurture_rl.ope.action_chances import BINS, calibration_error, deciles
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p, graded
from nurture_rl.ope.checks.grouped import (
    FEWEST,
    ROUNDING,
    cautious_p,
    contact_of_row,
    family_wise,
    group_means,
)
from nurture_rl.ope.checks.propensity_fit import FittedPropensities
from nurture_rl.ope.log import EvaluationLog, continuation
from nurture_rl.ope.value_model import ValuePredictions


def likelihood_finding(
    log: EvaluationLog, fitted: FittedPropensities, thresholds: CheckThresholds
) -> Finding:
    """Whether a fitted model explains the logged actions better than the logged propensities.

        mean of ln fitted(a|x) - ln logged(a|x)  <=  0 when the logged ones are the truth

    No model does better on contacts it never saw than the probabilities the actions were drawn
    from. Needs the propensities alone, not the distributions.
    """
    rows = fitted.rows
    chance = fitted.probabilities[np.arange(rows.size), log.action[rows]]
    gain = np.log(np.maximum(chance, 1e-300)) - np.log(log.propensity[rows])
    means = group_means(gain, np.zeros(rows.size, np.int64), 1, contact_of_row(log)[rows])
    mean, stderr = float(means.mean[0]), float(means.stderr[0])
    z = mean / stderr if stderr > 0.0 else 0.0
    p = float(special.ndtr(-z))
    severity = by_p(p, thresholds)
    better = severity is not Severity.OK
    return Finding(
        "propensity-likelihood",
        severity,
        {"gain": mean, "stderr": stderr, "p": p},
        f"a model fitted on other contacts explains the logged actions "
        f"{'better than' if better else 'no better than'} the logged propensities "
        f"({mean:+.4f} per decision in log-likelihood, p {p:.2g})",
        "the propensities are not those the actions were drawn with; find the real ones, or fit "
        "them and say so"
        if better
        else "",
    )


def fit_finding(
    log: EvaluationLog, fitted: FittedPropensities, thresholds: CheckThresholds
) -> Finding:
    """Calibration of fitted propensities on contacts the fit never saw."""
    legal = log.mask[fitted.rows]
    taken = np.zeros(legal.shape)
    taken[np.arange(fitted.rows.size), log.action[fitted.rows]] = 1.0
    error = calibration_error(fitted.probabilities[legal], taken[legal])
    off = error > thresholds.max_calibration_error
    return Finding(
        "fitted-propensity",
        graded(off, Severity.WARN),
        {"error": error, "most": thresholds.max_calibration_error},
        f"fitted propensities miss the actions' frequencies by {error:.2%} on average",
        "do not stand fitted propensities in for logged ones here" if off else "",
    )


def propensity_finding(log: EvaluationLog, thresholds: CheckThresholds) -> Finding | None:
    """Logged probabilities against how often actions were taken, in ten bins.

    None where the log lacks its distributions.
    """
    if log.logged_probabilities is None:
        return None
    row, column = np.nonzero(log.mask)
    predicted = log.logged_probabilities[row, column]
    taken = (log.action[row] == column).astype(np.float64)
    place = deciles(predicted)
    contact, gaps, p_values = contact_of_row(log)[row], np.zeros(BINS), np.ones(BINS)
    for tenth in range(BINS):
        here = np.flatnonzero(place == tenth)
        if here.size == 0:
            continue
        off = taken[here] - predicted[here]
        gaps[tenth] = off.mean()
        who = np.unique(contact[here], return_inverse=True)[1]
        if who.max() + 1 >= FEWEST:
            totals = np.asarray(np.bincount(who, weights=off), dtype=np.float64)
            p_values[tenth] = cautious_p(totals, 1.0, rounding=ROUNDING * here.size)
    adjusted = family_wise(p_values)
    worst = int(np.argmin(adjusted))
    p, gap = float(adjusted[worst]), float(gaps[worst])
    severity = by_p(p, thresholds)
    said = float(predicted[place == worst].mean()) if (place == worst).any() else 0.0
    return Finding(
        "propensity-calibration",
        severity,
        {"error": calibration_error(predicted, taken), "gap": gap, "p": p},
        f"actions given {said:.3g} by the log were taken {max(said + gap, 0.0):.3g} of the time "
        f"(the worst of ten bins, p {p:.2g})",
        "the written distributions are not those the actions were drawn with; find the real ones"
        if severity is not Severity.OK
        else "",
    )


def value_finding(
    log: EvaluationLog, predictions: ValuePredictions, thresholds: CheckThresholds
) -> Finding:
    """Whether a cross-fitted value model is right on average wherever it says the same.

        mean of r + discount v(x') - q(x, a)  is 0 in every tenth of q

    At the last decision it is the calibration of the reward model. It is asked under the logged
    actions; doubly robust estimates correct what is off, the direct method does not.
    """
    following = np.append(predictions.value[1:], 0.0)
    error = log.reward + continuation(log) * following - predictions.q_logged
    place = deciles(predictions.q_logged)
    means = group_means(error, place, BINS, contact_of_row(log))
    adjusted = family_wise(means.p_values())
    worst = int(np.argmin(adjusted))
    p, gap = float(adjusted[worst]), float(means.mean[worst])
    off = p < thresholds.warn_p
    return Finding(
        "value-calibration",
        graded(off, Severity.WARN),
        {"gap": gap, "p": p, "tenth": float(worst)},
        f"in the {worst + 1}. tenth of its predictions the value model is off by {gap:+.3g} "
        f"{log.unit} (the worst, p {p:.2g})",
        "do not read the direct method; doubly robust estimates stand, with wider intervals"
        if off
        else "",
    )
