"""Every policy, every estimator, one log: the door of the room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nurture_rl.errors import NurtureError
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.bounds.outcomes import rare_outcomes
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap, require_exploration
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.evaluation import LOGGED, Estimated, Evaluation, PolicyEvaluation
from nurture_rl.ope.intervals import Difference, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray, horizon
from nurture_rl.ope.suite import Question, answers
from nurture_rl.ope.targets import TargetPolicy, action_mix, logged_one_hot, target_on_log
from nurture_rl.ope.value_model import ValueDesign, ValueModelConfig, fit_value, value_design
from nurture_rl.ope.verdict import judge

# Estimators in which an outcome counts with its full importance weight.
FULLY_WEIGHTED = frozenset({"ips", "snips", "dr", "sndr", "mrdr", "wdr"})


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """How policies are evaluated."""

    level: float = 0.95  # stated coverage of each interval; see `simultaneous_level` for several
    thresholds: OverlapThresholds = field(default_factory=OverlapThresholds)
    value_model: ValueModelConfig = field(default_factory=ValueModelConfig)
    chunk_rows: int = 65_536  # rows a policy is asked about at a time


def evaluate_policies(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
) -> Evaluation:
    """Evaluate target policies on a log and compare each with the reference.

    Args:
        log: logged decisions; pass it through `as_single_decisions` for values per decision.
        policies: the target policies by name; "logged" is reserved.
        reference: name of one of them, or "logged" for the logging policy's own mean.
        rng: deals contacts to the folds of the value model, nothing else.
        config: level, thresholds and the value model's settings.

    Returns:
        Estimates with intervals, overlap, action mix, paired difference and verdict per policy. An
        estimator that has no answer for a policy is absent there, with its reason in `refusals`.

    Raises:
        OverlapError: the log never left a decision to chance, or weights overflow.
        ProbabilityError, ShapeError: a policy's answer is no distribution over legal actions.
        FitError: fewer than three contacts, or value model settings out of range.
        NurtureError: an unknown reference, or a policy named "logged".
    """
    _require_names(policies, reference)
    require_exploration(log, config.thresholds)
    design = value_design(log, rng, config.value_model)
    own = ips(log, log.propensity)
    interval = chosen_interval(own, config.level, rare_outcomes(log, log.propensity))
    found: dict[str, PolicyEvaluation] = {}
    taken: dict[str, FloatArray] = {LOGGED: log.propensity}
    for name, policy in policies.items():
        found[name], taken[name] = _evaluate_one(log, name, policy, design, config)
    base = own if reference == LOGGED else found[reference].estimates["dr"].estimate
    return Evaluation(
        unit=log.unit,
        level=config.level,
        reference=reference,
        n_decisions=log.n_rows,
        n_episodes=log.n_episodes,
        n_clusters=own.n_clusters,
        horizon=horizon(log),
        steps=np.unique(log.step),
        logged=Estimated(own, interval),
        logged_mix=action_mix(log, logged_one_hot(log.mask, log.action)),
        policies={
            name: policy
            if name == reference
            else _compared(
                policy,
                found.get(reference),
                paired_difference(
                    policy.estimates["dr"].estimate,
                    base,
                    config.level,
                    rare_outcomes(log, taken[name], taken[reference]),
                ),
                log.unit,
                config,
            )
            for name, policy in found.items()
        },
    )


def _evaluate_one(
    log: EvaluationLog,
    name: str,
    policy: TargetPolicy,
    design: ValueDesign,
    config: EvaluationConfig,
) -> tuple[PolicyEvaluation, FloatArray]:
    """One policy's estimates and diagnostics, not yet compared, and its logged actions' chances."""
    target = target_on_log(log, policy, name, config.chunk_rows)
    predictions = fit_value(design, target.probabilities)
    found = answers(Question(log, target, predictions))
    outcomes = rare_outcomes(log, target.taken)
    estimates = {
        kind: Estimated(
            estimate,
            chosen_interval(estimate, config.level, outcomes if kind in FULLY_WEIGHTED else None),
        )
        for kind, estimate in found.estimates.items()
    }
    evaluation = PolicyEvaluation(
        name=name,
        estimates=estimates,
        refusals=found.refusals,
        overlap=overlap(log, target, config.thresholds),
        action_mix=action_mix(log, target.probabilities),
        difference=None,
        judgement=None,
    )
    return evaluation, target.taken


def _compared(
    policy: PolicyEvaluation,
    against: PolicyEvaluation | None,
    difference: Difference,
    unit: str,
    config: EvaluationConfig,
) -> PolicyEvaluation:
    """The policy with its paired difference to the reference, judged."""
    overlap_there = None if against is None else against.overlap
    verdict = judge(difference, policy.overlap, overlap_there, config.thresholds, unit)
    return replace(policy, difference=difference, judgement=verdict)


def _require_names(policies: Mapping[str, TargetPolicy], reference: str) -> None:
    if LOGGED in policies:
        raise NurtureError(f"the name {LOGGED!r} is the logging policy's own; rename the policy")
    if reference != LOGGED and reference not in policies:
        raise NurtureError(
            f"the reference must be {LOGGED!r} or one of {sorted(policies)}, got {reference!r}"
        )
