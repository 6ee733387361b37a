"""The room's door: everything to ask of a log, and of a target policy on it, before any number."""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.agreement import agreement_finding
from nurture_rl.ope.checks.balance import balance_finding
from nurture_rl.ope.checks.calibration_check import (
    fit_finding,
    likelihood_finding,
    propensity_finding,
    value_finding,
)
from nurture_rl.ope.checks.codes import codes_finding
from nurture_rl.ope.checks.context import LogContext, require_fit
from nurture_rl.ope.checks.copies import copies_finding
from nurture_rl.ope.checks.drift import drift_findings
from nurture_rl.ope.checks.feasibility import feasibility_findings
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, LogChecks, Severity
from nurture_rl.ope.checks.gaps import (
    censoring_finding,
    estimated_finding,
    exploration_finding,
    outcome_finding,
    propensity_values,
)
from nurture_rl.ope.checks.grouped import contact_of_row
from nurture_rl.ope.checks.mean_weight import mean_weight_findings, ratios_of, uniform_policy
from nurture_rl.ope.checks.propensity_fit import PropensityFit, fit_propensities
from nurture_rl.ope.checks.weight_tail import support_finding, tail_findings
from nurture_rl.ope.estimators import cumulative_weights
from nurture_rl.ope.log import EvaluationLog, require_valid
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions


def check_log(
    log: EvaluationLog,
    context: LogContext | None = None,
    thresholds: CheckThresholds | None = None,
    fit: PropensityFit | None = None,
) -> LogChecks:
    """Everything that can be asked of a log before any target policy is named.

    Args:
        log: the logged decisions.
        context: weeks, loggers, maturity and names, where known; checks without their column are
            left out.
        thresholds: when to warn and when to refuse.
        fit: how propensities are fitted, to hold the logged ones against.

    Returns:
        The findings; `severity` is the worst. A log without any chance has an exploration plan.

    Raises:
        LogError, ShapeError, ActionError, PropensityError, ProbabilityError: the log breaks what
            `evaluation_log` promises, or a column of the context does not belong to it.
    """
    known, limits = context or LogContext(), thresholds or CheckThresholds()
    require_valid(log)
    require_fit(log, known)
    explored, plan = exploration_finding(log, known, limits)
    findings: list[Finding | None] = [propensity_values(log), outcome_finding(log)]
    findings += [codes_finding(log, known), copies_finding(log, limits), explored]
    findings.append(estimated_finding(log, plan))
    if explored.severity is not Severity.REFUSE:
        findings += mean_weight_findings(log, ratios_of(log, uniform_policy(log)), known, limits)
        findings.append(propensity_finding(log, limits))
        fitted = None
        config = fit or PropensityFit()
        if int(contact_of_row(log).max()) + 1 >= config.folds:
            fitted = fit_propensities(log, config)
        findings.append(balance_finding(log, known, limits, fitted))
        if fitted is not None:
            findings += [likelihood_finding(log, fitted, limits), fit_finding(log, fitted, limits)]
    findings.append(censoring_finding(log, known, limits))
    findings += drift_findings(log, known, limits)
    return LogChecks(tuple(one for one in findings if one is not None), exploration=plan)


@np.errstate(over="ignore", invalid="ignore")  # weights of a far policy are found below
def check_target(
    log: EvaluationLog,
    target: TargetOnLog,
    context: LogContext | None = None,
    thresholds: CheckThresholds | None = None,
    predictions: ValuePredictions | None = None,
) -> LogChecks:
    """Everything to ask of a target policy on a log before its value is estimated.

    Args:
        log: the logged decisions.
        target: the policy on its rows, from `target_on_log`.
        context: weeks, loggers and names, where known.
        thresholds: when to warn and when to refuse.
        predictions: a cross-fitted value model's answers, to have its calibration checked and
            estimates with and without features compared.

    Returns:
        The findings, and the largest step toward the target that the log carries.

    Raises:
        ShapeError: a column of the context does not belong to the log.
    """
    known, limits = context or LogContext(), thresholds or CheckThresholds()
    require_fit(log, known)
    findings: list[Finding | None] = [support_finding(log, target, known, limits)]
    step = None
    try:
        weights = cumulative_weights(log, target.taken)
    except OverlapError as refusal:
        advice = "stay closer to the logging policy, or shorten the episodes"
        findings.append(Finding("weight-overflow", Severity.REFUSE, {}, str(refusal), advice))
    else:
        findings += tail_findings(weights[:, -1], limits)
        feasible, step = feasibility_findings(log, target, weights, limits)
        findings += feasible
        if predictions is not None:
            findings.append(agreement_finding(log, target, predictions, limits))
    findings += mean_weight_findings(log, ratios_of(log, target.probabilities), known, limits)
    if predictions is not None:
        findings.append(value_finding(log, predictions, limits))
    return LogChecks(tuple(one for one in findings if one is not None), mixing=step)
