"""Learners that act on one linear model of returns, each by a rule of its own."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
import torch

from nurture_rl.bandits.boltzmann import BoltzmannConfig, fit_boltzmann
from nurture_rl.bandits.epsilon_greedy import EpsilonGreedyConfig, fit_epsilon_greedy
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.linucb import LinUCBConfig, fit_linucb
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.bandits.squarecb import SquareCBConfig, fit_squarecb
from nurture_rl.errors import FitError
from tests.unit.bandits.planted_log import (
    FOUR,
    contexts,
    crossing,
    exclusive,
    log_of,
    planted,
    silent,
)

ALL = np.ones((1, len(FOUR)), np.bool_)
KEEN: dict[Any, Any] = {
    fit_boltzmann: BoltzmannConfig(),
    fit_epsilon_greedy: EpsilonGreedyConfig(epsilon=0.02),
    fit_linear_thompson: LinearThompsonConfig(),
    fit_linucb: LinUCBConfig(),
    fit_squarecb: SquareCBConfig(scale=10.0),
}


@pytest.mark.parametrize("fit", KEEN)
def test_a_linear_truth_is_learned_and_another_is_not(fit: Any) -> None:
    linear, other = planted(4000, seed=1, truth=crossing), planted(4000, seed=1, truth=exclusive)
    assert linear.value(fit(linear.log, KEEN[fit], 0, silent)) > 0.9
    assert other.value(fit(other.log, KEEN[fit], 0, silent)) < 0.3  # negative control


def test_disjoint_slopes_learn_it_too() -> None:
    rows = planted(4000, seed=1)
    assert rows.value(fit_linucb(rows.log, LinUCBConfig(disjoint=True), 0, silent)) > 0.9


@pytest.mark.parametrize("disjoint", [False, True])
def test_the_bound_is_the_exact_quadratic_form(disjoint: bool) -> None:
    rows = planted(900, seed=2).log
    policy = fit_linucb(rows, LinUCBConfig(disjoint=disjoint, ridge=3.0), 0, silent)
    x, _ = contexts(30, seed=3)
    scores = policy.module.scores(torch.tensor(x)).numpy()

    fit = fit_returns(rows, 3.0, 256, np.random.default_rng(0), "disjoint" if disjoint else "cells")
    posterior = fit.posterior
    covariance = posterior.axes @ np.diag(posterior.stderr**2) @ posterior.axes.T
    context = fit.moments.extended(x)
    design, slope = posterior.equations.design, posterior.equations.context_slope
    for a in range(len(FOUR)):
        basis = design.maps(np.eye(posterior.mean.size))[a] - slope  # [d + 1, p]
        phi = context @ basis
        variance = np.einsum("np,pq,nq->n", phi, covariance, phi)
        assert (scores[:, a, 1:] ** 2).sum(axis=1) == pytest.approx(variance, rel=1e-6)
        assert scores[:, a, 0] == pytest.approx(context @ posterior.mean_map()[a])


def test_an_arm_without_features_has_the_error_of_its_mean() -> None:
    # Two arms, a constant context, a weak prior: the lead over the pooled mean is known to
    # noise (1/n_0 + 1/n_1) (n_1 / n)^2 for arm 0.
    rng, n = np.random.default_rng(4), 4000
    action = np.where(rng.random(n) < 0.25, 0, 1)
    returns = rng.normal(0.0, 3.0, n) + 1.0
    mask = np.tile(np.array([[True, True, False, False]]), (n, 1))
    mask[:, 1], mask[:, FOUR.wait] = False, True
    action = np.where(action == 0, 0, FOUR.wait)
    log = log_of(np.zeros((n, 1), np.float32), mask, action, returns, None)
    policy = fit_linucb(log, LinUCBConfig(ridge=1e-6, floor=0.0), 0, silent)
    parts = policy.module.scores(torch.tensor(np.zeros((1, 1), np.float32))).numpy()[0, 0, 1:]
    first, second = (action == 0).sum(), (action != 0).sum()
    truth = sqrt(9.0 * (1.0 / first + 1.0 / second)) * second / n
    assert sqrt((parts**2).sum()) == pytest.approx(truth, rel=0.1)


def test_what_was_seldom_tried_is_tried_by_the_bound_and_not_by_the_mean() -> None:
    rows = planted(4000, 5, lambda x: np.tile([[0.0, 0.0, 0.5, 0.0]], (len(x), 1)), noise=1.0)
    seldom = (rows.log.action != 0) | (np.arange(4000) < 60)
    log = rows.log.take(seldom)
    wide, none = (
        fit_linucb(log, LinUCBConfig(width=width, floor=0.0, ridge=1.0), 0, silent)
        for width in (6.0, 0.0)
    )
    x, mask = contexts(500, seed=6)
    mask[:] = True
    assert wide.action_probabilities(x, mask)[:, 0].mean() > 0.8
    assert none.action_probabilities(x, mask)[:, 0].mean() < 0.5


def test_gamma_is_the_root_of_the_actions_over_the_error_of_the_fit() -> None:
    rows = planted(3000, seed=7).log
    policy = fit_squarecb(rows, SquareCBConfig(scale=2.0), 0, silent)
    fit = policy.fit
    error = fit["noise"] * fit["design_effect"] * fit["effective_parameters"] / fit["rows"]
    legal = rows.mask[rows.choice].sum(axis=1).mean()
    assert fit["gamma"] == pytest.approx(2.0 * sqrt(legal / error))
    x, _ = contexts(1, seed=8)
    scores = policy.module.scores(torch.tensor(x)).numpy()[0, :, 0]
    expected = 1.0 / (4.0 + fit["gamma"] * (scores.max() - scores))
    expected[scores.argmax()] += 1.0 - expected.sum()
    assert policy.action_probabilities(x, ALL)[0] == pytest.approx(expected)


def test_the_error_of_the_fit_is_that_of_its_means() -> None:
    # Expected squared error of the lead over the context's mean, at the log's own decisions.
    truth, found = [], []
    for seed in range(40):
        rows = planted(1000, seed=100 + seed)
        fit = fit_returns(rows.log, 1e-6, 256, np.random.default_rng(0))
        log = fit.log
        means = crossing(log.features.astype(np.float64))[np.arange(log.action.size), log.action]
        predicted = (fit.moments.extended(log.features) * fit.mean_map()[0, log.action]).sum(axis=1)
        truth.append(((predicted - means) ** 2).mean())
        found.append(fit.error + fit.posterior.noise * 4 / log.action.size)  # and the context's
    # Design effects are at least 1, so they err on the high side.
    assert 0.9 < np.mean(found) / np.mean(truth) < 1.3


def test_the_temperature_follows_the_error_and_more_rows_explore_less() -> None:
    few, many = (
        fit_boltzmann(planted(n, seed=9).log, BoltzmannConfig(), 0, silent) for n in (500, 8000)
    )
    fit = few.fit
    error = fit["noise"] * fit["design_effect"] * fit["effective_parameters"] / fit["rows"]
    assert fit["temperature"] == pytest.approx(sqrt(error))
    assert many.fit["temperature"] < 0.5 * fit["temperature"]
    given = fit_boltzmann(planted(500, seed=9).log, BoltzmannConfig(temperature=2.5), 0, silent)
    assert given.fit["temperature"] == 2.5


def test_epsilon_is_split_evenly_among_the_legal_actions_of_each_row() -> None:
    policy = fit_epsilon_greedy(
        planted(1000, seed=10).log, EpsilonGreedyConfig(epsilon=0.3), 0, silent
    )
    x, mask = contexts(200, seed=11)
    k = mask.sum(axis=1)
    rows = policy.action_probabilities(x, mask)
    assert rows.max(axis=1) == pytest.approx(0.7 + 0.3 / k)
    assert np.where(mask, rows, 1.0).min(axis=1) == pytest.approx(np.where(k > 1, 0.3 / k, 1.0))


def test_returns_that_never_vary_are_refused() -> None:
    rows = planted(300, seed=12).log
    for fit, config in KEEN.items():
        with pytest.raises(FitError, match="none left over"):
            fit(replace(rows, returns=np.full(300, 7.0)), config, 0, silent)
