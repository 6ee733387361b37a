"""Whether weights average 1 where they must: overall, by week, by action and by logging policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.logs.precision import (
    COARSEST,
    FINEST,
    match_tolerance,
    row_decimals,
    written_decimals,
)
from nurture_rl.ope.checks.context import LogContext, groups
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p
from nurture_rl.ope.checks.grouped import contact_of_row, family_wise, group_means
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray

ADVICE = (
    "check which policy's probabilities were written down, in which catalogue order, and whether "
    "the action that was sent is the one that was drawn"
)


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """Weights of single decisions under some policy, and what they must average to."""

    ratio: FloatArray  # policy / propensity of the logged action, [N]
    due: FloatArray  # the policy's mass where the log had any, expected value of the ratio, [N]
    policy: FloatArray  # the policy's mass by action where the log had any, [N, a]
    rounding: FloatArray  # of the ratio, from the decimals the propensity is written with, [N]


def ratios_of(log: EvaluationLog, policy: FloatArray) -> Ratios:
    """Weights of a policy, its mass on actions without a chance left out.

    Args:
        log: the logged decisions.
        policy: probabilities on the logged rows, [N, a].
    """
    logged = log.logged_probabilities
    shown = policy if logged is None else np.where(logged > 0.0, policy, 0.0)
    taken = shown[np.arange(log.n_rows), log.action]
    ratio = taken / log.propensity
    # Whoever writes 0.5 for a half does not round: fewer decimals excuse no more than four do.
    decimals = np.maximum(row_decimals(written_decimals(log.propensity)), COARSEST)
    rounding = ratio * match_tolerance(decimals, np.full_like(decimals, FINEST)) / log.propensity
    return Ratios(ratio, shown.sum(axis=1), shown, rounding)


def uniform_policy(log: EvaluationLog) -> FloatArray:
    """Equal probability of the actions that had a chance, or that were legal if that is all known.

    Its weights can be asked of any log, before any target policy.
    """
    logged = log.logged_probabilities
    chance = log.mask if logged is None else logged > 0.0
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def mean_weight_findings(
    log: EvaluationLog, ratios: Ratios, context: LogContext, thresholds: CheckThresholds
) -> list[Finding]:
    """Test the mean weight overall and in every part of the log.

    A single decision's weight has mean 1 whatever the horizon (less where the policy does what the
    log never could). By action a, weight times [a taken] has the policy's mean probability of a.
    Errors are clustered by contact, p-values are family-wise (Holm) within each kind of part.
    """
    contact = contact_of_row(log)
    everything = np.zeros(log.n_rows, dtype=np.int64)
    excess = ratios.ratio - ratios.due
    parts: list[tuple[str, str, list[str], IntArray]] = [
        ("mean-weight", "overall", ["all decisions"], everything)
    ]
    if context.week is not None:
        parts.append(("mean-weight-week", "by week", *groups(context.week)))
    if context.logger is not None:
        parts.append(("mean-weight-logger", "by logging policy", *groups(context.logger)))
    found = [
        _finding(
            code,
            what,
            names,
            _tested(excess, ratios.rounding, place, len(names), contact),
            thresholds,
        )
        for code, what, names, place in parts
    ]
    by_action = [
        _tested(
            np.where(log.action == a, ratios.ratio, 0.0) - ratios.policy[:, a],
            np.where(log.action == a, ratios.rounding, 0.0),
            everything,
            1,
            contact,
        )
        for a in range(log.n_actions)
    ]
    names = [context.action(a) for a in range(log.n_actions)]
    joined = (
        np.concatenate([one[0] for one in by_action]),
        np.concatenate([one[1] for one in by_action]),
    )
    due = ratios.policy.mean(axis=0)
    found.append(_finding("mean-weight-action", "by action", names, joined, thresholds, due))
    return found


def _tested(
    excess: FloatArray, rounding: FloatArray, place: IntArray, n_groups: int, contact: IntArray
) -> tuple[FloatArray, FloatArray]:
    means = group_means(excess, place, n_groups, contact)
    rows = np.maximum(np.bincount(place, minlength=n_groups), 1)
    # Rounding errs alike in every row of a constant propensity, so it does not average out.
    allowed = np.bincount(place, weights=rounding, minlength=n_groups) / rows
    return means.mean, means.p_values(rounding=allowed)


def _finding(
    code: str,
    what: str,
    names: list[str],
    tested: tuple[FloatArray, FloatArray],
    thresholds: CheckThresholds,
    due: FloatArray | None = None,
) -> Finding:
    excess, p_values = tested
    adjusted = family_wise(p_values)
    worst = int(np.argmin(adjusted))
    p = float(adjusted[worst])
    severity = by_p(p, thresholds)
    numbers = {"excess": float(excess[worst]), "p": p, "parts": float(len(names))}
    if severity is Severity.OK:
        return Finding(
            code, severity, numbers, f"mean weights {what} are what they must be (p {p:.2g})"
        )
    off = int((adjusted < thresholds.warn_p).sum())
    cause = ""
    if due is not None:
        numbers["factor"] = float(due[worst] / max(due[worst] + excess[worst], 1e-300))
        cause = f": its propensity is {numbers['factor']:.2g} times how often it was taken"
    return Finding(
        code,
        severity,
        numbers,
        f"mean weights {what} are off in {off} of {len(names)} parts, most in {names[worst]}: "
        f"{excess[worst]:+.3f} where 0 is due (p {p:.1g}){cause}",
        ADVICE,
    )
