"""Every policy, every estimator, one log: the door of the room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nurture_rl.errors import NurtureError
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap, require_exploration
from nurture_rl.ope.estimators import ValueEstimate, ips
from nurture_rl.ope.evaluation import LOGGED, Estimated, Evaluation, PolicyEvaluation
from nurture_rl.ope.intervals import exact_ips_interval, interval_of, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray, horizon
from nurture_rl.ope.suite import Question, answers
from nurture_rl.ope.targets import TargetPolicy, action_mix, logged_one_hot, target_on_log
from nurture_rl.ope.value_model import ValueDesign, ValueModelConfig, fit_value, value_design
from nurture_rl.ope.verdict import judge


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
    logged = _with_interval(log, "ips", own, log.propensity, config.level)
    found = {
        name: _evaluate_one(log, name, policy, design, config) for name, policy in policies.items()
    }
    against = found.get(reference)
    return Evaluation(
        unit=log.unit,
        level=config.level,
        reference=reference,
        n_decisions=log.n_rows,
        n_episodes=log.n_episodes,
        n_clusters=own.n_clusters,
        horizon=horizon(log),
        steps=np.unique(log.step),
        logged=logged,
        logged_mix=action_mix(log, logged_one_hot(log.mask, log.action)),
        policies={
            name: policy if name == reference else _compared(policy, against, own, log.unit, config)
            for name, policy in found.items()
        },
    )


def _evaluate_one(
    log: EvaluationLog,
    name: str,
    policy: TargetPolicy,
    design: ValueDesign,
    config: EvaluationConfig,
) -> PolicyEvaluation:
    """One policy's estimates and diagnostics, not yet compared."""
    target = target_on_log(log, policy, name, config.chunk_rows)
    predictions = fit_value(design, target.probabilities)
    found = answers(Question(log, target, predictions))
    estimates = {
        kind: _with_interval(log, kind, estimate, target.taken, config.level)
        for kind, estimate in found.estimates.items()
    }
    return PolicyEvaluation(
        name=name,
        estimates=estimates,
        refusals=found.refusals,
        overlap=overlap(log, target, config.thresholds),
        action_mix=action_mix(log, target.probabilities),
        difference=None,
        judgement=None,
    )


def _with_interval(
    log: EvaluationLog, kind: str, estimate: ValueEstimate, taken: FloatArray, level: float
) -> Estimated:
    exact = exact_ips_interval(log, taken, level) if kind == "ips" else None
    return Estimated(estimate, exact or interval_of(estimate, level))


def _compared(
    policy: PolicyEvaluation,
    against: PolicyEvaluation | None,
    own: ValueEstimate,
    unit: str,
    config: EvaluationConfig,
) -> PolicyEvaluation:
    """The policy with its paired difference to the reference, or to the logging policy's mean."""
    base = own if against is None else against.estimates["dr"].estimate
    difference = paired_difference(policy.estimates["dr"].estimate, base, config.level)
    found = None if against is None else against.overlap
    verdict = judge(difference, policy.overlap, found, config.thresholds, unit)
    return replace(policy, difference=difference, judgement=verdict)


def _require_names(policies: Mapping[str, TargetPolicy], reference: str) -> None:
    if LOGGED in policies:
        raise NurtureError(f"the name {LOGGED!r} is the logging policy's own; rename the policy")
    if reference != LOGGED and reference not in policies:
        raise NurtureError(
            f"the reference must be {LOGGED!r} or one of {sorted(policies)}, got {reference!r}"
        )
