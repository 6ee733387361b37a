"""Whether features are alike under all actions, as what came before a decision must be.

Given its probability an action is drawn by chance alone, so that nothing known before the draw can
go along with it:

    E [(1[a_i = a] - pi(a|x_i)) f(x_i)] = 0

A feature that does is written after the decision, or is its outcome, and models that read it
explain the effect away.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p
from nurture_rl.ope.checks.grouped import (
    FEWEST,
    cautious_p,
    contact_of_row,
    family_wise,
    unseen_inverse,
)
from nurture_rl.ope.checks.propensity_fit import FittedPropensities
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.numbering import numbered, shared_ranks

NEARLY = 0.9  # correlation with the reward from which a feature is as good as the outcome
SHOWN = 5  # features named
MOST_ROWS = 20_000  # asked; contacts beyond are left out evenly
SHARE_SEEN = 0.05  # fitted chance of an action from which rows are asked about it
ADVICE = (
    "leave {names} out of the features, or take what was known before the decision: what a "
    "decision moves is no context of it; where it was known before, the propensities lack its part"
)


def balance_finding(
    log: EvaluationLog,
    context: LogContext,
    thresholds: CheckThresholds,
    fitted: FittedPropensities | None = None,
) -> Finding | None:
    """Test every feature under every action; None where the log has no feature that varies.

    Features enter by their ranks, so that no single value rules. Without the logged distributions
    1[a_i = a] / p_i - 1 stands for the bracket, whose mean is 0 too where the action had a chance:
    only rows are asked in which a model fitted to other contacts gives it one.
    Errors are clustered by contact and corrected for skewness, p-values family-wise (Holm) over
    features and actions. An action that fewer than 30 contacts were given is not asked.

    Args:
        log: the logged decisions.
        context: names of features and actions, where known.
        thresholds: when to warn and when to refuse.
        fitted: who did what, by a model; without it and the distributions nothing is asked.

    Source: Imbens & Rubin (2015), Causal Inference for Statistics, ch. 14, for balance given the
        propensity; the score as in Hirano, Imbens & Ridder (2003).
    """
    places = [int(j) for j in np.flatnonzero(np.ptp(log.features, axis=0) > 0.0)]
    if not places or (log.logged_probabilities is None and fitted is None):
        return None
    contact = contact_of_row(log)
    kept = np.asarray(contact % -(-log.n_rows // MOST_ROWS) == 0)
    if log.logged_probabilities is None and fitted is not None:
        kept = np.isin(np.arange(log.n_rows), fitted.rows)
    ranks = np.zeros((log.n_rows, len(places)))
    ranks[kept] = _ranks(log.features[kept][:, places])
    p_values = np.ones((log.n_actions, len(places)))
    shifts = np.zeros_like(p_values)
    for a in range(log.n_actions):
        rows, draw, largest = _draws(log, a, kept, fitted)
        taken = log.action[rows] == a
        if np.unique(contact[rows[taken]]).size < FEWEST:
            continue
        centred = ranks[rows] - ranks[rows].mean(axis=0)
        place, _ = numbered(contact[rows])
        gather = sparse.csr_matrix((np.ones(rows.size), (place, np.arange(rows.size))))
        totals = np.ascontiguousarray((gather @ (draw[:, None] * centred)).T)
        # Both sides add up to the same in the mean; what is rare may be missing from one of them.
        size = max(np.abs(draw[taken]).sum(), np.abs(draw[~taken]).sum())
        shifts[a] = totals.sum(axis=1) / size
        p_values[a] = [cautious_p(own, 0.5 * largest) for own in totals]
    return _finding(log, context, thresholds, (places, shifts, p_values))


def _ranks(features: NDArray[np.float32]) -> FloatArray:
    """Centred ranks of each column, in (-1/2, 1/2), equal values sharing one, [m, d]."""
    return np.asarray((shared_ranks(features) - 0.5) / len(features) - 0.5)


def _draws(
    log: EvaluationLog, a: int, kept: BoolArray, fitted: FittedPropensities | None
) -> tuple[IntArray, FloatArray, float]:
    """Rows in which an action had a chance, [m], and what the draw made of it, of mean 0, [m].

    Returns:
        Both, and how large the draws are that could have turned up.
    """
    if log.logged_probabilities is not None:
        rows = np.flatnonzero(kept & (log.logged_probabilities[:, a] > 0.0))
        chance = log.logged_probabilities[rows, a]
        largest = float(np.maximum(chance, 1.0 - chance).max(initial=0.0))
        return rows, (log.action[rows] == a) - chance, largest
    assert fitted is not None
    rows = fitted.rows[fitted.probabilities[:, a] >= SHARE_SEEN]
    draw = (log.action[rows] == a) / log.propensity[rows] - 1.0
    unseen = float(np.sqrt(unseen_inverse(log, a, rows).sum()))
    return rows, draw, max(unseen, float(np.abs(draw).max(initial=0.0)))


def _finding(
    log: EvaluationLog,
    context: LogContext,
    thresholds: CheckThresholds,
    tested: tuple[list[int], FloatArray, FloatArray],
) -> Finding:
    places, shifts, p_values = tested
    adjusted = family_wise(p_values.ravel()).reshape(p_values.shape)
    a, worst = np.unravel_index(int(np.argmin(adjusted)), adjusted.shape)
    p, shift = float(adjusted[a, worst]), float(shifts[a, worst])
    severity = by_p(p, thresholds)
    bar = thresholds.refuse_p if severity is Severity.REFUSE else thresholds.warn_p
    off = np.flatnonzero(adjusted.min(axis=0) < bar)
    numbers = {"p": p, "shift": shift, "features": float(off.size)}
    if severity is Severity.OK:
        sentence = f"features are alike under all actions, given the propensities (p {p:.2g})"
        return Finding("balance", severity, numbers, sentence)
    first = sorted(off.tolist(), key=lambda j: float(adjusted[:, j].min()))
    names = [repr(context.feature(places[j])) for j in first]
    listed = ", ".join(names[:SHOWN]) + (
        f" and {off.size - SHOWN} more" if off.size > SHOWN else ""
    )
    outcome = _as_outcome(log, places[int(worst)])
    numbers["outcome"] = outcome
    nearly = " and nearly is the reward" if outcome > NEARLY else ""
    return Finding(
        "balance",
        severity,
        numbers,
        f"{listed} depends on the action beyond what the propensities explain: {names[0]} ranks "
        f"{abs(shift):.1%} {'higher' if shift > 0.0 else 'lower'} than it should under "
        f"{context.action(int(a))} (p {p:.1g}){nearly}",
        ADVICE.format(names=listed),
    )


def _as_outcome(log: EvaluationLog, place: int) -> float:
    """Size of a feature's correlation with the reward, in [0, 1]; 0 where rewards are one."""
    if np.ptp(log.reward) == 0.0:
        return 0.0
    return abs(float(np.corrcoef(log.features[:, place], log.reward)[0, 1]))
