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
from nurture_rl.ope.checks.grouped import (
    FEWEST,
    ROUNDING,
    cautious_p,
    contact_of_row,
    contacts_in,
    family_wise,
    unseen_inverse,
)
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.numbering import numbered

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

    Rare weights are heavy, and often none turns up: one contact of their size stands for them, and
    without the logged distributions no shortage is held against an action that fewer than 30
    contacts of a part were given.
    """
    everything = np.zeros(log.n_rows, dtype=np.int64)
    parts: list[tuple[str, str, list[str], IntArray]] = [
        ("mean-weight", "overall", ["all decisions"], everything)
    ]
    if context.week is not None:
        parts.append(("mean-weight-week", "by week", *groups(context.week)))
    if context.logger is not None:
        parts.append(("mean-weight-logger", "by logging policy", *groups(context.logger)))
    asked = _asked(log, ratios)
    findings = [
        part_finding(code, what, names, _by_part(asked, place, len(names)), thresholds)
        for code, what, names, place in parts
    ]
    by_action = [_of_action(asked, a) for a in range(log.n_actions)]
    names = [context.action(a) for a in range(log.n_actions)]
    means, p_values = np.array(by_action, dtype=np.float64).T
    due = ratios.policy.mean(axis=0)
    findings.append(
        part_finding("mean-weight-action", "by action", names, (means, p_values), thresholds, due)
    )
    return findings


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What every part of the log is asked with."""

    log: EvaluationLog
    ratios: Ratios
    contact: IntArray  # of each row, [N]
    unseen: FloatArray  # second moment of each action's weights that did not turn up, [N, a]
    rare: BoolArray  # actions of the whole log, see `_rare`, [a]


def _asked(log: EvaluationLog, ratios: Ratios) -> _Asked:
    rows = np.arange(log.n_rows, dtype=np.int64)
    unseen = np.stack([unseen_inverse(log, a, rows) for a in range(log.n_actions)], axis=1)
    contact = contact_of_row(log)
    rare = _rare(log, contact, rows)
    return _Asked(log, ratios, contact, unseen * ratios.policy**2, rare)


def _by_part(asked: _Asked, place: IntArray, n_parts: int) -> tuple[FloatArray, FloatArray]:
    """Mean excess of the weights in each part and its p, [G]."""
    ratios = asked.ratios
    excess = ratios.ratio - ratios.due
    lacking = _lacking(asked, place, n_parts)
    means, p_values = np.zeros(n_parts), np.ones(n_parts)
    for part in range(n_parts):
        rows = np.flatnonzero(place == part)
        if rows.size:
            unseen = float(np.sqrt(asked.unseen[rows].sum()))
            tested = _tested(asked, rows, excess, ratios.rounding, (unseen, lacking[part]))
            means[part], p_values[part] = tested
    return means, p_values


def _of_action(asked: _Asked, a: int) -> tuple[float, float]:
    """Mean excess of one action's weights and its p."""
    log, ratios = asked.log, asked.ratios
    taken = log.action == a
    excess = np.where(taken, ratios.ratio, 0.0) - ratios.policy[:, a]
    rows = np.arange(log.n_rows, dtype=np.int64)
    lacking = max(-float(excess.sum()), 0.0) if asked.rare[a] else 0.0
    rounding = np.where(taken, ratios.rounding, 0.0)
    unseen = float(np.sqrt(asked.unseen[:, a].sum()))
    return _tested(asked, rows, excess, rounding, (unseen, lacking))


def _lacking(asked: _Asked, place: IntArray, n_parts: int) -> FloatArray:
    """How far weights of each part may fall short for actions too rare to be asked about, [G]."""
    log, ratios = asked.log, asked.ratios
    lacking = np.zeros(n_parts)
    for part in range(n_parts):
        rows = np.flatnonzero(place == part)
        rare = _rare(log, asked.contact, rows)
        seen = np.bincount(log.action[rows], weights=ratios.ratio[rows], minlength=log.n_actions)
        short = ratios.policy[rows].sum(axis=0) - seen
        lacking[part] = float(np.maximum(short[rare], 0.0).sum())
    return lacking


def _rare(log: EvaluationLog, contact: IntArray, rows: IntArray) -> BoolArray:
    """Actions that too few contacts were given for their weights to say anything, [a].

    With the logged distributions it is known what chance the others had: nothing is.
    """
    if log.logged_probabilities is not None:
        return np.zeros(log.n_actions, dtype=np.bool_)
    given = contacts_in(log.action[rows], log.n_actions, contact[rows])
    return np.asarray(given < FEWEST)


def _tested(
    asked: _Asked,
    rows: IntArray,
    excess: FloatArray,
    rounding: FloatArray,
    could: tuple[float, float],
) -> tuple[float, float]:
    """Mean excess of some rows, and its p; 1 where contacts are too few to ask.

    Rounding errs alike in every row of a constant propensity, so it does not average out.
    """
    place, _ = numbered(asked.contact[rows])
    totals = np.bincount(place, weights=excess[rows])
    mean = float(excess[rows].mean())
    if totals.size < FEWEST:
        return mean, 1.0
    allowed = max(float(rounding[rows].sum()), ROUNDING * rows.size)
    return mean, cautious_p(np.asarray(totals, dtype=np.float64), could[0], could[1], allowed)


def part_finding(
    code: str,
    what: str,
    names: list[str],
    tested: tuple[FloatArray, FloatArray],
    thresholds: CheckThresholds,
    due: FloatArray | None = None,
) -> Finding:
    """What mean weights of parts of a log amount to.

    Args:
        code: of the finding.
        what: the parts.
        names: of each, [G].
        tested: mean excess of the weights, and its p, [G] each.
        thresholds: when to warn and when to refuse.
        due: the policy's mean probability of each action, where parts are actions, [G].
    """
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
    where = f" in {off} of {len(names)} parts, most in {names[worst]}" if len(names) > 1 else ""
    cause = ""
    if due is not None:
        seen = float(due[worst] + excess[worst])
        cause = ": it was never taken"
        if seen > 0.0:
            numbers["factor"] = float(due[worst]) / seen
            cause = f": its propensity is {numbers['factor']:.2g} times how often it was taken"
    return Finding(
        code,
        severity,
        numbers,
        f"mean weights {what} are off{where}: "
        f"{excess[worst]:+.3f} where 0 is due (p {p:.1g}){cause}",
        ADVICE,
    )
