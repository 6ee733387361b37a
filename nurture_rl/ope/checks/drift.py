"""Whether contexts, rewards and propensities stayed what they were from week to week."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.checks.context import LogContext, groups
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, graded
from nurture_rl.ope.checks.grouped import (
    FEWEST,
    contact_of_row,
    contacts_in,
    family_wise,
    normal_p,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.numbering import distinct, numbered
from nurture_rl.ope.ties import one_value

ADVICE = {
    "drift-context": "evaluate on the latest weeks too; the policy will meet their contacts",
    "drift-reward": "look at values by week: one number for all of them may hold for none",
    "drift-propensity": "the logging policy changed; give each its name and look at both",
}


def week_shifts(
    values: FloatArray, week: IntArray, n_weeks: int, contact: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Each week's mean less that of all other weeks, and its error clustered by contact, [W].

    Args:
        values: a number per row, [N].
        week: week of each row in 0 .. W-1, [N].
        n_weeks: W, at least 2.
        contact: contact of each row, [N].
    """
    count = np.bincount(week, minlength=n_weeks)
    total = np.bincount(week, weights=values, minlength=n_weeks)
    inside = total / np.maximum(count, 1)
    outside = (values.sum() - total) / np.maximum(values.size - count, 1)
    here = (values - inside[week]) / np.maximum(count, 1)[week]
    pair, _ = numbered(contact * n_weeks + week)
    owner, of_week = np.divmod(distinct(contact * n_weeks + week), n_weeks)
    # Sums of what is far from 0 would lose their last digits.
    mean, left = values.mean(), np.maximum(values.size - count, 1)
    rows_of, sum_of = np.bincount(contact), np.bincount(contact, weights=values - mean)
    rows, sums = np.bincount(pair), np.bincount(pair, weights=values - mean)
    own = np.bincount(pair, weights=here)
    stderr = np.empty(n_weeks)
    for w in range(n_weeks):
        # Every contact as if none of its rows were of the week, then those that have some.
        by_contact = ((outside[w] - mean) * rows_of - sum_of) / left[w]
        some = of_week == w
        by_contact[owner[some]] += own[some]
        by_contact[owner[some]] -= ((outside[w] - mean) * rows[some] - sums[some]) / left[w]
        stderr[w] = np.sqrt(np.square(by_contact).sum())
    return inside - outside, stderr


def drift_findings(
    log: EvaluationLog, context: LogContext, thresholds: CheckThresholds
) -> list[Finding]:
    """Two-sample tests of every week against the others; none without weeks, or with one.

    Contexts are tested per feature and week together (Holm); a shift counts when it is sure and
    at least `max_shift` standard deviations large. A week of fewer than 30 contacts is not asked.
    Weights are tested by `mean_weight_findings`.
    """
    if context.week is None:
        return []
    weeks, week = groups(context.week)
    if len(weeks) < 2:
        return []
    features = [context.feature(j) for j in range(log.features.shape[1])]
    columns = {
        "drift-context": (features, log.features.astype(np.float64)),
        "drift-reward": (["reward"], log.reward[:, None]),
        "drift-propensity": (["log propensity"], np.log(log.propensity)[:, None]),
    }
    contact = contact_of_row(log)
    return [
        _finding(code, names, weeks, _tested(values, week, len(weeks), contact), thresholds)
        for code, (names, values) in columns.items()
        if names
    ]


def _tested(
    values: FloatArray, week: IntArray, n_weeks: int, contact: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Shifts in standard deviations and p-values, one after another by column and week."""
    shifts, p_values = [], []
    enough = contacts_in(week, n_weeks, contact) >= FEWEST
    for column in values.T:
        shift, stderr = week_shifts(column, week, n_weeks, contact)
        spread = 0.0 if one_value(column) else float(column.std())
        shifts.append(shift / spread if spread > 0.0 else np.zeros(n_weeks))
        asked = enough & (spread > 0.0)
        p_values.append(np.where(asked, normal_p(shift, stderr), 1.0))
    return np.concatenate(shifts), np.concatenate(p_values)


def _finding(
    code: str,
    names: list[str],
    weeks: list[str],
    tested: tuple[FloatArray, FloatArray],
    thresholds: CheckThresholds,
) -> Finding:
    shift, p_values = tested
    adjusted = family_wise(p_values)
    sure = (adjusted < thresholds.warn_p) & (np.abs(shift) > thresholds.max_shift)
    worst = int(np.argmax(np.where(sure, np.abs(shift), 0.0) if sure.any() else -adjusted))
    name, week = names[worst // len(weeks)], weeks[worst % len(weeks)]
    drifted = bool(sure.any())
    what = f"{name} in week {week} is {shift[worst]:+.2f} standard deviations from other weeks"
    return Finding(
        code,
        graded(drifted, Severity.WARN),
        {"shift": float(shift[worst]), "p": float(adjusted[worst]), "shifted": float(sure.sum())},
        f"{what} (p {adjusted[worst]:.1g})" if drifted else f"no shift that counts; {what}",
        ADVICE[code] if drifted else "",
    )
