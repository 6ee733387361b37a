"""The judge of journeys that are read in blocks of contacts: the same record as of one in memory.

Values, errors, overlap, differences and verdicts rest on every decision, with errors by contact and
the value model of the whole log. Checks that read single decisions are asked of a sample of
contacts, and their sentences say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.appraisal.appraise import check_limits
from nurture_rl.appraisal.estimation import (
    EVERY_ESTIMATOR,
    EvaluationConfig,
    compared,
    require_names,
)
from nurture_rl.appraisal.evaluation import LOGGED, Estimated, Evaluation, PolicyEvaluation
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.appraisal.risk_profile import LogAnnotations
from nurture_rl.appraisal.streamed_checks import in_place, of_sample, whole_log
from nurture_rl.appraisal.streamed_judge import IN_MEMORY, appraise_summed, with_basis
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.checks.check import check_log, check_target
from nurture_rl.ope.checks.feasibility import carried_findings
from nurture_rl.ope.checks.findings import LogChecks
from nurture_rl.ope.checks.weight_tail import size_findings
from nurture_rl.ope.diagnostics import Overlap, held_against, require_exploration
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import SAME_POLICY, Difference, no_difference, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import FULLY_WEIGHTED, Question
from nurture_rl.ope.streaming.contact_blocks import ContactBlock, ContactBlocks
from nurture_rl.ope.streaming.journey_estimates import (
    journey_estimates,
    journey_overlap,
    mean_by_contact,
    no_overlap,
)
from nurture_rl.ope.streaming.journey_totals import (
    JourneyTotals,
    PolicyTotal,
    journey_models,
    journey_totals,
)
from nurture_rl.ope.streaming.policy_sums import ALONE
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.progress import PROGRESS

MADE = ("ips", "snips", "dr", "clipped_ips", "sndr", "switch_dr", "dros", "wdr")  # by weights
SAME_ESTIMATE = {"sndr": "the same as wdr where episodes have several decisions"}
ALONE_ESTIMATE = {
    "wdr": "the same as sndr where episodes have one decision",
    "drl": "the same as dr where episodes have one decision",
}


def appraise_blocks(
    blocks: ContactBlocks,
    sample: ContactBlock,
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: LogAnnotations,
    candidate: str | None = None,
) -> Appraisal:
    """What `appraise` says of a log whose contacts lie in blocks.

    Args:
        blocks: of the log.
        sample: its first blocks as one, decisions at hand one by one; names the policies.
        reference: a policy's name, or "logged".
        rng: deals contacts to folds and draws critical values.
        config: as for `appraise`.
        beside: names of features and actions, and the actions' factors.
        candidate: the policy the verdict is about; None for the best of the candidates.

    Raises:
        NurtureError: what `appraise` refuses.
    """
    names, log = tuple(sample.targets), sample.log
    require_names(sample.targets, reference, config)
    PROGRESS.info("checks of the log")
    limits = check_limits(config.thresholds)
    checks = check_log(log, beside.context, limits)
    require_exploration(log, config.thresholds, beside.context)
    models = journey_models(blocks, names, log.action_factors, rng, config.value_model)
    PROGRESS.info("checks of %d policies on the log", len(names))
    asked = {
        name: Question(log, on_logged_rows(log, table), models.predictions(sample, 0, name))
        for name, table in sample.targets.items()
    }
    targets = {
        name: check_target(log, one.target, beside.context, limits, one.predictions)
        for name, one in asked.items()
    }
    others = [name for name in (reference, config.rules) if name is not None]
    pairs = {
        name: tuple(dict.fromkeys(other for other in others if other != name)) for name in names
    }
    totals = journey_totals(blocks, models, pairs)
    PROGRESS.info("judging the policies")
    summed = _SummedJourneys(totals, log, asked, checks, targets)
    return appraise_summed(summed, reference, rng, config, beside, candidate)


@dataclass(frozen=True, slots=True, eq=False)
class _SummedJourneys:
    """A log of journeys that was summed up in blocks, for the judge."""

    totals: JourneyTotals
    sample: EvaluationLog
    asked: Mapping[str, Question]  # policies on the sample
    sample_checks: LogChecks
    sample_targets: Mapping[str, LogChecks]

    @property
    def known(self) -> bool:
        """Whether the log holds its distributions."""
        return self.sample.logged_probabilities is not None

    def checked(self, config: EvaluationConfig) -> tuple[LogChecks, dict[str, LogChecks]]:
        """Checks of the log and of each policy on it."""
        shape, m = self.totals.shape, self.sample.n_rows
        if m == shape.n_rows:
            return self.sample_checks, dict(self.sample_targets)
        said = {name: of_sample(one, m, shape.n_rows) for name, one in self.sample_targets.items()}
        log = of_sample(self.sample_checks, m, shape.n_rows)
        return whole_log(log, shape.n_rows, self.sample.unit, shape.range), {
            name: self._whole(one, self.totals.policies[name], config) for name, one in said.items()
        }

    def _whole(self, checks: LogChecks, total: PolicyTotal, config: EvaluationConfig) -> LogChecks:
        """Size of a policy's weights and how far they carry, of every decision."""
        if total.summary is None:
            return checks
        limits, steps = check_limits(config.thresholds), total.summary.sums.steps
        n, ess = total.summary.n_episodes, total.summary.ess
        largest = float(steps.largest[-1] / steps.weight[-1]) if ess[-1] > 0.0 else 1.0
        moments = steps.second / n
        if not self.known:
            moments = np.maximum(moments, steps.least / n)
        carried, step = carried_findings(n, (moments, steps.shown / n), ess.tolist(), limits)
        findings = [*size_findings(float(ess[-1]), n, largest, limits), *carried]
        return replace(in_place(checks, findings), mixing=step)

    def evaluation(self, reference: str, config: EvaluationConfig) -> Evaluation:
        """Every policy, compared."""
        totals, shape = self.totals, self.totals.shape
        own = mean_by_contact(totals.own, totals.episodes, float(shape.n_episodes))
        policies, config, selection = with_basis(
            {name: self._evaluated(name, config) for name in self.asked}, config
        )
        rules = policies.get(config.rules or "")
        pair = _Pairs(self, policies.get(reference), rules, own, config)
        outcomes = totals.outcomes.get((LOGGED, ALONE))
        return Evaluation(
            unit=self.sample.unit,
            level=config.level,
            reference=reference,
            n_decisions=shape.n_rows,
            n_episodes=shape.n_episodes,
            n_clusters=shape.n_contacts,
            horizon=shape.horizon,
            steps=shape.steps,
            logged=Estimated(own, chosen_interval(own, config.level, outcomes)),
            logged_mix=totals.mix / self._rows_by_step,
            policies={
                name: policy if name == reference else compared(policy, pair)
                for name, policy in policies.items()
            },
            preferred=config.preferred,
            selection=selection,
        )

    @property
    def _rows_by_step(self) -> FloatArray:
        return np.asarray(self.totals.mix.sum(axis=1, keepdims=True))

    def _evaluated(self, name: str, config: EvaluationConfig) -> PolicyEvaluation:
        """One policy's estimates and overlap, not yet compared."""
        total, shape = self.totals.policies[name], self.totals.shape
        gap = total.unsupported / shape.n_rows if self.known else None
        known: dict[str, ValueEstimate] = {}
        same = ALONE_ESTIMATE if shape.horizon == 1 else SAME_ESTIMATE
        refusals = {kind: same.get(kind, f"{kind} {IN_MEMORY}") for kind in _asked(config)}
        if total.summary is None:
            n = float(shape.n_episodes)
            known = {"dm": mean_by_contact(total.start, self.totals.episodes, n)}
            refusals |= {kind: total.refusal for kind in refusals if kind in MADE}
            overlap = _none(shape.horizon, shape.n_episodes, shape.n_contacts, gap, total.refusal)
        else:
            known = journey_estimates(total.summary)
            if shape.horizon == 1 and "wdr" in known:
                known["sndr"] = known.pop("wdr")
            overlap = held_against(journey_overlap(total.summary, gap), config.thresholds)
            if "snips" not in known:
                why = str(no_overlap(total.summary.sums.steps, shape.n_episodes))
                refusals |= {kind: why for kind in ("snips", "wdr") if kind in refusals}
        outcomes = self.totals.outcomes.get((name, ALONE))
        estimates = {}
        for kind in _asked(config):
            if kind in known:
                rare = outcomes if kind in FULLY_WEIGHTED else None
                interval = chosen_interval(known[kind], config.level, rare)
                estimates[kind] = Estimated(known[kind], interval)
        return PolicyEvaluation(
            name=name,
            estimates=estimates,
            refusals={kind: why for kind, why in refusals.items() if kind not in estimates},
            overlap=overlap,
            action_mix=total.mix / self._rows_by_step,
            basis=None,
            difference=None,
            against_rules=None,
            judgement=None,
        )

    def times(self) -> dict[str, FloatArray]:
        """How often per episode each action is taken, as logged and by every policy, [a] each."""
        n = self.totals.shape.n_episodes
        found = {name: one.mix.sum(axis=0) / n for name, one in self.totals.policies.items()}
        return {LOGGED: self.totals.mix.sum(axis=0) / n, **found}


def _asked(config: EvaluationConfig) -> list[str]:
    """Estimators in the order in which they are shown."""
    return [kind for kind in EVERY_ESTIMATOR if kind in config.estimators]


def _none(
    horizon: int, n_episodes: int, n_contacts: int, gap: float | None, reason: str
) -> Overlap:
    """The overlap of a policy whose weights cannot be written down: none."""
    return Overlap(
        n_episodes=n_episodes,
        n_clusters=n_contacts,
        ess=0.0,
        ess_by_step=np.zeros(horizon),
        predicted_ess=0.0,
        max_weight_share=1.0,
        mean_weight=np.full(horizon, np.nan),
        mean_weight_stderr=np.full(horizon, np.nan),
        support_gap=gap,
        feasible=False,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Pairs of policies by their sums."""

    log: _SummedJourneys
    reference: PolicyEvaluation | None
    rules: PolicyEvaluation | None
    own: ValueEstimate
    config: EvaluationConfig

    @property
    def unit(self) -> str:
        """Of every difference."""
        single = self.log.totals.shape.horizon == 1
        return f"{self.log.sample.unit} per {'decision' if single else 'episode'}"

    def difference(self, policy: PolicyEvaluation, kind: str | None, to: str) -> Difference | None:
        """Paired difference of a policy to another, or to the logging policy, by one estimator."""
        totals = self.log.totals
        if totals.policies[policy.name].same[to]:
            reason = f"acting alike in all {totals.shape.n_rows} decisions"
            return no_difference(self.config.level, self.own.n_clusters, SAME_POLICY, reason)
        if kind is None:
            return None
        others = {one.name: one for one in (self.reference, self.rules) if one is not None}
        base = self.own if to == LOGGED else others[to].estimates[kind].estimate
        rare = totals.outcomes.get((policy.name, to)) if kind in FULLY_WEIGHTED else None
        return paired_difference(policy.estimates[kind].estimate, base, self.config.level, rare)
