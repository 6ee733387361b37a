"""Everything a log says about a set of policies: the evaluation, and what a sceptic asks next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.appraisal.appendices import (
    Beside,
    Tail,
    by_segment,
    harm_bounds,
    lift_by_factor,
    tails,
)
from nurture_rl.appraisal.by_period import PeriodValue, by_period, weeks_of
from nurture_rl.appraisal.evaluate import EvaluationConfig, evaluate_questions, questions
from nurture_rl.appraisal.evaluation import LOGGED, Evaluation, Json, PolicyEvaluation, plain
from nurture_rl.appraisal.risk.harm import HarmBound
from nurture_rl.appraisal.risk.lift import LiftDecomposition
from nurture_rl.appraisal.risk.segments import SegmentValue
from nurture_rl.appraisal.selection.compare import PolicyComparison, compare_policies
from nurture_rl.appraisal.verdict import Judgement, Verdict
from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.findings import Finding, LogChecks, Severity
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.diagnostics import require_exploration
from nurture_rl.ope.estimators import cumulative_weights
from nurture_rl.ope.intervals import SAME_POLICY, simultaneous_level
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray
from nurture_rl.ope.suite import Question
from nurture_rl.ope.targets import Tabled, TargetPolicy
from nurture_rl.ope.ties import alike
from nurture_rl.ope.value_model import ValueDesign, value_design
from nurture_rl.ope.weight_profile import WeightProfile, weight_profile
from nurture_rl.progress import PROGRESS

REFUSE = Severity.REFUSE
SMALLEST_STEP = 0.001  # toward a policy that is worth advising
# Findings of too little overlap: more contacts, or a policy closer to the log, mend them.
TOO_FAR = frozenset({"ess", "weight-share", "trajectory-weights", "weight-overflow", "support-gap"})


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
    tails: Mapping[str, Tail]  # of the return per episode, by policy, and "logged"
    harms: Mapping[str, Mapping[str, HarmBound]]  # by harm and policy, and "logged"
    segments: Mapping[str, tuple[SegmentValue, ...]]  # of the candidate, by name of the labels
    lift: LiftDecomposition | None  # of the candidate over the reference
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
        advised = wrong(self.evaluation.reference, self.candidate, self.checks, self.target_checks)
        found = [f"{one.advice}." for one in advised if one.advice]
        # How far the log carries a policy is read off weights that must not be wrong.
        if step is not None and SMALLEST_STEP <= step.alpha < 1.0 and not advised:
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
    PROGRESS.info("checks of the log")
    checks = check_log(log, beside.context)
    require_exploration(log, config.thresholds, beside.context)
    design = value_design(log, rng, config.value_model)
    asked = questions(log, policies, design, config)
    PROGRESS.info("checks of %d policies on the log", len(asked))
    targets = {
        name: check_target(log, one.target, beside.context, predictions=one.predictions)
        for name, one in asked.items()
    }
    known = config
    if config.rules is not None and wrong(LOGGED, config.rules, checks, targets):
        known = replace(config, rules=None)  # a bar that nobody may believe is none
    evaluation = evaluate_questions(log, asked, reference, known)
    evaluation = _withheld(evaluation, checks, targets)
    PROGRESS.info("weeks, risk, segments and lift")
    chosen = candidate or best_of(evaluation, rivals)
    refused = tuple(
        name for name, found in targets.items() if (*checks.of(REFUSE), *found.of(REFUSE))
    )
    case = _Case(log, asked, evaluation, chosen, beside, design, together, refused)
    return _with_appendices(case, config, len(rivals), (checks, targets), rng)


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
    found = list(checks.of(REFUSE))
    for one in dict.fromkeys((name, reference)):
        refused = () if one == LOGGED else targets[one].of(REFUSE)
        found += [finding for finding in refused if finding.code not in TOO_FAR]
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """What the appendices are made from."""

    log: EvaluationLog
    asked: Mapping[str, Question]
    evaluation: Evaluation
    candidate: str
    beside: Beside
    design: ValueDesign
    level: float  # over all candidates, segments or policies together
    refused: tuple[str, ...]  # policies whose numbers a check withholds

    @property
    def carried(self) -> dict[str, FloatArray]:
        """Chances of the logged actions under the policies to be believed, and as logged."""
        found = {LOGGED: self.log.propensity}
        for name, one in self.asked.items():
            if self.evaluation.policies[name].overlap.feasible and name not in self.refused:
                found[name] = one.target.taken
        return found

    def lack(self, name: str) -> str:
        """Why a policy is not among them."""
        if self.evaluation.policies[name].overlap.feasible:
            return f"a check refuses what rests on {name!r}"
        return f"the log does not carry {name!r}"


def _with_appendices(
    case: _Case,
    config: EvaluationConfig,
    candidates: int,
    checked: tuple[LogChecks, dict[str, LogChecks]],
    rng: np.random.Generator,
) -> Appraisal:
    weeks, skipped = _weeks(case)
    told, refused = tails(case.log, case.carried, case.level)
    parts, without = _segments(case)
    lift = _lift(case)
    comparison = _comparison(case, rng)
    if comparison is None:
        skipped["comparison"] = "no target policy is left whose numbers are to be believed"
    skipped |= refused | without | ({"lift by factor": lift} if isinstance(lift, str) else {})
    return Appraisal(
        evaluation=case.evaluation,
        candidate=case.candidate,
        rules=config.rules,
        margin=config.margin,
        candidates=candidates,
        checks=checked[0],
        target_checks=checked[1],
        comparison=comparison,
        weights=_profiles(case),
        weeks=weeks,
        tails=told,
        harms=harm_bounds(case.log, case.carried, case.beside.harms, case.level),
        segments=parts,
        lift=None if isinstance(lift, str) else lift,
        skipped=skipped,
    )


def best_of(evaluation: Evaluation, rivals: list[str]) -> str:
    """The rival with the highest lower bound, first those carried that no check refuses.

    A withheld verdict has a decided interval, and "cannot tell yet" all the same. One that is the
    reference itself hides no other.
    """

    def rank(name: str) -> tuple[bool, bool, bool, float]:
        policy = evaluation.policies[name]
        interval = None if policy.difference is None else policy.difference.interval
        lower = -np.inf if interval is None else interval.lower
        open_ = policy.judgement is None or policy.judgement.verdict is Verdict.CANNOT_TELL_YET
        withheld = open_ and interval is not None and not interval.lower <= 0.0 < interval.upper
        alike = policy.difference is not None and policy.difference.none
        return policy.overlap.feasible, not withheld, not alike, lower

    return max(rivals, key=rank)


def _withheld(
    evaluation: Evaluation, checks: LogChecks, targets: Mapping[str, LogChecks]
) -> Evaluation:
    """No verdict stands on a log, or for a policy, that its checks refuse."""
    policies = {}
    reference = evaluation.policies.get(evaluation.reference)
    for name, policy in evaluation.policies.items():
        found, judged = wrong(evaluation.reference, name, checks, targets), policy.judgement
        pair = (policy,) if reference is None else (policy, reference)
        if not found and all(one.overlap.feasible for one in pair):
            # Too little overlap withholds what looked decided; elsewhere the judgement says it.
            found = tuple(one for part in pair for one in targets[part.name].of(REFUSE))
        # What the logging policy did is known by the log's word alone.
        one_policy = reference is not None and _one_policy(policy)
        if found and judged is not None and not one_policy:
            why = "; ".join(dict.fromkeys(one.sentence for one in found))
            reason = f"checks refuse a verdict: {why}"
            judged = Judgement(Verdict.CANNOT_TELL_YET, reason, None)
        policies[name] = replace(policy, judgement=judged)
    return replace(evaluation, policies=policies)


def _one_policy(policy: PolicyEvaluation) -> bool:
    """Whether it acts as the reference does; that of another target policy holds on any log."""
    return policy.difference is not None and policy.difference.interval.method == SAME_POLICY


def _profiles(case: _Case) -> dict[str, WeightProfile]:
    """How the weights of each policy are spread, where they can be written down."""
    found = {}
    for name, question in case.asked.items():
        try:
            weights = cumulative_weights(case.log, question.target.taken)
        except OverlapError:
            continue
        found[name] = weight_profile(weights[:, -1])
    return found


def _comparison(case: _Case, rng: np.random.Generator) -> PolicyComparison | None:
    """All policies the log carries beside each other and the logging policy, by one estimator."""
    evaluation, preferred = case.evaluation, case.evaluation.preferred
    estimates = {LOGGED: evaluation.logged.estimate}
    for name in case.carried:
        if name != LOGGED and preferred in evaluation.policies[name].estimates:
            estimates[name] = evaluation.policies[name].estimates[preferred].estimate
    if len(estimates) < 2:
        return None
    reference = evaluation.reference if evaluation.reference in estimates else LOGGED
    return compare_policies(estimates, reference, case.level, rng)


def _weeks(case: _Case) -> tuple[dict[str, list[PeriodValue]], dict[str, str]]:
    day = case.beside.day
    if day is None:
        return {}, {"weeks": "the log does not say when its decisions were made"}
    if np.isnat(day).any():
        return {}, {"weeks": "some decisions have no day"}
    periods = weeks_of(day, case.log)
    asked = {name: one for name, one in case.asked.items() if name in case.carried}
    found = by_period(case.log, periods, asked, case.evaluation.level)
    if len(found[LOGGED]) < 2:
        return {}, {"weeks": "fewer than two weeks have enough contacts"}
    return found, {}


def _segments(case: _Case) -> tuple[dict[str, tuple[SegmentValue, ...]], dict[str, str]]:
    evaluation = case.evaluation
    policy = evaluation.policies[case.candidate]
    if not case.beside.segments:
        return {}, {"segments": "no labels to break the value down by were named"}
    for name in (case.candidate, evaluation.reference):
        if name not in case.carried:
            return {}, {"segments": case.lack(name)}
    if policy.basis is None:
        return {}, {"segments": f"no estimator has an answer for {case.candidate!r}"}
    base = evaluation.logged
    if evaluation.reference != LOGGED:
        base = evaluation.policies[evaluation.reference].estimates[policy.basis]
    pair = (policy.estimates[policy.basis].estimate, base.estimate)
    taken = case.asked[case.candidate].target.taken
    # The candidate may have been picked: what is said of it holds together with the others'.
    level, alike = evaluation.level, _alike_contacts(case)
    return by_segment(case.log, pair, taken, case.beside.segments, level, alike), {}


def _alike_contacts(case: _Case) -> BoolArray:
    """Contacts with whom candidate and reference act alike, in ascending order, [C]."""
    mine, base = case.asked[case.candidate].target, case.evaluation.reference
    if base == LOGGED and case.log.logged_probabilities is None:
        rows = alike(mine.taken, case.log.propensity)
    else:
        other = case.log.logged_probabilities
        if base != LOGGED:
            other = case.asked[base].target.probabilities
        assert other is not None
        rows = np.asarray(alike(mine.probabilities, other).all(axis=1))
    apart = np.bincount(case.log.episode, weights=~rows).astype(np.float64)
    return np.asarray(cluster_totals(case.log, apart) == 0.0)


def _lift(case: _Case) -> LiftDecomposition | str:
    """The lift by factor, or why there is none."""
    reference, table = case.evaluation.reference, case.log.logged_probabilities
    for name in (case.candidate, reference):
        if name not in case.carried:
            return case.lack(name)
    if reference != LOGGED:
        table = case.asked[reference].target.probabilities
    asked, level = case.asked[case.candidate], case.evaluation.level
    return lift_by_factor(asked, table, case.beside.factors, case.design, level)
