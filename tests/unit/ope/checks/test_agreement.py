"""Estimates with and without features agree, unless a feature gives the outcome away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.bounds.skewed import skewed_p
from nurture_rl.ope.checks.agreement import agreement_finding
from nurture_rl.ope.checks.findings import CheckThresholds, Finding, Severity
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import dr, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, ValuePredictions, fit_value, value_design
from tests.unit.ope.log_makers import bandit_log, random_log

LIMITS = CheckThresholds()


def paid(seed: int, leak: bool) -> EvaluationLog:
    """The reward grows with the action; a leaking feature is the reward."""
    log = random_log(seed, [1] * 1200)
    if not leak:
        return log
    return replace(log, features=log.reward[:, None].astype(np.float32))


def asked(log: EvaluationLog) -> tuple[Finding | None, ValuePredictions]:
    uniform = log.mask / log.mask.sum(axis=1, keepdims=True) * np.array([1.0, 1.0, 3.0])
    uniform /= uniform.sum(axis=1, keepdims=True)
    design = value_design(log, np.random.default_rng(0), ValueModelConfig())
    predictions = fit_value(design, uniform)
    return agreement_finding(log, on_logged_rows(log, uniform), predictions, LIMITS), predictions


def test_honest_features_leave_the_two_within_their_error() -> None:
    for seed in range(5):
        found, _ = asked(paid(seed, leak=False))
        assert found is not None
        assert (found.severity, found.advice) == (Severity.OK, "")
        assert "as near as their joint error" in found.sentence


def test_a_feature_that_is_the_outcome_drives_them_apart() -> None:
    log = paid(0, leak=True)
    found, predictions = asked(log)
    assert found is not None
    assert found.severity is Severity.REFUSE
    assert "further apart than their joint error" in found.sentence
    assert "written after the decision" in found.advice
    weights = log.mask * np.array([1.0, 1.0, 3.0])
    target = weights / weights.sum(axis=1, keepdims=True)
    taken = target[np.arange(log.n_rows), log.action]
    robust, plain = dr(log, taken, predictions), snips(log, taken)
    gap = robust.influence - plain.influence
    # No action is rare here: nothing could have been missed.
    error = np.append(gap, [0.0, 0.0])
    assert found.numbers["difference"] == pytest.approx(robust.value - plain.value)
    assert found.numbers["stderr"] == pytest.approx(clustered_stderr(error))
    due = skewed_p(robust.value - plain.value, error)
    assert found.numbers["p"] == pytest.approx(due, rel=1e-9, abs=0.0)


def explored(seed: int, chance: float, leak: bool = False) -> EvaluationLog:
    """A greedy log with five actions, each of the others tried with a small chance; 0/1 rewards."""
    rng, n = np.random.default_rng(seed), 4000
    features = rng.normal(size=(n, 3))
    greedy = (features[:, 0] > 0.0).astype(int)
    rows = np.full((n, 5), chance)
    rows[np.arange(n), greedy] += 1.0 - 5.0 * chance
    action = (rng.random((n, 1)) > rows.cumsum(axis=1)).sum(axis=1).clip(max=4)
    mean = 0.5 * features[:, 1] + 0.3 * features[:, 0] + 0.5 * (action == greedy) + 0.2 * action
    reward = (rng.random(n) < 1.0 / (1.0 + np.exp(2.0 - mean))) * 1.0
    if leak:
        reward = mean + rng.normal(size=n) + (action == 4)
        features = np.column_stack([features, reward])
    return evaluation_log(
        features=features,
        mask=np.ones((n, 5)),
        action=action,
        propensity=rows[np.arange(n), action],
        logged_probabilities=rows,
        reward=reward,
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(5),
        discount=1.0,
        unit="EUR",
    )


def judged(log: EvaluationLog, target: FloatArray, whole: bool) -> tuple[Finding, float]:
    """The finding, and the p of the same difference by the error of what turned up alone."""
    log = log if whole else replace(log, logged_probabilities=None)
    design = value_design(log, np.random.default_rng(0), ValueModelConfig())
    predictions, on_rows = fit_value(design, target), on_logged_rows(log, target)
    found = agreement_finding(log, on_rows, predictions, LIMITS)
    assert found is not None
    robust, plain = dr(log, on_rows.taken, predictions), snips(log, on_rows.taken)
    return found, skewed_p(robust.value - plain.value, robust.influence - plain.influence)


@pytest.mark.slow
@pytest.mark.parametrize("whole", [True, False])
def test_exploration_that_did_not_turn_up_refuses_no_log(whole: bool) -> None:
    seen_alone = []
    for seed in range(60):
        log = explored(seed, 1e-3)
        assert log.logged_probabilities is not None
        found, p = judged(log, 0.8 * log.logged_probabilities + 0.2 / 5.0, whole)
        assert found.severity is not Severity.REFUSE, (seed, found.sentence)
        seen_alone.append(p)
    assert sum(p < LIMITS.refuse_p for p in seen_alone) == 2  # without the mend


@pytest.mark.parametrize("whole", [True, False])
def test_a_leak_is_refused_in_a_log_that_explores_rarely(whole: bool) -> None:
    for seed in range(10):
        log = explored(seed, 0.02, leak=True)
        assert log.logged_probabilities is not None
        visit = np.eye(5)[np.full(log.n_rows, 4)]
        found, _ = judged(log, 0.9 * log.logged_probabilities + 0.1 * visit, whole)
        assert found.severity is Severity.REFUSE, (seed, found.sentence)


@pytest.mark.parametrize("whole", [True, False])
def test_one_more_weight_of_a_rare_action_stands_at_either_end(whole: bool) -> None:
    """Of 200 rows with chance 0.01 none took the action: by hand, at its weight of 10."""
    log = replace(
        bandit_log([0] * 200, [0.99] * 200, [1.0, 3.0] * 100),
        logged_probabilities=np.tile([0.99, 0.01], (200, 1)) if whole else None,
    )
    target = on_logged_rows(log, np.tile([0.9, 0.1], (200, 1)))
    predictions = ValuePredictions(np.full(200, 2.0), np.full(200, 2.0 + 0.1 * 5.0))
    found = agreement_finding(log, target, predictions, LIMITS)
    assert found is not None
    robust, plain = dr(log, target.taken, predictions), snips(log, target.taken)
    size = 10.0 * 0.5 / 200.0
    error = np.append(robust.influence - plain.influence, [size, -size])
    assert found.numbers["stderr"] == pytest.approx(clustered_stderr(error))
    assert found.numbers["p"] == pytest.approx(skewed_p(robust.value - plain.value, error))


def test_too_small_a_sample_is_not_asked() -> None:
    log = random_log(1, [1] * 99)
    target = on_logged_rows(log, log.mask / log.mask.sum(axis=1, keepdims=True))
    silent = ValuePredictions(np.zeros(99), np.zeros(99))
    assert agreement_finding(log, target, silent, LIMITS) is None
    far, rare = replace(target, taken=np.ones(99)), replace(log, propensity=np.full(99, 5e-324))
    with pytest.raises(OverlapError):
        agreement_finding(rare, far, silent, LIMITS)
