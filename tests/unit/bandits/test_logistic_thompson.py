"""The logistic posterior against closed forms and a dense Newton method."""

from __future__ import annotations

from dataclasses import replace
from math import log as ln
from math import sqrt

import numpy as np
import pytest
import torch

from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.logistic_thompson import (
    LogisticThompsonConfig,
    _climbed,
    _Point,
    fit_logistic_thompson,
)
from nurture_rl.errors import FitError
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.bandits.planted_log import (
    FOUR,
    WAIT,
    Planted,
    contexts,
    exclusive,
    log_of,
    planted,
    silent,
)


def fitted(log: TrainingLog, **settings: float) -> ScoredPolicy:
    config = LogisticThompsonConfig(**settings)  # type: ignore[arg-type]
    return fit_logistic_thompson(log, config, 0, silent)


def binary(n: int, seed: int) -> Planted:
    """Outcomes 0 or 1; the chance is a logistic function of a linear one of the context."""

    def chance(x: np.ndarray) -> np.ndarray:
        none = np.zeros(len(x))
        odds = np.stack([2.0 * x[:, 1], -2.0 * x[:, 1], none + 0.5, none], 1) - 1.0
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))

    rows = planted(n, seed, chance, noise=0.0)
    luck = np.random.default_rng([seed, 2]).random(n)
    won = (luck < rows.log.returns).astype(np.float64)
    return Planted(replace(rows.log, returns=won, reward=won), chance)


def two_arms(first: int, second: int, n: int) -> TrainingLog:
    """The first action succeeds `first` times of n, waiting `second` times; nothing else varies."""
    mask = np.zeros((2 * n, len(FOUR)), np.bool_)
    mask[:, [0, WAIT]] = True
    action = np.repeat([0, WAIT], n)
    returns = np.r_[np.arange(n) < first, np.arange(n) < second].astype(np.float64)
    order = np.random.default_rng(0).permutation(2 * n)
    log = log_of(np.zeros((2 * n, 1), np.float32), mask, action[order], returns[order], None)
    return replace(log, cluster=np.arange(2 * n))


def test_two_arms_have_their_log_odds_ratio_and_its_error() -> None:
    policy = fitted(two_arms(300, 200, 1000), ridge=1e-6, draws=20_000, multipliers=2048)
    lead = np.asarray(policy.module.maps[:, 0, 0] - policy.module.maps[:, WAIT, 0])
    truth = ln(0.3 / 0.7) - ln(0.2 / 0.8)
    error = sqrt(1 / 300 + 1 / 700 + 1 / 200 + 1 / 800)  # Woolf's
    assert lead.mean() == pytest.approx(truth, abs=4.0 * error / sqrt(20_000) + 1e-4)
    assert lead.std() == pytest.approx(error, rel=0.05)


def test_the_mode_is_that_of_a_dense_newton_method() -> None:
    rows = binary(600, seed=3).log
    rows = rows.take(rows.choice)
    policy = fitted(rows, ridge=4.0, draws=4000)
    x = (rows.features - rows.features.mean(axis=0)) / rows.features.std(axis=0)
    x = np.hstack([np.ones((len(x), 1)), x])
    crossed = np.einsum("nk,nd->nkd", FOUR.factors[rows.action], x[:, 1:]).reshape(len(x), -1)
    columns = np.hstack([x, np.eye(4)[rows.action], crossed])
    rate = rows.returns.mean()
    prior = np.full(columns.shape[1], 4.0 * rate * (1.0 - rate))
    prior[: x.shape[1]] = 1e-9
    theta = np.zeros(columns.shape[1])
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-columns @ theta))
        hessian = (columns * (p * (1.0 - p))[:, None]).T @ columns + np.diag(prior)
        theta += np.linalg.solve(hessian, columns.T @ (rows.returns - p) - prior * theta)
    some, _ = contexts(50, seed=4)
    scores = policy.module.scores(torch.tensor(some)).numpy()
    z = (some - rows.features.mean(axis=0)) / rows.features.std(axis=0)
    z = np.hstack([np.ones((50, 1)), z])
    for a in range(4):
        crossed = np.einsum("k,nd->nkd", FOUR.factors[a], z[:, 1:]).reshape(50, -1)
        dense = np.hstack([z, np.tile(np.eye(4)[a], (50, 1)), crossed]) @ theta
        spread = scores[:, a].std(axis=1)
        assert (np.abs(scores[:, a].mean(axis=1) - dense) < 5.0 * spread / sqrt(4000)).all()


def test_a_linear_truth_is_learned_and_another_is_not() -> None:
    rows = binary(8000, seed=1)
    assert rows.value(fitted(rows.log)) > 0.9
    other = planted(8000, seed=1, truth=exclusive)
    assert other.value(fitted(other.log)) < 0.3  # negative control


def test_it_maximises_the_chance_and_not_the_amount() -> None:
    rng = np.random.default_rng(5)
    n = 4000
    features, mask = contexts(n, seed=5)
    mask[:] = True
    action = rng.integers(0, 4, n)
    chance, amount = np.array([0.6, 0.2, 0.1, 0.1])[action], np.array([1.0, 100.0, 1.0, 1.0])
    returns = np.where(rng.random(n) < chance, amount[action], 0.0)
    log = log_of(features, mask, action, returns, None)
    often = fitted(log).action_probabilities(features, mask)
    much = fit_linear_thompson(log, LinearThompsonConfig(), 0, silent)
    assert often[:, 0].mean() > 0.9
    assert much.action_probabilities(features, mask)[:, 1].mean() > 0.9
    # Above 1 only the second action ever succeeds.
    assert fitted(log, threshold=1.0).action_probabilities(features, mask)[:, 1].mean() > 0.9


def test_copies_by_one_contact_are_worth_one_decision() -> None:
    log = two_arms(90, 60, 300)
    copied = np.repeat(np.arange(600), 4)
    parts = log.features[copied], log.mask[copied], log.action[copied], log.returns[copied]
    copies = replace(log_of(*parts, None), cluster=copied)
    strangers = replace(copies, cluster=np.arange(2400))
    errors = [
        np.asarray(policy.module.maps[:, 0, 0] - policy.module.maps[:, WAIT, 0]).std()
        for policy in (
            fitted(one, ridge=1e-6, draws=8000, multipliers=2048)
            for one in (log, copies, strangers)
        )
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.06)
    assert errors[2] == pytest.approx(errors[0] / 2.0, rel=0.06)  # negative control


def test_outcomes_that_are_all_alike_are_refused() -> None:
    rows = planted(300, seed=6).log
    with pytest.raises(FitError, match=r"got 0 successes .* threshold between the returns"):
        fitted(rows, threshold=1e6)


def test_a_step_that_overshoots_is_halved_until_it_climbs() -> None:
    # Two successes and a failure at log-odds t have density 2 t - 3 log(1 + e^t): -2.08 at 0, and
    # first above it at 40 / 32.
    at, aim = _Point(np.zeros(3), np.zeros(1)), _Point(np.full(3, 40.0), np.zeros(1))
    success = np.array([1.0, 1.0, 0.0])
    assert _climbed(at, aim, success, np.ones(1)).odds.tolist() == [1.25] * 3
    near = _Point(np.full(3, ln(2.0)), np.zeros(1))  # the mode itself
    assert _climbed(at, near, success, np.ones(1)).odds.tolist() == near.odds.tolist()
    there = _climbed(near, aim, success, np.ones(1)).odds.tolist()
    assert there == pytest.approx(near.odds.tolist(), abs=1e-3)


def test_the_prior_counts_in_what_climbs() -> None:
    at, aim = _Point(np.zeros(3), np.zeros(1)), _Point(np.full(3, ln(2.0)), np.array([1.0]))
    success = np.array([1.0, 1.0, 0.0])
    assert _climbed(at, aim, success, np.zeros(1)).theta.tolist() == [1.0]
    assert _climbed(at, aim, success, np.array([1.0])).theta.tolist() == [0.5]


def test_the_search_begins_at_the_chance_of_all_rows() -> None:
    # Both arms succeed 300 times of 1,000: the first step finds nothing to move.
    assert fitted(two_arms(300, 300, 1000), ridge=1e9, draws=2).fit["steps"] == 1.0
    assert fitted(two_arms(400, 200, 1000), ridge=1e-6, draws=2).fit["steps"] > 1.0
