"""The judge of logs that are summed in a stream: the same record, made from sums and a sample.

Values, errors, overlap, differences and verdicts rest on sums over every decision. Checks that read
single decisions are asked of the sample, and their sentences say so; what needs the whole log in
memory is named among the parts that were skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.appraisal.appraise import check_limits
from nurture_rl.appraisal.estimation import EvaluationConfig, compared, questions, require_names
from nurture_rl.appraisal.evaluation import LOGGED, Estimated, Evaluation, PolicyEvaluation
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.appraisal.streamed_checks import SampledLog, of_sample, whole_log, whole_target
from nurture_rl.appraisal.streamed_judge import IN_MEMORY, appraise_summed, with_basis
from nurture_rl.errors import OverlapError
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.interval import Interval
from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.feasibility import predicted_ess
from nurture_rl.ope.checks.findings import LogChecks
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.diagnostics import Overlap, held_against, require_exploration
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import (
    SAME_POLICY,
    Difference,
    no_difference,
    paired_difference,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import ESTIMATORS, FULLY_WEIGHTED, Question
from nurture_rl.ope.streaming.batch_sums import Summing
from nurture_rl.ope.streaming.estimates import streamed_estimates
from nurture_rl.ope.streaming.moments import WEIGHT, WEIGHT_SQUARED, MomentsConfig
from nurture_rl.ope.streaming.policy_sums import ALONE, LogSums, PolicySums
from nurture_rl.ope.streaming.reward_model import reward_model
from nurture_rl.ope.streaming.streamed_outcomes import RARE_FACTOR, summed_outcomes
from nurture_rl.ope.targets import TabulatedPolicy, TargetPolicy
from nurture_rl.ope.value_model import value_design
from nurture_rl.progress import PROGRESS

ONE_ESTIMATE = {
    "wdr": "the same as sndr where episodes have one decision",
    "drl": "the same as dr where episodes have one decision",
}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What the sample says before a decision is summed."""

    sample: EvaluationLog
    asked: Mapping[str, Question]  # policies on the sample
    checks: LogChecks  # of the sample
    targets: Mapping[str, LogChecks]  # of each policy on it
    summing: Summing


def prepare(
    sample: EvaluationLog,
    policies: Mapping[str, TargetPolicy | TabulatedPolicy],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: LogAnnotations,
) -> Prepared:
    """Check the sample, and fit the reward model that the stream asks.

    Args:
        sample: decisions whose clusters are buckets of contacts.
        policies: target policies by name.
        reference: one of them, or "logged".
        rng: deals buckets to folds.
        config: as for `appraise`.
        beside: names of features and actions.

    Raises:
        NurtureError: what `appraise` refuses.
    """
    require_names(policies, reference, config)
    PROGRESS.info("checks of the log")
    limits = check_limits(config.thresholds)
    checks = check_log(sample, beside.context, limits)
    require_exploration(sample, config.thresholds, beside.context)
    design = value_design(sample, rng, config.value_model)
    asked = questions(sample, policies, design, config)
    PROGRESS.info("checks of %d policies on the log", len(asked))
    targets = {
        name: check_target(sample, one.target, beside.context, limits, one.predictions)
        for name, one in asked.items()
    }
    shape = MomentsConfig()
    others = [name for name in (reference, config.rules) if name is not None]
    size = np.abs(sample.reward)
    rare = RARE_FACTOR * float(size.mean())
    model = reward_model(sample, design, shape.n_buckets)
    pairs = {
        name: tuple(dict.fromkeys(other for other in others if other != name)) for name in policies
    }
    return Prepared(sample, asked, checks, targets, Summing(shape, model, rare, pairs))


def appraise_sums(
    prepared: Prepared,
    sums: LogSums,
    contacts: int,
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: LogAnnotations,
    candidate: str | None = None,
) -> Appraisal:
    """What `appraise` says, from sums over the whole log.

    Args:
        prepared: of `prepare`, by whose `summing` the sums were made.
        sums: over every decision that could be used.
        contacts: of the log, counted or estimated.
        reference: a policy's name, or "logged".
        rng: draws critical values.
        config: `level` is meant for all candidates together and shared out among them.
        beside: names, and the factors of the actions.
        candidate: the policy the verdict is about; None for the best of the candidates.
    """
    log = SampledLog(prepared.sample, sums, contacts, beside.actions)
    summed = _SummedDecisions(prepared, log)
    return appraise_summed(summed, reference, rng, config, beside, candidate)


@dataclass(frozen=True, slots=True, eq=False)
class _SummedDecisions:
    """A log of single decisions that was summed up, for the judge."""

    prepared: Prepared
    log: SampledLog

    @property
    def sample(self) -> EvaluationLog:
        """Decisions at hand one by one."""
        return self.prepared.sample

    @property
    def asked(self) -> Mapping[str, Question]:
        """Policies on the sample."""
        return self.prepared.asked

    def checked(self, config: EvaluationConfig) -> tuple[LogChecks, dict[str, LogChecks]]:
        """Checks of the log and of each policy on it."""
        return _checked(self.prepared, self.log, config)

    def evaluation(self, reference: str, config: EvaluationConfig) -> Evaluation:
        """Every policy, compared."""
        return _evaluation(self.log, self.prepared, reference, config)

    def times(self) -> dict[str, FloatArray]:
        """How often per episode each action is taken, as logged and by every policy, [a] each."""
        sums, n = self.log.sums, self.log.sums.n_rows
        found = {name: policy.mix / n for name, policy in sums.policies.items()}
        return {LOGGED: sums.taken.sum(axis=0) / n, **found}


def _checked(
    prepared: Prepared, log: SampledLog, config: EvaluationConfig
) -> tuple[LogChecks, dict[str, LogChecks]]:
    """Checks of the log and of each policy on it, of every decision where sums say so much."""
    if log.whole:
        return prepared.checks, dict(prepared.targets)
    limits = check_limits(config.thresholds)
    targets = {
        name: whole_target(_said(prepared.targets[name], log), log, name, question, limits)
        for name, question in prepared.asked.items()
    }
    unit = log.sample.unit
    return whole_log(_said(prepared.checks, log), log.sums.n_rows, unit, log.range), targets


def _said(checks: LogChecks, log: SampledLog) -> LogChecks:
    return of_sample(checks, log.sample.n_rows, log.sums.n_rows)


def _evaluation(
    log: SampledLog, prepared: Prepared, reference: str, config: EvaluationConfig
) -> Evaluation:
    sums, own = log.sums, _own(log)
    policies = {name: _evaluated(log, name, config) for name in prepared.asked}
    policies, config, selection = with_basis(policies, config)
    pair = _SummedPairs(log, policies.get(reference), policies.get(config.rules or ""), own, config)
    logged = chosen_interval(own, config.level, summed_outcomes(sums, sums.own))
    return Evaluation(
        unit=prepared.sample.unit,
        level=config.level,
        reference=reference,
        n_decisions=sums.n_rows,
        n_episodes=sums.n_rows,
        n_clusters=log.contacts,
        horizon=1,
        steps=np.zeros(1, dtype=np.int64),
        logged=Estimated(own, by_groups(logged)),
        logged_mix=sums.taken.sum(axis=0)[None, :] / sums.n_rows,
        policies={
            name: policy if name == reference else compared(policy, pair)
            for name, policy in policies.items()
        },
        preferred=config.preferred,
        selection=selection,
    )


def _own(log: SampledLog) -> ValueEstimate:
    """The log's own mean."""
    sums, n = log.sums, log.sums.n_rows
    value = float(sums.reward.sum()) / n
    influence = ((sums.reward - value * sums.rows) / n)[sums.rows > 0.0]
    return ValueEstimate(value, clustered_stderr(influence), n, log.contacts, float(n), influence)


def _evaluated(log: SampledLog, name: str, config: EvaluationConfig) -> PolicyEvaluation:
    """One policy's estimates and overlap, not yet compared."""
    sums, policy = log.sums, log.sums.policies[name]
    refusals = {kind: ONE_ESTIMATE.get(kind, f"{kind} {IN_MEMORY}") for kind in config.estimators}
    known: Mapping[str, ValueEstimate] = {}
    try:
        known = streamed_estimates(policy.moments).all()
    except OverlapError as refusal:
        refusals = {kind: str(refusal) for kind in config.estimators}
    outcomes = summed_outcomes(sums, policy.outcomes[ALONE])
    estimates = {}
    for kind in (kind for kind in ESTIMATORS if kind in config.estimators and kind in known):
        estimate = replace(known[kind], n_clusters=log.contacts)
        rare = outcomes if kind in FULLY_WEIGHTED else None
        interval = by_groups(chosen_interval(estimate, config.level, rare))
        estimates[kind] = Estimated(estimate, interval)
    return PolicyEvaluation(
        name=name,
        estimates=estimates,
        refusals={kind: why for kind, why in refusals.items() if kind not in estimates},
        overlap=held_against(_overlap(log, policy), config.thresholds),
        action_mix=policy.mix[None, :] / sums.n_rows,
        basis=None,
        difference=None,
        against_rules=None,
        judgement=None,
    )


def _overlap(log: SampledLog, policy: PolicySums) -> Overlap:
    n, total = log.sums.n_rows, policy.moments.sums.sum(axis=0)
    mean = total[WEIGHT] / n
    by_bucket = policy.moments.sums[:, WEIGHT] - mean * log.sums.rows
    ess = float(total[WEIGHT] ** 2 / total[WEIGHT_SQUARED]) if total[WEIGHT] > 0.0 else 0.0
    largest = float(policy.moments.largest)
    return Overlap(
        n_episodes=n,
        n_clusters=log.contacts,
        ess=ess,
        ess_by_step=np.array([ess]),
        predicted_ess=predicted_ess(n, policy.second[:1] / n),
        max_weight_share=largest / float(total[WEIGHT]) if ess > 0.0 else 1.0,
        mean_weight=np.array([mean]),
        mean_weight_stderr=np.array([clustered_stderr(by_bucket[log.sums.rows > 0.0] / n)]),
        support_gap=None
        if log.sample.logged_probabilities is None
        else float(policy.unsupported) / n,
        feasible=False,
        reason="",
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SummedPairs:
    """Pairs of policies by their sums."""

    log: SampledLog
    reference: PolicyEvaluation | None
    rules: PolicyEvaluation | None
    own: ValueEstimate
    config: EvaluationConfig

    @property
    def unit(self) -> str:
        """Of every difference."""
        return f"{self.log.sample.unit} per decision"

    def difference(self, policy: PolicyEvaluation, kind: str | None, to: str) -> Difference | None:
        """Paired difference of a policy to another, or to the logging policy, by one estimator."""
        sums = self.log.sums
        pair = sums.policies[policy.name].outcomes[to]
        if float(pair.apart) == 0.0:
            reason = f"acting alike in all {sums.n_rows} decisions"
            return no_difference(self.config.level, self.log.contacts, SAME_POLICY, reason)
        if kind is None:
            return None
        others = {one.name: one for one in (self.reference, self.rules) if one is not None}
        base = self.own if to == LOGGED else others[to].estimates[kind].estimate
        outcomes: RareOutcomes | None = None
        if kind in FULLY_WEIGHTED:
            outcomes = summed_outcomes(sums, pair)
        mine = policy.estimates[kind].estimate
        paired = paired_difference(mine, base, self.config.level, outcomes)
        return replace(paired, interval=by_groups(paired.interval))


def by_groups(interval: Interval) -> Interval:
    """The interval with the word that its contacts are groups of them."""
    return replace(interval, reason=interval.reason.replace("contacts", "groups of contacts", 1))
