"""Every policy, every estimator, one log: the door of the room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from nurture_rl.appraisal.evaluation import LOGGED, Estimated, Evaluation, PolicyEvaluation
from nurture_rl.appraisal.selection.choice import EstimatorChoice, rank_by_pairing
from nurture_rl.appraisal.verdict import Judgement, RulesBar, Verdict, judge
from nurture_rl.errors import NurtureError, OverlapError
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes, rare_outcomes
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap, require_exploration
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import SAME_POLICY, Difference, no_difference, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray, horizon
from nurture_rl.ope.named_estimators import (
    ESTIMATORS,
    FULLY_WEIGHTED,
    SLOW_ESTIMATORS,
    Answers,
    Question,
    answers,
    as_logged,
    as_weighed,
)
from nurture_rl.ope.targets import (
    TabulatedPolicy,
    TargetPolicy,
    action_mix,
    logged_one_hot,
    target_on_log,
)
from nurture_rl.ope.ties import alike
from nurture_rl.ope.value_model import ValueDesign, ValueModelConfig, fit_values, value_design
from nurture_rl.progress import PROGRESS

AUTO = "auto"  # in place of a preferred estimator: `FALLBACKS` in their order, fixed beforehand
EVERY_ESTIMATOR = {**ESTIMATORS, **SLOW_ESTIMATORS}
BASIC = ("ips", "snips", "dm", "dr")
FALLBACKS = ("dr", "snips", "ips")  # in this order, where the preferred one has no answer for both
# What becomes of episodes that are open when the log ends. Both take that when an episode begins
# says nothing about how it goes.
WEIGHTED = "weighted"  # finished ones stand in for them, by the chance of being followed that long
COMPLETE_ONLY = "complete_only"  # they are left out, and finished ones that were begun as late
OPEN_EPISODES = (WEIGHTED, COMPLETE_ONLY)


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """How policies are evaluated."""

    level: float = 0.95  # stated coverage of each interval; see `simultaneous_level` for several
    thresholds: OverlapThresholds = field(default_factory=OverlapThresholds)
    value_model: ValueModelConfig = field(default_factory=ValueModelConfig)
    chunk_rows: int = 65_536  # rows a policy is asked about at a time
    estimators: tuple[str, ...] = BASIC  # names, also of slow ones
    preferred: str = "dr"  # the estimator that differences and verdicts rest on, or AUTO
    candidates: tuple[str, ...] | None = None  # may be put forward; None: all but reference, rules
    rules: str | None = None  # a simple policy among those evaluated, which may be enough
    margin: float = 0.0  # a gain over the rules up to this is not worth having, the log's unit
    open_episodes: str = WEIGHTED  # those still open when the log ends: weighted or complete_only
    # What verdicts may rest on where nobody logged propensities and a model stands in for them:
    # refuse, they tell nothing yet and nothing is released; accept, they are taken at their word.
    estimated_propensities: str = "refuse"


def evaluate_policies(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> Evaluation:
    """Evaluate target policies on a log and compare each with the reference.

    Args:
        log: logged decisions; pass it through `as_single_decisions` for values per decision.
        policies: the target policies by name, or their probabilities on the log's rows; "logged"
            is reserved.
        reference: name of one of them, or "logged" for the logging policy's own mean.
        rng: deals contacts to the folds of the value model, nothing else.
        config: level, thresholds, estimators and the value model's settings.

    Returns:
        Estimates with intervals, overlap, action mix, paired difference and verdict per policy. An
        estimator that has no answer for a policy is absent there, with its reason in `refusals`.

    Raises:
        OverlapError: the log never left a decision to chance.
        ProbabilityError, ShapeError: a policy's answer is no distribution over legal actions.
        FitError: fewer than three contacts, or value model settings out of range.
        NurtureError: an unknown reference, rules or estimator, or a policy named "logged".
    """
    require_exploration(log, config.thresholds)
    design = value_design(log, rng, config.value_model)
    return evaluate_questions(log, questions(log, policies, design, config), reference, config)


def questions(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    design: ValueDesign,
    config: EvaluationConfig,
) -> dict[str, Question]:
    """`questions_on` a single log."""
    return questions_on((log,), policies, (design,), config)[0]


def questions_on(
    logs: Sequence[EvaluationLog],
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    designs: Sequence[ValueDesign],
    config: EvaluationConfig,
) -> list[dict[str, Question]]:
    """What estimators may read about each policy: its probabilities and its value model's answers.

    Args:
        logs: the same decisions with one outcome each; a policy is asked once for all of them.
        policies: by name.
        designs: of `value_designs` on these logs.
        config: how many rows a policy is asked about at a time.

    Returns:
        For each log, the questions by policy.

    Raises:
        ProbabilityError, ShapeError: a policy's answer is no distribution over legal actions.
    """
    by_log: list[dict[str, Question]] = [{} for _ in logs]
    for name, policy in policies.items():
        PROGRESS.info("the value model of policy %r", name)
        target = target_on_log(logs[0], policy, name, config.chunk_rows)
        fitted = fit_values(designs, target.probabilities)
        for asked, log, predictions in zip(by_log, logs, fitted, strict=True):
            asked[name] = Question(log, target, predictions)
    return by_log


def evaluate_questions(
    log: EvaluationLog,
    asked: Mapping[str, Question],
    reference: str,
    config: EvaluationConfig,
) -> Evaluation:
    """`evaluate_policies` of questions that were prepared before, all on this log.

    Raises:
        OverlapError, NurtureError: as `evaluate_policies`.
    """
    require_names(asked, reference, config)
    running = next((one.running for one in asked.values()), None)
    own, weighed = as_logged(log, running), as_weighed(log, running)
    outcomes = rare_outcomes(weighed, weighed.propensity)
    logged = chosen_interval(own, config.level, outcomes)
    policies = {}
    for place, (name, question) in enumerate(asked.items(), 1):
        about = f"policy {name!r} ({place} of {len(asked)})"
        policies[name] = _evaluate_one(name, question, config, about)
    selection = None if config.preferred != AUTO else selection_of(policies, config)
    if config.preferred == AUTO:
        # Whichever happens to vary least on this log would make its interval too narrow.
        config = replace(config, preferred=FALLBACKS[0])
    policies = {
        name: replace(one, basis=basis_of(one, None, config)) for name, one in policies.items()
    }
    rules = policies.get(config.rules or "")
    pair = _Pairing(log, asked, policies.get(reference), rules, own, config)
    return Evaluation(
        unit=log.unit,
        level=config.level,
        reference=reference,
        n_decisions=log.n_rows,
        n_episodes=log.n_episodes,
        n_clusters=own.n_clusters,
        horizon=horizon(log),
        steps=np.unique(log.step),
        logged=Estimated(own, logged),
        logged_mix=action_mix(log, logged_one_hot(log.mask, log.action)),
        policies={
            name: policy if name == reference else compared(policy, pair)
            for name, policy in policies.items()
        },
        preferred=config.preferred,
        selection=selection,
    )


@np.errstate(over="ignore", invalid="ignore")
def _evaluate_one(
    name: str, question: Question, config: EvaluationConfig, about: str
) -> PolicyEvaluation:
    """One policy's estimates and diagnostics, not yet compared."""
    log, target = question.log, question.target
    asked = {kind: EVERY_ESTIMATOR[kind] for kind in config.estimators}
    answered = answers(question, asked, about)
    weighed = as_weighed(log, question.running)
    outcomes = outcomes_of(weighed, question.taken) if answered.estimates else None
    estimates = {
        kind: Estimated(
            estimate,
            chosen_interval(estimate, config.level, outcomes if kind in FULLY_WEIGHTED else None),
        )
        for kind, estimate in answered.estimates.items()
    }
    return PolicyEvaluation(
        name=name,
        estimates=estimates,
        refusals=answered.refusals,
        overlap=overlap(log, target, config.thresholds),
        action_mix=action_mix(log, target.probabilities),
        basis=None,
        difference=None,
        against_rules=None,
        judgement=None,
    )


class Pairing(Protocol):
    """What every policy is compared with."""

    @property
    def reference(self) -> PolicyEvaluation | None:
        """None: the logging policy's own mean."""
        ...

    @property
    def rules(self) -> PolicyEvaluation | None:
        """None where there are none to be compared with."""
        ...

    @property
    def config(self) -> EvaluationConfig:
        """Level, thresholds and margin."""
        ...

    @property
    def unit(self) -> str:
        """Of every difference."""
        ...

    def difference(self, policy: PolicyEvaluation, kind: str | None, to: str) -> Difference | None:
        """Paired difference of a policy to another, by one estimator."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Pairing:
    """Pairs of policies by their questions on the log."""

    log: EvaluationLog
    asked: Mapping[str, Question]  # by policy
    reference: PolicyEvaluation | None  # None: the logging policy's own mean
    rules: PolicyEvaluation | None
    own: ValueEstimate
    config: EvaluationConfig

    @property
    def unit(self) -> str:
        """Of every difference."""
        return f"{self.log.unit} per {'decision' if horizon(self.log) == 1 else 'episode'}"

    def same(self, name: str, to: str) -> bool:
        """Whether a policy acts like another, or like the logging policy, in every decision."""
        mine = self.asked[name].target
        if to != LOGGED:
            return bool(alike(mine.probabilities, self.asked[to].target.probabilities).all())
        if self.log.logged_probabilities is None:
            return bool(alike(mine.taken, self.log.propensity).all())
        return bool(alike(mine.probabilities, self.log.logged_probabilities).all())

    def difference(self, policy: PolicyEvaluation, kind: str | None, to: str) -> Difference | None:
        """Paired difference of a policy to another, or to the logging policy, by one estimator.

        None where no estimator is named and the two are not one policy.
        """
        if self.same(policy.name, to):
            reason = f"acting alike in all {self.log.n_rows} decisions"
            return no_difference(self.config.level, self.own.n_clusters, SAME_POLICY, reason)
        if kind is None:
            return None
        others = {one.name: one for one in (self.reference, self.rules) if one is not None}
        base = self.own if to == LOGGED else others[to].estimates[kind].estimate
        outcomes, question = None, self.asked[policy.name]
        if kind in FULLY_WEIGHTED:
            weighed = as_weighed(self.log, question.running)
            there = weighed.propensity if to == LOGGED else self.asked[to].taken
            outcomes = outcomes_of(weighed, question.taken, there)
        mine = policy.estimates[kind].estimate
        return paired_difference(mine, base, self.config.level, outcomes)


def compared(policy: PolicyEvaluation, pair: Pairing) -> PolicyEvaluation:
    """The policy with its paired differences to the reference and the rules, and the verdict."""
    reference = pair.reference
    basis = basis_of(policy, reference, pair.config)
    difference = pair.difference(policy, basis, LOGGED if reference is None else reference.name)
    if difference is None:
        return replace(policy, judgement=_no_answer(policy, reference))
    bar = None
    if pair.rules is not None and pair.rules.name != policy.name:
        shared = basis if basis in pair.rules.estimates else None
        over = pair.difference(policy, shared, pair.rules.name)
        if over is not None:
            bar = RulesBar(pair.rules.name, over, pair.rules.overlap, pair.config.margin)
    carried = None if reference is None else reference.overlap
    return replace(
        policy,
        basis=basis,
        difference=difference,
        against_rules=None if bar is None else bar.difference,
        judgement=judge(
            difference, policy.overlap, carried, pair.config.thresholds, pair.unit, bar
        ),
    )


def selection_of(
    policies: Mapping[str, PolicyEvaluation], config: EvaluationConfig
) -> EstimatorChoice | None:
    """The estimators by their error over the policies that the log carries."""
    asked = []
    for policy in policies.values():
        estimates = {kind: one.estimate for kind, one in policy.estimates.items()}
        if policy.overlap.feasible and "dr" in estimates:
            asked.append((Answers(estimates, policy.refusals), estimates["dr"]))
    return rank_by_pairing(asked, config.estimators, FULLY_WEIGHTED) if asked else None


def outcomes_of(
    log: EvaluationLog, taken: FloatArray, against: FloatArray | None = None
) -> RareOutcomes | None:
    """`rare_outcomes`, or None where weights leave the range of floating point numbers."""
    try:
        return rare_outcomes(log, taken, against)
    except OverlapError:
        return None


def basis_of(
    policy: PolicyEvaluation, reference: PolicyEvaluation | None, config: EvaluationConfig
) -> str | None:
    """The preferred estimator, or the next in the stated order that has an answer for both."""
    for kind in (config.preferred, *FALLBACKS):
        if kind in policy.estimates and (reference is None or kind in reference.estimates):
            return kind
    return None


def _no_answer(policy: PolicyEvaluation, reference: PolicyEvaluation | None) -> Judgement:
    refused = {**policy.refusals, **({} if reference is None else reference.refusals)}
    why = "; ".join(f"{kind}: {reason}" for kind, reason in list(refused.items())[:2])
    return Judgement(
        Verdict.CANNOT_TELL_YET,
        f"no estimator that differences may rest on has an answer for both policies ({why})",
        None,
        "what would settle it: a policy closer to the log",
    )


def require_names(policies: Mapping[str, object], reference: str, config: EvaluationConfig) -> None:
    """Refuse names that no policy or estimator has.

    Raises:
        NurtureError: an unknown reference, rules or estimator, or a policy named "logged".
    """
    if LOGGED in policies:
        raise NurtureError(f"the name {LOGGED!r} is the logging policy's own; rename the policy")
    if reference != LOGGED and reference not in policies:
        raise NurtureError(
            f"the reference must be {LOGGED!r} or one of {sorted(policies)}, got {reference!r}"
        )
    if config.rules is not None and config.rules not in policies:
        raise NurtureError(
            f"the rules must be one of the policies {sorted(policies)}, got {config.rules!r}"
        )
    preferred = "dr" if config.preferred == AUTO else config.preferred
    unknown = sorted({*config.estimators, preferred} - set(EVERY_ESTIMATOR))
    if unknown or preferred not in config.estimators:
        raise NurtureError(
            f"estimators must be among {', '.join(EVERY_ESTIMATOR)} and hold the preferred one, "
            f"got {', '.join(config.estimators)} and {preferred!r} preferred"
        )
