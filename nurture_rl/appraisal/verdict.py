"""The one word a reader needs, with the numbers it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isfinite
from statistics import NormalDist

from nurture_rl.errors import NurtureError
from nurture_rl.ope.diagnostics import Overlap, OverlapThresholds, weights_off
from nurture_rl.ope.intervals import SAME_POLICY, Difference
from nurture_rl.wording import counted

POWER = 0.8  # chance that as many contacts as are advised show a difference of the size seen
_ENDLESS = (
    "the difference to the reference has no interval: the rewards leave the range of floating "
    "point numbers; state them in a larger unit"
)


class Verdict(StrEnum):
    """What the log says about a policy against the reference, and against plain rules."""

    BETTER = "better"
    NOT_BETTER = "not_better"
    CANNOT_TELL_YET = "cannot_tell_yet"
    RULES_ARE_ENOUGH = "rules_are_enough"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, why, and how much more data would change a "cannot tell yet"."""

    verdict: Verdict
    reason: str
    contacts_needed: int | None  # in all, at `POWER`; None when decided or out of reach
    advice: str = ""  # what would settle it, as far as the log can say; empty when decided


@dataclass(frozen=True, slots=True)
class RulesBar:
    """The simple policy that a candidate must be worth more than."""

    name: str
    difference: Difference  # paired, candidate minus rules
    overlap: Overlap  # of the log with the rules
    margin: float  # a gain of no more than this is not worth a learned policy, >= 0, the log's unit

    @property
    def enough(self) -> bool:
        """Whether the log shows that the candidate is worth no more than the margin."""
        return self.overlap.feasible and self.difference.interval.upper <= self.margin


def judge(
    difference: Difference,
    policy: Overlap,
    reference: Overlap | None,
    thresholds: OverlapThresholds,
    unit: str,
    rules: RulesBar | None = None,
) -> Judgement:
    """Judge a policy against the reference, and against rules that might do as well.

    Args:
        difference: paired difference, policy minus reference.
        policy: how the log overlaps with the policy.
        reference: the same for the reference; None when it is the logging policy itself.
        thresholds: what the log must offer.
        unit: of the values and what they are counted over, such as "EUR per episode".
        rules: the rules and the policy's difference to them; None where there are none to compare
            with, or the policy is the rules.

    Returns:
        `not_better` when no part of the interval of the difference lies above 0, above all where
        the two are one policy. Else
        `rules_are_enough` when the interval of the difference to the rules lies at or below their
        margin: whatever the policy gains over them is not worth having. Else `better` when all of
        the interval lies above 0. In between, or when the log does not carry the comparison,
        `cannot_tell_yet` with what would settle it.

    Raises:
        NurtureError: a negative or endless margin.
    """
    if rules is not None and not 0.0 <= rules.margin < float("inf"):
        raise NurtureError(
            f"the margin over rules must be a number >= 0 {unit}, got {rules.margin}; at 0 the "
            "rules are enough only where the policy is shown not to beat them"
        )
    numbers = _numbers("the reference", difference, unit)
    if difference.interval.method == SAME_POLICY:
        why = difference.interval.reason
        return Judgement(Verdict.NOT_BETTER, f"{numbers}: the same policy, {why}", None)
    for who, overlap in (("the policy", policy), ("the reference", reference)):
        if overlap is not None and not overlap.feasible:
            return _infeasible(who, overlap, thresholds)
    low, high = difference.interval.lower, difference.interval.upper
    if not (isfinite(low) and isfinite(high)):
        return Judgement(Verdict.CANNOT_TELL_YET, _ENDLESS, None)
    if difference.none:
        reason = f"{numbers}: the same policy to this log, which tells the two apart in nothing"
        return Judgement(Verdict.NOT_BETTER, reason, None)
    if high <= 0.0:
        return Judgement(Verdict.NOT_BETTER, f"{numbers}: none of it above 0", None)
    if rules is not None and rules.enough:
        return Judgement(Verdict.RULES_ARE_ENOUGH, _enough(rules, unit), None)
    beside = "" if rules is None else f"; {_open(rules, unit)}"
    if low > 0.0:
        return Judgement(Verdict.BETTER, f"{numbers}: all of it above 0{beside}", None)
    return _open_yet(f"{numbers}: it holds 0", _contacts_for(difference), beside)


def _open_yet(holds: str, needed: int | None, beside: str) -> Judgement:
    if needed is None:
        reason = f"{holds}; the difference is too near 0 to size a sample{beside}"
        return Judgement(Verdict.CANNOT_TELL_YET, reason, None)
    settle = (
        f"about {needed} contacts in all would settle a difference of this size with "
        f"{100.0 * POWER:.0f} % power"
    )
    return Judgement(Verdict.CANNOT_TELL_YET, f"{holds}{beside}", needed, settle)


def _numbers(other: str, difference: Difference, unit: str) -> str:
    low, high = difference.interval.lower, difference.interval.upper
    return (
        f"difference to {other} {difference.value:+.4g} {unit}, "
        f"{100.0 * difference.interval.level:.4g} % interval {low:+.4g} to {high:+.4g}, "
        f"{counted(difference.n_clusters, 'contact')}"
    )


def _enough(rules: RulesBar, unit: str) -> str:
    numbers = _numbers(f"the rules {rules.name!r}", rules.difference, unit)
    if rules.margin == 0.0:
        return f"{numbers}: none of it above 0, so plain rules do as well"
    return (
        f"{numbers}: none of it above the margin of {rules.margin:g} {unit}, so plain rules do as "
        "well for all that it matters"
    )


def _open(rules: RulesBar, unit: str) -> str:
    if not rules.overlap.feasible:
        return f"the log does not carry the rules {rules.name!r}"
    numbers = _numbers(f"the rules {rules.name!r}", rules.difference, unit)
    if rules.difference.interval.lower > rules.margin:
        return f"{numbers}: more than rules can do"
    return f"{numbers}: whether rules would do as well is open"


def _infeasible(who: str, overlap: Overlap, thresholds: OverlapThresholds) -> Judgement:
    if weights_off(overlap, thresholds).any():
        # Wrong propensities stay wrong, however many contacts are logged with them.
        why = f"the log does not carry {who}: {overlap.reason}"
        return Judgement(Verdict.CANNOT_TELL_YET, why, None)
    factor = max(
        thresholds.min_ess / overlap.ess if overlap.ess > 0.0 else float("inf"),
        overlap.max_weight_share / thresholds.max_weight_share,
    )
    needed = ceil(overlap.n_clusters * factor) if 1.0 < factor < 1e6 else None
    settle = (
        f"about {needed} contacts in all under the same logging, or a policy closer to it"
        if needed is not None
        else "logging that explores what this policy does, or a policy closer to the log"
    )
    return Judgement(
        Verdict.CANNOT_TELL_YET,
        f"the log does not carry {who}: {overlap.reason}",
        needed,
        f"what would settle it: {settle}",
    )


def _contacts_for(difference: Difference) -> int | None:
    """Contacts that show a difference of this size with the stated power.

        C [half / diff (1 + z_power / z_level)]^2

    At C (half / diff)^2 the interval just touches 0, and half of all logs would stay open.
    """
    half = (difference.interval.upper - difference.interval.lower) / 2.0
    if difference.value == 0.0 or not isfinite(half):
        return None
    factor = (half / difference.value * power_factor(difference.interval.level)) ** 2
    return ceil(difference.n_clusters * factor) if factor < 1e6 else None


def power_factor(level: float) -> float:
    """The gain that is shown with the stated power, in half widths of an interval of some level."""
    normal = NormalDist()
    return 1.0 + normal.inv_cdf(POWER) / normal.inv_cdf(0.5 + level / 2.0)
