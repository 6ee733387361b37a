"""The judge of logs that are not in memory: one for single decisions and for journeys in blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from nurture_rl.appraisal.appraise import best_of, comparison_of, weight_profiles, withheld
from nurture_rl.appraisal.estimation import (
    AUTO,
    FALLBACKS,
    EvaluationConfig,
    basis_of,
    selection_of,
)
from nurture_rl.appraisal.evaluation import LOGGED, Evaluation, PolicyEvaluation
from nurture_rl.appraisal.record import REFUSE, Appraisal, wrong
from nurture_rl.appraisal.risk_profile import LogAnnotations, by_level, over_programs
from nurture_rl.appraisal.selection.choice import EstimatorChoice
from nurture_rl.appraisal.selection.policy_comparison import PolicyComparison
from nurture_rl.ope.checks.findings import LogChecks
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import Question

IN_MEMORY = "needs every single decision in memory; stream.engine=memory makes it"
_NOT_MADE: dict[str, Any] = {
    "kpis": (),
    "weeks": {},
    "tails": {},
    "harms": {},
    "limits": (),
    "segments": {},
    "lift": None,
}


class SummedLog(Protocol):
    """A log of which sums are known, and some decisions one by one."""

    @property
    def sample(self) -> EvaluationLog:
        """Decisions at hand one by one."""
        ...

    @property
    def asked(self) -> Mapping[str, Question]:
        """Policies on the sample."""
        ...

    def checked(self, config: EvaluationConfig) -> tuple[LogChecks, dict[str, LogChecks]]:
        """Checks of the log and of each policy on it."""
        ...

    def evaluation(self, reference: str, config: EvaluationConfig) -> Evaluation:
        """Every policy, compared."""
        ...

    def times(self) -> Mapping[str, FloatArray]:
        """How often per episode each action is taken, as logged and by every policy, [a] each."""
        ...


def appraise_summed(
    log: SummedLog,
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: LogAnnotations,
    candidate: str | None = None,
) -> Appraisal:
    """What `appraise` says of a log that was summed up.

    Args:
        log: its sums.
        reference: a policy's name, or "logged".
        rng: draws critical values.
        config: `level` is meant for all candidates together and shared out among them.
        beside: names, and the factors of the actions.
        candidate: the policy the verdict is about; None for the best of the candidates.
    """
    policies = tuple(log.asked)
    named = policies if config.candidates is None else config.candidates
    candidates = tuple(name for name in named if name not in (reference, config.rules))
    together = config.level
    config = replace(config, level=simultaneous_level(together, max(1, len(candidates))))
    checks, targets = log.checked(config)
    known = config
    if config.rules is not None and wrong(LOGGED, config.rules, checks, targets):
        known = replace(config, rules=None)
    evaluation = withheld(log.evaluation(reference, known), checks, targets)
    refused = [name for name, one in targets.items() if (*checks.of(REFUSE), *one.of(REFUSE))]
    carried = [
        name
        for name in policies
        if evaluation.policies[name].overlap.feasible and name not in refused
    ]
    rivals = candidates or [name for name in policies if name != reference] or list(policies)
    shown = (*candidates, reference, config.rules)
    programs = [name for name in policies if name not in shown]
    over = over_programs(evaluation, carried, candidates, programs, together)
    comparison = comparison_of(evaluation, carried, together, rng)
    return Appraisal(
        evaluation=evaluation,
        candidate=candidate or best_of(evaluation, rivals),
        rules=config.rules,
        margin=config.margin,
        candidates=candidates,
        over_programs=over,
        checks=checks,
        target_checks=targets,
        comparison=comparison,
        doing={name: by_level(often, beside.factors) for name, often in log.times().items()},
        weights=weight_profiles(log.sample, log.asked),
        skipped=_skipped(comparison),
        **_NOT_MADE,
    )


def with_basis(
    policies: Mapping[str, PolicyEvaluation], config: EvaluationConfig
) -> tuple[dict[str, PolicyEvaluation], EvaluationConfig, EstimatorChoice | None]:
    """Policies with the estimator each rests on, the preferred one settled, and their ranking."""
    selection = None if config.preferred != AUTO else selection_of(policies, config)
    if config.preferred == AUTO:
        config = replace(config, preferred=FALLBACKS[0])
    settled = {
        name: replace(one, basis=basis_of(one, None, config)) for name, one in policies.items()
    }
    return settled, config, selection


def _skipped(comparison: PolicyComparison | None) -> dict[str, str]:
    """Parts that are not made, and why."""
    found = dict.fromkeys(("weeks", "risk", "harms", "segments", "lift by factor"), IN_MEMORY)
    if comparison is None:
        found["comparison"] = "no target policy is left whose numbers are to be believed"
    return found
