"""The posterior against the textbook's, written out densely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.bandits.action_design import ActionDesign, Standardiser, rows_by_action
from nurture_rl.bandits.evidence import best_ridges
from nurture_rl.bandits.linear_posterior import LinearPosterior, Sample, fit_posterior
from nurture_rl.errors import FitError
from tests.unit.bandits.planted_returns import FACTORS, dense, projected, sample

DESIGN = ActionDesign(FACTORS)


def fitted(rows: Sample, ridge: float | None = 2.0, multipliers: int = 512) -> LinearPosterior:
    rng = np.random.default_rng(7)
    return fit_posterior(rows, Standardiser.of(rows.features), DESIGN, rng, ridge, multipliers)


def test_blocks_per_action_give_the_gram_matrix_of_all_rows() -> None:
    rows = sample(50, seed=1)
    context, action_part = dense(rows)
    blocks = np.array([context[rows.action == a].T @ context[rows.action == a] for a in range(3)])
    assert DESIGN.gram(blocks) == pytest.approx(action_part.T @ action_part)
    assert DESIGN.lift(blocks) == pytest.approx(action_part.T @ context)


def test_score_maps_predict_what_the_dense_columns_predict() -> None:
    rows = sample(20, seed=2)
    context, action_part = dense(rows)
    coefficients = np.random.default_rng(0).normal(size=(action_part.shape[1], 2))
    maps = DESIGN.maps(coefficients)
    predicted = np.einsum("nd,ndr->nr", context, maps[rows.action])
    assert predicted == pytest.approx(action_part @ coefficients)


def test_rows_come_by_action_each_once() -> None:
    action = np.array([2, 0, 2, 2, 0])
    parts = [(a, rows.tolist()) for a, rows in rows_by_action(action, 4)]
    assert parts == [(0, [1, 4]), (2, [0, 2, 3])]


def test_a_column_that_never_varies_keeps_its_unit() -> None:
    features = np.full((1000, 1), 0.1, np.float32)
    standardiser = Standardiser.of(features)
    assert standardiser.scale.tolist() == [1.0]
    assert standardiser.extended(features + np.float32(2.0))[0] == pytest.approx([1.0, 2.0])


def test_the_mean_is_ridge_regression_with_a_free_context() -> None:
    rows = sample(200, seed=3)
    action_part, returns = projected(rows)
    gram = action_part.T @ action_part + 2.0 * np.eye(action_part.shape[1])
    posterior = fitted(rows, ridge=2.0)
    found = posterior.axes @ posterior.mean
    assert found == pytest.approx(np.linalg.solve(gram, action_part.T @ returns), abs=1e-5)


def test_the_covariance_is_the_textbooks_when_contacts_are_independent() -> None:
    rows = sample(4000, seed=4)
    action_part, _ = projected(rows)
    precision = (action_part.T @ action_part + 2.0 * np.eye(action_part.shape[1])) / 16.0
    textbook = np.diag(np.linalg.inv(precision))
    posterior = fitted(rows)
    assert posterior.noise == pytest.approx(16.0, rel=0.1)
    variance = (posterior.axes**2) @ posterior.stderr**2
    assert (variance > 0.9 * textbook).all()
    assert (variance < 1.25 * textbook).all()  # design effects never go below 1


def test_draws_have_the_posteriors_moments() -> None:
    posterior = fitted(sample(300, seed=5))
    draws = posterior.coefficients(20_000, np.random.default_rng(1))
    deviation = np.sqrt((posterior.axes**2) @ posterior.stderr**2)
    off = (draws.mean(axis=1) - posterior.axes @ posterior.mean) / deviation
    assert np.abs(off).max() < 4.5 / np.sqrt(20_000)
    assert draws.std(axis=1) / deviation == pytest.approx(1.0, abs=0.03)


def test_four_copies_of_each_decision_are_worth_one_when_a_contact_made_them() -> None:
    rows = sample(1500, seed=6)
    copies = Sample(*(np.repeat(part, 4, axis=0) for part in _parts(rows)))
    strangers = replace(copies, cluster=np.arange(6000))
    assert fitted(rows).design_effect == pytest.approx(1.0, abs=0.1)
    assert fitted(copies).design_effect == pytest.approx(4.0, rel=0.1)
    assert fitted(strangers).design_effect == pytest.approx(1.0, abs=0.1)  # negative control


def _parts(rows: Sample) -> tuple[np.ndarray, ...]:
    return rows.features, rows.action, rows.returns, rows.cluster


def test_an_action_without_any_reward_keeps_its_uncertainty() -> None:
    rng = np.random.default_rng(8)
    action = np.r_[np.zeros(950, np.int64), np.full(50, 2)]
    returns = np.where(action == 0, 300.0 * (rng.random(1000) < 0.05), 0.0)
    x = rng.normal(size=(1000, 2)).astype(np.float32)
    posterior = fitted(Sample(x, action, returns, np.arange(1000)), ridge=0.1)
    score = posterior.maps(posterior.coefficients(4000, rng))[2, 0]
    pooled = np.sqrt(posterior.noise / 50)
    assert 0.7 * pooled < score.std() < 1.5 * pooled


def _evidence(rows: Sample, main: float, crossed: float) -> float:
    """Log marginal likelihood of the projected returns at the best noise, dense."""
    action_part, returns = projected(rows)
    prior = np.r_[np.full(3, 1.0 / main), np.full(action_part.shape[1] - 3, 1.0 / crossed)]
    freedom = len(returns) - 3
    covariance = np.eye(len(returns)) + (action_part * prior) @ action_part.T
    quadratic = returns @ np.linalg.solve(covariance, returns)
    return float(-freedom * np.log(quadratic) - np.linalg.slogdet(covariance)[1]) / 2.0


def test_the_chosen_ridges_beat_their_neighbours_in_dense_evidence() -> None:
    rows = sample(300, seed=9)
    action_part, returns = projected(rows)
    best = best_ridges(
        action_part.T @ action_part, action_part.T @ returns, float(returns @ returns), 297, 3
    )
    top = _evidence(rows, best.main, best.crossed)
    for factor in (0.3, 3.0):
        assert top > _evidence(rows, best.main * factor, best.crossed)
        assert top > _evidence(rows, best.main, best.crossed * factor)


def test_noise_is_shrunk_away_and_effects_are_kept() -> None:
    rows = sample(2000, seed=10)
    rng = np.random.default_rng(0)
    noises = [replace(rows, returns=rng.normal(size=2000)) for _ in range(9)]
    spent = [fitted(noise, None, multipliers=8).effective_parameters for noise in noises]
    assert np.median(spent) < 1.0
    assert fitted(rows, None).effective_parameters > 4.0


def test_too_little_to_fit_is_refused_with_the_reason() -> None:
    rows = sample(200, seed=11)
    few = Sample(*(part[:3] for part in _parts(rows)))
    with pytest.raises(FitError, match="more than 3 rows for 2 features, got 3"):
        fitted(few)
    with pytest.raises(FitError, match="at least 2 contacts"):
        fitted(replace(rows, cluster=np.zeros(200, np.int64)))
    with pytest.raises(FitError, match="none left over"):
        fitted(replace(rows, returns=np.full(200, 7.3)))
