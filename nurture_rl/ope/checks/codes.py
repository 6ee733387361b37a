"""Numbers that are likely to stand for a value nobody knows, such as -999."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import Finding, Severity
from nurture_rl.ope.log import EvaluationLog, FloatArray

OFTEN = 3  # times a code comes at least
DISTINCT = 10  # other values at least: two or three levels have no range to lie outside of
FAR = 5.0  # ranges of all other values that a code lies beyond them
SHOWN = 5  # codes named
WIDTHS = (-(2.0**15), 2.0**15 - 1, -(2.0**31), 2.0**31 - 1, -(2.0**63), 2.0**63)


def codes_finding(log: EvaluationLog, context: LogContext) -> Finding:
    """Name lone values far outside the rest, repeated, that look like a code for missing.

    It must be the smallest or largest of a column, come three times or more, and lie further from
    the others than five times their whole range. Of these, what is written in nines, eights or
    sevens, as the end of an integer's range, or is the only one below 0, is taken for a code. In
    rewards it refuses, as it is averaged in; in features it spoils models alone and warns. What the
    context says to be a true value is none.
    """
    in_rewards = [one for one in likely_codes(log.reward) if one[0] not in context.values]
    rewards = [f"{code:g} in rewards ({count} times)" for code, count in in_rewards]
    features, codes = [], {code for code, _ in in_rewards}
    for j in range(log.features.shape[1]):
        for code, count in likely_codes(log.features[:, j].astype(np.float64)):
            if code in context.values:
                continue
            features.append(f"{code:g} in {context.feature(j)} ({count} times)")
            codes.add(code)
    suspects = rewards + features
    numbers = {"rewards": float(len(rewards)), "features": float(len(features))}
    if not suspects:
        sentence = "no lone value lies far outside the rest, as a code for missing would"
        return Finding("missing-codes", Severity.OK, numbers, sentence)
    more = f" and {len(suspects) - SHOWN} more" if len(suspects) > SHOWN else ""
    setting = ",".join(f"{code:g}" for code in sorted(codes))
    return Finding(
        "missing-codes",
        Severity.REFUSE if rewards else Severity.WARN,
        numbers,
        "likely a code for missing, far outside all other values: "
        f"{', '.join(suspects[:SHOWN])}{more}",
        f"set data.missing=[{setting}] to have such rows set aside, or write the true values; "
        f"where they are the true values, such as a price, say so by data.values=[{setting}]",
    )


def likely_codes(values: FloatArray) -> list[tuple[float, int]]:
    """Likely codes among values, [n], with how often each comes; at most one at either end."""
    if max(np.sum(values == values.min()), np.sum(values == values.max())) < OFTEN:
        return []  # no need to sort
    distinct, count = np.unique(values, return_counts=True)
    return list(_ends(distinct, count))


def _ends(distinct: FloatArray, count: np.ndarray) -> Iterator[tuple[float, int]]:
    lowest, highest = 0, distinct.size
    for _ in range(2):  # a code at one end must not hide one at the other by its range
        for end in (lowest, highest - 1):
            others = distinct[lowest:highest][distinct[lowest:highest] != distinct[end]]
            if others.size < DISTINCT or count[end] < OFTEN:
                continue
            code = float(distinct[end])
            gap = float(np.abs(others - code).min())
            if gap > FAR * float(np.ptp(others)) and _looks_like_one(code, others):
                yield code, int(count[end])
                lowest, highest = lowest + (end == lowest), highest - (end == highest - 1)
                break


def _looks_like_one(code: float, others: FloatArray) -> bool:
    digits = f"{abs(code):.0f}"
    alike = len(digits) > 1 and len(set(digits)) == 1 and digits[0] in "789"
    return code in WIDTHS or (alike and code == round(code)) or (code < 0.0 <= others.min())
