"""The record of an appraisal: everything the judge found, typed, and what it withholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nurture_rl.appraisal.by_period import PeriodValue
from nurture_rl.appraisal.evaluation import LOGGED, Evaluation, Json, plain
from nurture_rl.appraisal.kpis import KpiEvaluation
from nurture_rl.appraisal.risk.harm import HarmBound
from nurture_rl.appraisal.risk.harm_limits import LimitFinding
from nurture_rl.appraisal.risk.lift import LiftDecomposition
from nurture_rl.appraisal.risk.segments import SegmentValue
from nurture_rl.appraisal.risk_profile import Tail
from nurture_rl.appraisal.selection.policy_comparison import PolicyComparison
from nurture_rl.appraisal.selection.simplest import SimplestChoice
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.ope.bounds.hidden_confounding import HiddenConfounding
from nurture_rl.ope.checks.findings import Finding, LogChecks, Severity
from nurture_rl.ope.checks.gaps import ESTIMATED
from nurture_rl.ope.intervals import Difference
from nurture_rl.ope.weight_profile import WeightProfile

REFUSE = Severity.REFUSE
SMALLEST_STEP = 0.001  # toward a policy that is worth advising
# Findings of too little overlap: more contacts, or a policy closer to the log, mend them.
TOO_FAR = frozenset({"ess", "weight-share", "trajectory-weights", "weight-overflow", "support-gap"})


@dataclass(frozen=True, slots=True, eq=False)
class Appraisal:
    """The evaluation and its appendices; a part that was not made is empty."""

    evaluation: Evaluation
    kpis: tuple[KpiEvaluation, ...]  # the north star first; empty where none were named
    candidate: str  # the policy that the verdict is about
    rules: str | None
    margin: float  # a gain over the rules up to this is not worth having, the log's unit
    candidates: tuple[str, ...]  # policies that may be put forward; their intervals hold together
    over_programs: Mapping[str, Mapping[str, Difference]]  # each less each policy that is none
    checks: LogChecks  # of the log
    target_checks: Mapping[str, LogChecks]  # of each policy on it
    comparison: PolicyComparison | None  # of the policies that the log carries
    doing: Mapping[str, Mapping[str, Mapping[str, float]]]  # by policy and factor; see `times_done`
    weights: Mapping[str, WeightProfile]  # by policy
    weeks: Mapping[str, list[PeriodValue]]  # by policy, and "logged"
    tails: Mapping[str, Tail]  # of the return per episode, by policy, and "logged"
    harms: Mapping[str, Mapping[str, HarmBound]]  # by harm and policy, and "logged"
    limits: tuple[LimitFinding, ...]  # on harms, and who keeps to them
    segments: Mapping[str, tuple[SegmentValue, ...]]  # of the candidate, by name of the labels
    lift: LiftDecomposition | None  # of the candidate over the reference
    skipped: Mapping[str, str]  # parts that were not made, and why
    # Of the policies that the log carries, where its propensities are estimated: what a hidden
    # cause could make of their values, in each decision of an episode, then in one of them.
    hidden: Mapping[str, tuple[HiddenConfounding, ...]] = field(default_factory=dict)
    simplest: SimplestChoice | None = None  # None: nobody asked, or there are no two to compare

    @property
    def verdict(self) -> Verdict:
        """The word on the candidate."""
        return self.verdict_on(self.candidate)

    def verdict_on(self, name: str) -> Verdict:
        """The word on a policy; `cannot_tell_yet` on the reference, which is not judged."""
        judgement = self.evaluation.policies[name].judgement
        return Verdict.CANNOT_TELL_YET if judgement is None else judgement.verdict

    @property
    def estimated(self) -> bool:
        """Whether the log's propensities are a model's."""
        return any(one.code == ESTIMATED for one in self.checks.findings)

    def refusals(self, name: str) -> tuple[Finding, ...]:
        """Every check that refuses numbers of a policy: of the log, and of it."""
        of_policy = () if name == LOGGED else self.target_checks[name].of(REFUSE)
        return (*self.checks.of(REFUSE), *of_policy)

    def believed(self, name: str) -> bool:
        """Whether the log carries a policy and no check refuses its numbers."""
        refused = self.checks.of(REFUSE) or self.target_checks[name].of(REFUSE)
        return self.evaluation.policies[name].overlap.feasible and not refused

    def to_dict(self) -> dict[str, Json]:
        """The appraisal as JSON values."""
        record = plain(self)
        assert isinstance(record, dict)
        return record | {"verdict": self.verdict.value, "settling": list(self.settling)}

    @property
    def settling(self) -> tuple[str, ...]:
        """What would turn a "cannot tell yet" about the candidate into an answer."""
        if self.verdict is not Verdict.CANNOT_TELL_YET:
            return ()
        plan, step = self.checks.exploration, self.target_checks[self.candidate].mixing
        advised = wrong(self.evaluation.reference, self.candidate, self.checks, self.target_checks)
        sentences = [f"{one.advice}." for one in advised if one.advice]
        # How far the log carries a policy is read off weights that must not be wrong.
        if step is not None and SMALLEST_STEP <= step.alpha < 1.0 and not advised:
            sentences.append(
                f"Go {step.alpha:.1%} of the way from the logging policy to {self.candidate!r}: "
                f"for that step the log is predicted to hold {step.predicted_ess:.0f} effective "
                f"episodes, for {self.candidate!r} itself {step.full_ess:.3g}."
            )
        if plan is not None:
            sentences.append(f"Explore: {plan.text}.")
        return tuple(f"{line[0].upper()}{line[1:]}" for line in dict.fromkeys(sentences))


def wrong(
    reference: str, name: str, checks: LogChecks, targets: Mapping[str, LogChecks]
) -> tuple[Finding, ...]:
    """What makes numbers about a policy wrong, not only too few: of the log, it, and its reference.

    Args:
        reference: the policy it is compared with, or "logged".
        name: the policy.
        checks: of the log.
        targets: of each policy on it.
    """
    findings = list(checks.of(REFUSE))
    for one in dict.fromkeys((name, reference)):
        refused = () if one == LOGGED else targets[one].of(REFUSE)
        findings += [finding for finding in refused if finding.code not in TOO_FAR]
    return tuple(findings)
