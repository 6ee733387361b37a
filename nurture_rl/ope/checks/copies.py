"""Decisions that stand in the log again under another contact, and count twice.

Contacts with the same features drew their actions apart from each other, so that of all pairs
of them no more act alike than chance has it:

    E 1[a_i = a_j] = sum_a pi_i(a) pi_j(a) <= E (p_i + p_j) / 2

with p the propensity of what was drawn. Copies are alike in action, propensity and reward as well.
However coarse features and rewards are, honest rows keep to this bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity, by_p
from nurture_rl.ope.checks.grouped import FEWEST, contact_of_row
from nurture_rl.ope.kinds import kinds
from nurture_rl.ope.log import EvaluationLog, IntArray
from nurture_rl.ope.numbering import numbered
from nurture_rl.wording import plural

FEW = 0.02  # share of decisions that are copies, up to which they are worth a warning alone
ADVICE = (
    "keep one copy of each decision, or give the copies of a person one contact: copies make "
    "errors too small by the root of their number"
)


def copies_finding(log: EvaluationLog, thresholds: CheckThresholds) -> Finding | None:
    """Whether decisions are repeated under several contacts more often than draws allow.

    Contacts are grouped by bin, mask and features; a group's score is its pairs of copies less
    what the propensities allow, over its size, and scores of groups are independent. Where fewer
    than 30 groups hold two contacts, features are too coarse, or too fine, to tell: None.
    """
    group = kinds(_context(log))
    rows = _first_of_contacts(log, group)
    rows = rows[log.propensity[rows] < 1.0 - 1e-6]
    group, _ = numbered(group[rows])
    size = np.bincount(group)
    if (size > 1).sum() < FEWEST:
        return None
    copy = kinds([group, log.action[rows], log.propensity[rows], log.reward[rows]])
    alike = np.bincount(copy)
    first = np.unique(copy, return_index=True)[1]
    pairs = np.bincount(group[first], weights=alike * (alike - 1) / 2.0, minlength=size.size)
    allowed = np.bincount(group, weights=log.propensity[rows]) * (size - 1) / 2.0
    score = ((pairs - allowed) / np.maximum(size, 1))[size > 1]
    repeated = int((alike - 1).sum())
    spread = float(np.sqrt(score @ score))
    z = float(score.sum()) / spread if spread > 0.0 else 0.0
    p = float(special.stdtr(score.size - 1, -z))
    share = repeated / log.n_rows
    severity = by_p(p, thresholds)
    if severity is Severity.REFUSE and share <= FEW:
        severity = Severity.WARN
    many = severity is not Severity.OK
    return Finding(
        "copies",
        severity,
        {"repeated": float(repeated), "share": share, "p": p},
        f"{repeated} of {log.n_rows} decisions {plural(repeated, 'repeats', 'repeat')} another "
        f"contact's in features, action, propensity and reward, {'' if many else 'no '}more than "
        f"independent draws {'explain' if many else 'allow'} (p {p:.1g})",
        ADVICE if many else "",
    )


def _first_of_contacts(log: EvaluationLog, group: IntArray) -> IntArray:
    """One row of each contact in each group, [N]: a contact may well repeat itself."""
    if int(group.max()) + 1 == group.size:
        return np.arange(group.size, dtype=np.int64)
    contact = contact_of_row(log)
    pair = group * (int(contact.max()) + 1) + contact
    return np.sort(np.unique(pair, return_index=True)[1]).astype(np.int64)


def _context(log: EvaluationLog) -> list[NDArray[np.generic]]:
    """What was known when the actions were drawn, [N] each."""
    return [*log.features.T, *log.mask.T, log.step]
