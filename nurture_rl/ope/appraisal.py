"""Everything a log says about a set of policies: the evaluation, and what a sceptic asks next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.by_period import PeriodValue, by_period, weeks_of
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.findings import LogChecks, Severity
from nurture_rl.ope.estimators import cumulative_weights
from nurture_rl.ope.evaluate import EvaluationConfig, evaluate_questions, questions
from nurture_rl.ope.evaluation import LOGGED, Evaluation, Json, plain
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.selection.compare import PolicyComparison, compare_policies
from nurture_rl.ope.suite import Question
from nurture_rl.ope.targets import Tabled, TargetPolicy
from nurture_rl.ope.verdict import Judgement, Verdict
from nurture_rl.ope.weight_profile import WeightProfile, weight_profile


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What stands beside a log and is not part of it."""

    day: NDArray[np.datetime64] | None = None  # of each decision, [N]
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  # [E] each
    harms: Mapping[str, FloatArray] = field(default_factory=dict)  # counts per decision, [N] each
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # level by action, [a]
    features: tuple[str, ...] = ()  # names, [d]
    actions: tuple[str, ...] = ()  # names, [a]

    @property
    def context(self) -> LogContext:
        """The same as the checks of a log want it."""
        week = None
        if self.day is not None and not np.isnat(self.day).any():
            # 1970-01-01 was a Thursday: three days after a Monday.
            monday = (self.day.astype("datetime64[D]").astype(np.int64) + 3) // 7
            week = monday - monday.min() + 1
        return LogContext(week=week, feature_names=self.features, action_ids=self.actions)


@dataclass(frozen=True, slots=True, eq=False)
class Appraisal:
    """The evaluation and its appendices; a part that was not made is empty."""

    evaluation: Evaluation
    candidate: str  # the policy that the verdict is about
    rules: str | None
    margin: float  # a gain over the rules up to this is not worth having, the log's unit
    candidates: int  # policies compared, whose intervals hold together
    checks: LogChecks  # of the log
    target_checks: Mapping[str, LogChecks]  # of each policy on it
    comparison: PolicyComparison | None  # of the policies that the log carries
    weights: Mapping[str, WeightProfile]  # by policy
    weeks: Mapping[str, list[PeriodValue]]  # by policy, and "logged"
    skipped: Mapping[str, str]  # parts that were not made, and why

    @property
    def verdict(self) -> Verdict:
        """The word on the candidate."""
        judgement = self.evaluation.policies[self.candidate].judgement
        return Verdict.CANNOT_TELL_YET if judgement is None else judgement.verdict

    def to_dict(self) -> dict[str, Json]:
        """The appraisal as JSON values."""
        found = plain(self)
        assert isinstance(found, dict)
        return found | {"verdict": self.verdict.value, "settling": list(self.settling)}

    @property
    def settling(self) -> tuple[str, ...]:
        """What would turn a "cannot tell yet" about the candidate into an answer."""
        if self.verdict is not Verdict.CANNOT_TELL_YET:
            return ()
        plan, step = self.checks.exploration, self.target_checks[self.candidate].mixing
        advised = [*self.checks.of(Severity.REFUSE)]
        found = [f"{one.advice}." for one in advised if one.advice]
        if step is not None and 0.0 < step.alpha < 1.0:
            found.append(
                f"Go {step.alpha:.1%} of the way from the logging policy to {self.candidate!r}: "
                f"for that step the log is predicted to hold {step.predicted_ess:.0f} effective "
                f"episodes, for {self.candidate!r} itself {step.full_ess:.3g}."
            )
        if plan is not None:
            found.append(f"Explore: {plan.text}.")
        return tuple(f"{line[0].upper()}{line[1:]}" for line in dict.fromkeys(found))


def appraise(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | Tabled],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: Beside,
    candidate: str | None = None,
) -> Appraisal:
    """Evaluate policies on a log and look at the answer from every side.

    Args:
        log: the decisions.
        policies: target policies by name.
        reference: one of them, or "logged".
        rng: deals contacts to folds.
        config: `level` is meant for all candidates together and shared out among them.
        beside: days, segments, harms and factors.
        candidate: the policy the verdict is about; None for the best of those that are neither
            reference nor rules: the one whose difference has the highest lower bound, which may be
            picked after the fact because the bounds hold together.

    Raises:
        NurtureError: what `evaluate_policies` refuses.
    """
    rivals = [name for name in policies if name not in (reference, config.rules)]
    together = config.level
    config = replace(config, level=simultaneous_level(together, max(1, len(rivals))))
    context = beside.context
    checks = check_log(log, context)
    asked = questions(log, policies, rng, config)
    target_checks = {
        name: check_target(log, one.target, context, predictions=one.predictions)
        for name, one in asked.items()
    }
    evaluation = evaluate_questions(log, asked, reference, config)
    evaluation = _withheld(evaluation, checks, target_checks)
    weeks, skipped = _weeks(log, asked, beside, config.level)
    return Appraisal(
        evaluation=evaluation,
        candidate=candidate or best_of(evaluation, rivals),
        rules=config.rules,
        margin=config.margin,
        candidates=len(rivals),
        checks=checks,
        target_checks=target_checks,
        comparison=_comparison(evaluation, together, config.preferred, rng),
        weights={
            name: weight_profile(cumulative_weights(log, question.target.taken)[:, -1])
            for name, question in asked.items()
        },
        weeks=weeks,
        skipped=skipped,
    )


def best_of(evaluation: Evaluation, rivals: list[str]) -> str:
    """The rival with the highest lower bound, those that the log carries first."""

    def rank(name: str) -> tuple[bool, float]:
        policy = evaluation.policies[name]
        lower = -np.inf if policy.difference is None else policy.difference.interval.lower
        return policy.overlap.feasible, lower

    return max(rivals, key=rank)


def _withheld(
    evaluation: Evaluation, checks: LogChecks, targets: Mapping[str, LogChecks]
) -> Evaluation:
    """No verdict stands on a log, or for a policy, that its checks refuse."""
    policies = {}
    for name, policy in evaluation.policies.items():
        refused = (*checks.of(Severity.REFUSE), *targets[name].of(Severity.REFUSE))
        judged = policy.judgement
        if refused and judged is not None and judged.verdict is not Verdict.CANNOT_TELL_YET:
            why = "; ".join(one.sentence for one in refused)
            judged = Judgement(
                Verdict.CANNOT_TELL_YET, f"checks refuse a verdict: {why}", judged.contacts_needed
            )
        policies[name] = replace(policy, judgement=judged)
    return replace(evaluation, policies=policies)


def _comparison(
    evaluation: Evaluation, level: float, preferred: str, rng: np.random.Generator
) -> PolicyComparison | None:
    """All policies the log carries beside each other and the logging policy, by one estimator."""
    carried = {LOGGED: evaluation.logged.estimate}
    for name, policy in evaluation.policies.items():
        if policy.overlap.feasible and preferred in policy.estimates:
            carried[name] = policy.estimates[preferred].estimate
    if len(carried) < 2:
        return None
    reference = evaluation.reference if evaluation.reference in carried else LOGGED
    return compare_policies(carried, reference, level, rng)


def _weeks(
    log: EvaluationLog, asked: Mapping[str, Question], beside: Beside, level: float
) -> tuple[dict[str, list[PeriodValue]], dict[str, str]]:
    if beside.day is None:
        return {}, {"weeks": "the log does not say when its decisions were made"}
    if np.isnat(beside.day).any():
        return {}, {"weeks": "some decisions have no day"}
    found = by_period(log, weeks_of(beside.day, log), asked, level)
    if len(found["logged"]) < 2:
        return {}, {"weeks": "fewer than two weeks have enough contacts"}
    return found, {}
