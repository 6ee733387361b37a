"""What searched policies tell of themselves is their objective, worked out anew by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.bandits.dr_policy import DRPolicyConfig, fit_dr_policy
from nurture_rl.bandits.dr_scores import dr_scores
from nurture_rl.bandits.ipw_policy import IPWPolicyConfig, fit_ipw_policy
from nurture_rl.bandits.logged_choices import LoggedChoices, logged_choices
from nurture_rl.bandits.mips_policy import (
    MIPSPolicyConfig,
    _choice_inside,
    fit_mips_policy,
    groups_of,
)
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import FOUR, WAIT, log_of, planted, silent

FloatArray = NDArray[np.float64]
CLIP, CAUTION = 3.0, 0.7


@cache
def log() -> TrainingLog:
    """Returns whose unit is far from 1, two decisions to a contact."""
    rows = planted(300, seed=5, tilt=1.0).log
    return replace(rows, returns=20.0 * rows.returns, reward=20.0 * rows.reward)


def choices() -> LoggedChoices:
    return logged_choices(log(), "test")


def probabilities(policy: ScoredPolicy) -> FloatArray:
    rows = choices().log
    return policy.action_probabilities(rows.features, rows.mask)


def less_context(returns: FloatArray) -> FloatArray:
    """What a linear fit of returns to the context alone leaves."""
    context = np.column_stack([np.ones(returns.size), choices().log.features])
    left = returns - context @ np.linalg.solve(context.T @ context, context.T @ returns)
    return np.asarray(left, np.float64)


def test_returns_are_held_against_what_the_context_says_of_them() -> None:
    left = choices().lead()
    assert left == pytest.approx(less_context(choices().log.returns), rel=1e-4, abs=1e-4)
    assert left.mean() == pytest.approx(0.0, abs=1e-6)


def test_an_importance_weighted_policy_tells_its_objective_and_its_weights() -> None:
    rows = choices().log
    config = IPWPolicyConfig(clip=CLIP, caution=CAUTION, shrink=3.0, floor=0.0)
    policy = fit_ipw_policy(log(), config, 0, silent)
    taken = probabilities(policy)[np.arange(rows.action.size), rows.action]
    weight = np.minimum(taken / rows.propensity, CLIP)
    returns = less_context(rows.returns)
    value = float(weight @ returns / weight.sum())
    score = np.bincount(rows.code, weight * (returns - value))
    stderr = float(np.sqrt(score @ score) / weight.sum())
    missing = max(0.0, 1.0 - float(weight.mean())) * float(rows.returns.std())
    assert policy.fit["lead"] == pytest.approx(value - CAUTION * (stderr + missing), rel=1e-4)
    assert policy.fit["ess"] == pytest.approx(weight.sum() ** 2 / (weight @ weight), rel=1e-4)
    assert policy.fit["mean_weight"] == pytest.approx(weight.mean(), rel=1e-4)
    assert policy.fit["shrink"] == 3.0


def test_a_policy_of_groups_is_weighted_by_the_probability_of_the_group() -> None:
    rows = choices().log
    config = MIPSPolicyConfig(by="slot", clip=CLIP, caution=CAUTION, shrink=3.0, floor=0.0)
    policy = fit_mips_policy(log(), config, 0, silent)
    # Every action of the four is a group of its own by its slot: these are the plain weights.
    taken = probabilities(policy)[np.arange(rows.action.size), rows.action]
    weight = np.minimum(taken / rows.propensity, CLIP)
    assert policy.fit["mean_weight"] == pytest.approx(weight.mean(), rel=1e-4)
    assert policy.fit["ess"] == pytest.approx(weight.sum() ** 2 / (weight @ weight), rel=1e-4)


def test_the_choice_inside_of_a_group_is_as_often_as_the_log_took_it() -> None:
    # The message at nine 300 times and at fifteen 100 times; to wait is a group of its own.
    action = np.repeat([0, 1, WAIT], [300, 100, 40])
    features, mask = np.zeros((440, 1), np.float32), np.ones((440, 4), np.bool_)
    rows = log_of(features, mask, action, np.arange(440.0), np.full(440, 0.25))
    inside = _choice_inside(logged_choices(rows, "test"), groups_of(FOUR, "message"))
    assert inside[:300] == pytest.approx(0.75, abs=0.02)
    assert inside[300:400] == pytest.approx(0.25, abs=0.02)
    assert inside[400:] == pytest.approx(1.0)


def test_a_doubly_robust_policy_tells_its_objective() -> None:
    rows = choices().log
    config = DRPolicyConfig(clip=CLIP, caution=CAUTION, shrink=3.0, floor=0.0)
    policy = fit_dr_policy(log(), config, 0, silent)
    scores = dr_scores(choices(), config.folds, None, CLIP, np.random.default_rng(0))
    number = (probabilities(policy) * scores.of(slice(None))).sum(axis=1)
    score = np.bincount(rows.code, number - number.mean())
    expected = number.mean() - CAUTION * np.sqrt(score @ score) / number.size
    assert policy.fit["objective"] == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("fit", [fit_ipw_policy, fit_dr_policy])
def test_the_unit_of_returns_changes_no_policy(fit: object) -> None:
    config = {fit_ipw_policy: IPWPolicyConfig(), fit_dr_policy: DRPolicyConfig(ridge=5.0)}[fit]  # type: ignore[index]
    cents = replace(log(), returns=100.0 * log().returns, reward=100.0 * log().reward)
    one, other = (fit(rows, config, 0, silent) for rows in (log(), cents))  # type: ignore[operator]
    assert probabilities(other) == pytest.approx(probabilities(one), abs=1e-3)
    assert other.fit["shrink"] == one.fit["shrink"]
