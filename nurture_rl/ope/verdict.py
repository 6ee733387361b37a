"""The one word a reader needs, with the numbers it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isfinite

from nurture_rl.ope.diagnostics import Overlap, OverlapThresholds
from nurture_rl.ope.intervals import Difference


class Verdict(StrEnum):
    """What the log says about a policy against the reference."""

    BETTER = "better"
    NOT_BETTER = "not_better"
    CANNOT_TELL_YET = "cannot_tell_yet"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and how much more data would change a "cannot tell yet"."""

    verdict: Verdict
    reason: str
    contacts_needed: int | None  # roughly, in all; None when decided or out of reach


def judge(
    difference: Difference,
    policy: Overlap,
    reference: Overlap | None,
    thresholds: OverlapThresholds,
    unit: str,
) -> Judgement:
    """Judge a policy against the reference.

    Args:
        difference: paired doubly robust difference, policy minus reference.
        policy: how the log overlaps with the policy.
        reference: the same for the reference; None when it is the logging policy itself.
        thresholds: what the log must offer.
        unit: unit of the values, for the text.

    Returns:
        `better` when the interval lies above 0, `not_better` when no part of it does; in between,
        or when the log does not carry the comparison, `cannot_tell_yet` with what would settle it.
    """
    for who, found in (("the policy", policy), ("the reference", reference)):
        if found is not None and not found.feasible:
            return _infeasible(who, found, thresholds)
    low, high = difference.interval.lower, difference.interval.upper
    numbers = (
        f"difference to the reference {difference.value:+.4g} {unit} per episode, "
        f"{difference.interval.level:.4g} interval {low:+.4g} to {high:+.4g}, "
        f"{difference.n_clusters} contacts"
    )
    if low > 0.0:
        return Judgement(Verdict.BETTER, f"{numbers}: all of it above 0", None)
    if high <= 0.0:
        return Judgement(Verdict.NOT_BETTER, f"{numbers}: none of it above 0", None)
    needed = _contacts_for(difference)
    settle = (
        "the difference is too near 0 to size a sample"
        if needed is None
        else f"about {needed} contacts in all would settle a difference of this size"
    )
    return Judgement(Verdict.CANNOT_TELL_YET, f"{numbers}: it holds 0; {settle}", needed)


def _infeasible(who: str, found: Overlap, thresholds: OverlapThresholds) -> Judgement:
    factor = max(
        thresholds.min_ess / found.ess if found.ess > 0.0 else float("inf"),
        found.max_weight_share / thresholds.max_weight_share,
    )
    needed = ceil(found.n_clusters * factor) if 1.0 < factor < 1e6 else None
    settle = (
        f"about {needed} contacts in all under the same logging, or a policy closer to it"
        if needed is not None
        else "logging that explores what this policy does, or a policy closer to the log"
    )
    return Judgement(
        Verdict.CANNOT_TELL_YET,
        f"the log does not carry {who}: {found.reason}; what would settle it: {settle}",
        needed,
    )


def _contacts_for(difference: Difference) -> int | None:
    """Contacts at which the interval is as narrow as the difference is large: C (half/diff)^2."""
    half = (difference.interval.upper - difference.interval.lower) / 2.0
    if difference.value == 0.0 or not isfinite(half):
        return None
    factor = (half / difference.value) ** 2
    return ceil(difference.n_clusters * factor) if factor < 1e6 else None
