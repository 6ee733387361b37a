"""Everything a log says about a set of policies: the evaluation, and what a sceptic asks next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.appraisal.by_period import PeriodValue, by_period, weeks_of
from nurture_rl.appraisal.estimation import (
    EVERY_ESTIMATOR,
    EvaluationConfig,
    evaluate_questions,
)
from nurture_rl.appraisal.evaluation import LOGGED, Evaluation, PolicyEvaluation
from nurture_rl.appraisal.kpis import KpiEvaluation, kpi_evaluation
from nurture_rl.appraisal.on_estimates import hidden_by_policy, without_verdicts
from nurture_rl.appraisal.record import REFUSE, Appraisal, wrong
from nurture_rl.appraisal.risk.harm_limits import LimitFinding, broken, limit_finding
from nurture_rl.appraisal.risk.lift import LiftDecomposition
from nurture_rl.appraisal.risk.segments import SegmentValue
from nurture_rl.appraisal.risk_profile import (
    LogAnnotations,
    by_segment,
    harm_bounds,
    lift_by_factor,
    over_programs,
    tails,
    times_done,
)
from nurture_rl.appraisal.running import all_questions, open_episodes
from nurture_rl.appraisal.selection.policy_comparison import PolicyComparison, compare_policies
from nurture_rl.appraisal.verdict import Judgement, Verdict
from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.findings import CheckThresholds, LogChecks
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.diagnostics import OverlapThresholds, require_exploration
from nurture_rl.ope.estimators import ValueEstimate, cumulative_weights
from nurture_rl.ope.intervals import SAME_POLICY, simultaneous_level
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import Question, as_logged
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy, logged_one_hot
from nurture_rl.ope.ties import alike
from nurture_rl.ope.value_model import ValueDesign
from nurture_rl.ope.weight_profile import WeightProfile, weight_profile
from nurture_rl.progress import PROGRESS


def appraise(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: LogAnnotations,
    candidate: str | None = None,
) -> Appraisal:
    """Evaluate policies on a log and look at the answer from every side.

    Args:
        log: the decisions, of whole episodes.
        policies: target policies by name.
        reference: one of them, or "logged".
        rng: deals contacts to folds.
        config: `level` is meant for all candidates together and shared out among them.
        beside: days, segments, key figures, harms, factors and the episodes that are open.
        candidate: the policy the verdict is about; None for the candidate with the highest lower
            bound, which may be picked after the fact because the bounds hold together.

    Raises:
        NurtureError: what `evaluate_policies` refuses.
    """
    named = policies if config.candidates is None else config.candidates
    candidates = tuple(name for name in named if name not in (reference, config.rules))
    together = config.level
    config = replace(config, level=simultaneous_level(together, max(1, len(candidates))))
    PROGRESS.info("checks of the log")
    limits = check_limits(config.thresholds)
    context = replace(beside.context, open_episodes=open_episodes(log, beside, config))
    checks = check_log(log, context, limits)
    require_exploration(log, config.thresholds, beside.context)
    design, (asked, *of_kpis) = all_questions(log, policies, beside, rng, config)
    PROGRESS.info("checks of %d policies on the log", len(asked))
    targets = {
        name: check_target(log, one.target, beside.context, limits, one.predictions)
        for name, one in asked.items()
    }
    known = config
    if config.rules is not None and wrong(LOGGED, config.rules, checks, targets):
        known = replace(config, rules=None)  # a bar that nobody may believe is none
    evaluation = withheld(evaluate_questions(log, asked, reference, known), checks, targets)
    PROGRESS.info("key figures, harms, weeks, risk, segments and lift")
    refused = [name for name, one in targets.items() if (*checks.of(REFUSE), *one.of(REFUSE))]
    carried = _carried(log, asked, evaluation, refused)
    held = tuple(
        limit_finding(log, limit, carried, tuple(asked), reference, config.level)
        for limit in beside.limits
    )
    evaluation = _within(evaluation, held)
    rivals = candidates or [name for name in policies if name != reference] or list(policies)
    chosen = candidate or best_of(evaluation, rivals)
    hidden = hidden_by_policy(log, carried, config.level)
    evaluation = without_verdicts(evaluation, hidden, log, config.estimated_propensities)
    case = _Case(
        log, asked, of_kpis, evaluation, chosen, beside, design, together, refused, carried
    )
    made = _with_appendices(case, config, candidates, (checks, targets), rng)
    return replace(made, limits=held, hidden=hidden)


def _carried(
    log: EvaluationLog,
    asked: Mapping[str, Question],
    evaluation: Evaluation,
    refused: Sequence[str],
) -> dict[str, FloatArray]:
    """Chances of the logged actions under the policies to be believed, and as logged."""
    probabilities = {LOGGED: log.propensity}
    for name, one in asked.items():
        if evaluation.policies[name].overlap.feasible and name not in refused:
            probabilities[name] = one.target.taken
    return probabilities


def _within(evaluation: Evaluation, limits: tuple[LimitFinding, ...]) -> Evaluation:
    """Nobody is better who may do more harm than is acceptable."""
    policies = {}
    for name, policy in evaluation.policies.items():
        over, judged = broken(limits, name), policy.judgement
        if over and judged is not None and judged.verdict is Verdict.BETTER:
            reason = f"{judged.reason}; but a limit on harm is not kept: {'; '.join(over)}"
            settle = "more contacts, or a policy closer to the log, would narrow the bound"
            judged = Judgement(Verdict.CANNOT_TELL_YET, reason, None, settle)
        policies[name] = replace(policy, judgement=judged)
    return replace(evaluation, policies=policies)


def check_limits(thresholds: OverlapThresholds) -> CheckThresholds:
    """The checks ask for the overlap that verdicts ask for."""
    return CheckThresholds(
        min_ess=thresholds.min_ess,
        max_weight_share=thresholds.max_weight_share,
        max_support_gap=thresholds.max_support_gap,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """What the appendices are made from."""

    log: EvaluationLog
    asked: Mapping[str, Question]
    of_kpis: Sequence[Mapping[str, Question]]  # the same about each key figure
    evaluation: Evaluation
    candidate: str
    beside: LogAnnotations
    design: ValueDesign
    level: float  # over all candidates, segments or policies together
    refused: Sequence[str]  # policies whose numbers a check withholds
    carried: Mapping[str, FloatArray]  # chances of the logged actions of all others, and as logged

    def lack(self, name: str) -> str:
        """Why a policy is not among them."""
        if self.evaluation.policies[name].overlap.feasible:
            return f"a check refuses what rests on {name!r}"
        return f"the log does not carry {name!r}"


def _with_appendices(
    case: _Case,
    config: EvaluationConfig,
    candidates: tuple[str, ...],
    checked: tuple[LogChecks, dict[str, LogChecks]],
    rng: np.random.Generator,
) -> Appraisal:
    weeks, skipped = _weeks(case)
    told, refused = tails(case.log, case.carried, case.level)
    parts, without = _segments(case)
    lift = _lift(case)
    comparison = comparison_of(case.evaluation, case.carried, case.level, rng)
    if comparison is None:
        skipped["comparison"] = "no target policy is left whose numbers are to be believed"
    skipped |= refused | without | ({"lift by factor": lift} if isinstance(lift, str) else {})
    shown = (*candidates, case.evaluation.reference, config.rules)
    programs = [name for name in case.asked if name not in shown]
    return Appraisal(
        evaluation=case.evaluation,
        kpis=_kpis(case),
        candidate=case.candidate,
        rules=config.rules,
        margin=config.margin,
        candidates=candidates,
        over_programs=over_programs(
            case.evaluation, case.carried, candidates, programs, case.level
        ),
        checks=checked[0],
        target_checks=checked[1],
        comparison=comparison,
        doing=_doing(case),
        weights=weight_profiles(case.log, case.asked),
        weeks=weeks,
        tails=told,
        harms=harm_bounds(case.log, case.carried, case.beside.harms, case.evaluation.level),
        limits=(),
        segments=parts,
        lift=None if isinstance(lift, str) else lift,
        skipped=skipped,
    )


def best_of(evaluation: Evaluation, rivals: Sequence[str]) -> str:
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


def withheld(
    evaluation: Evaluation, checks: LogChecks, targets: Mapping[str, LogChecks]
) -> Evaluation:
    """No verdict stands on a log, or for a policy, that its checks refuse."""
    policies = {}
    reference = evaluation.policies.get(evaluation.reference)
    for name, policy in evaluation.policies.items():
        findings, judged = wrong(evaluation.reference, name, checks, targets), policy.judgement
        pair = (policy,) if reference is None else (policy, reference)
        if not findings and all(one.overlap.feasible for one in pair):
            # Too little overlap withholds what looked decided; elsewhere the judgement says it.
            findings = tuple(one for part in pair for one in targets[part.name].of(REFUSE))
        # What the logging policy did is known by the log's word alone.
        one_policy = reference is not None and _one_policy(policy)
        if findings and judged is not None and not one_policy:
            why = "; ".join(dict.fromkeys(one.sentence for one in findings))
            reason = f"checks refuse a verdict: {why}"
            judged = Judgement(Verdict.CANNOT_TELL_YET, reason, None)
        policies[name] = replace(policy, judgement=judged)
    return replace(evaluation, policies=policies)


def _one_policy(policy: PolicyEvaluation) -> bool:
    """Whether it acts as the reference does; that of another target policy holds on any log."""
    return policy.difference is not None and policy.difference.interval.method == SAME_POLICY


def _doing(case: _Case) -> dict[str, dict[str, dict[str, float]]]:
    """What was done per episode, and what each policy would do where the log went."""
    log, factors = case.log, case.beside.factors
    frequencies = {LOGGED: times_done(log, logged_one_hot(log.mask, log.action), factors)}
    for name, question in case.asked.items():
        frequencies[name] = times_done(log, question.target.probabilities, factors)
    return frequencies


def weight_profiles(log: EvaluationLog, asked: Mapping[str, Question]) -> dict[str, WeightProfile]:
    """How the weights of each policy are spread, where they can be written down.

    Args:
        log: whose episodes are weighted.
        asked: by policy.
    """
    profiles = {}
    for name, question in asked.items():
        try:
            weights = cumulative_weights(log, question.target.taken)
        except OverlapError:
            continue
        profiles[name] = weight_profile(weights[:, -1])
    return profiles


def comparison_of(
    evaluation: Evaluation, carried: Iterable[str], level: float, rng: np.random.Generator
) -> PolicyComparison | None:
    """All policies the log carries beside each other and the logging policy, by one estimator.

    Args:
        evaluation: of every policy.
        carried: the policies that the log carries.
        level: confidence of all of them together.
        rng: draws the critical values.

    Returns:
        None where fewer than two can be compared.
    """
    preferred = evaluation.preferred
    estimates = {LOGGED: evaluation.logged.estimate}
    for name in carried:
        if name != LOGGED and preferred in evaluation.policies[name].estimates:
            estimates[name] = evaluation.policies[name].estimates[preferred].estimate
    if len(estimates) < 2:
        return None
    reference = evaluation.reference if evaluation.reference in estimates else LOGGED
    return compare_policies(estimates, reference, level, rng)


def _kpis(case: _Case) -> tuple[KpiEvaluation, ...]:
    evaluation = case.evaluation
    return tuple(
        kpi_evaluation(kpi, asked, case.carried, evaluation.reference, evaluation.level)
        for kpi, asked in zip(case.beside.kpis, case.of_kpis, strict=True)
    )


def _weeks(case: _Case) -> tuple[dict[str, list[PeriodValue]], dict[str, str]]:
    day = case.beside.day
    if day is None:
        return {}, {"weeks": "the log does not say when its decisions were made"}
    if np.isnat(day).any():
        return {}, {"weeks": "some decisions have no day"}
    periods = weeks_of(day, case.log)
    asked = {name: one for name, one in case.asked.items() if name in case.carried}
    values = by_period(case.log, periods, asked, case.evaluation.level)
    if len(values[LOGGED]) < 2:
        return {}, {"weeks": "fewer than two weeks have enough contacts"}
    return values, {}


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
    pair = (
        _on_whole_episodes(case, case.candidate, policy.basis),
        _on_whole_episodes(case, evaluation.reference, policy.basis),
    )
    taken = case.asked[case.candidate].target.taken
    # The candidate may have been picked: what is said of it holds together with the others'.
    level, alike = evaluation.level, _alike_contacts(case)
    return by_segment(case.log, pair, taken, case.beside.segments, level, alike), {}


def _on_whole_episodes(case: _Case, name: str, kind: str) -> ValueEstimate:
    """An estimate by contact of the log, which holds no open episode."""
    if name == LOGGED:
        return as_logged(case.log, None)
    asked = case.asked[name]
    if asked.running is not None:
        return EVERY_ESTIMATOR[kind](replace(asked, running=None))
    return case.evaluation.policies[name].estimates[kind].estimate


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
