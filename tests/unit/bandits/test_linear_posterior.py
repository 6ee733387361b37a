"""The posterior against the textbook's, written out densely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments, rows_by_action
from nurture_rl.bandits.linear_posterior import LinearPosterior, Sample, fit_posterior
from nurture_rl.bandits.prior_precision import best_ridges
from nurture_rl.errors import FitError
from tests.unit.bandits.planted_returns import FACTORS, dense, projected, sample

FloatArray = NDArray[np.float64]

DESIGN = ActionDesign(FACTORS)


def fitted(rows: Sample, ridge: float | None = 2.0, multipliers: int = 512) -> LinearPosterior:
    rng = np.random.default_rng(7)
    return fit_posterior(rows, ContextMoments.of(rows.features), DESIGN, rng, ridge, multipliers)


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


def test_contexts_of_the_training_have_mean_0_and_deviation_1() -> None:
    features = sample(500, seed=2).features
    extended = ContextMoments.of(features).extended(features)
    assert extended.mean(axis=0) == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)
    assert extended.std(axis=0) == pytest.approx([0.0, 1.0, 1.0])


@pytest.mark.parametrize("value", [0.1, 1e6])
def test_a_column_that_varies_in_its_last_bit_alone_keeps_its_unit(value: float) -> None:
    features = np.full((1000, 1), value, np.float32)
    features[::2] = np.nextafter(np.float32(value), np.float32(0.0))
    standardiser = ContextMoments.of(features)
    assert standardiser.scale.tolist() == [1.0]
    moved = standardiser.extended(features + np.float32(2.0))[1]
    assert moved == pytest.approx([1.0, 2.0], abs=0.05)


def test_a_column_that_never_varies_changes_no_prediction() -> None:
    rows = sample(200, seed=3)
    posterior = fitted(rows)
    wide = replace(rows, features=np.insert(rows.features, 0, np.float32(7.0), axis=1))
    widened = fitted(wide)
    found = widened.maps(widened.axes @ widened.mean[:, None])[:, :, 0]
    expected = posterior.maps(posterior.axes @ posterior.mean[:, None])[:, :, 0]
    assert np.delete(found, 1, axis=1) == pytest.approx(expected)


@pytest.mark.parametrize("ridge", [2.0, None])
def test_the_mean_is_ridge_regression_with_a_free_context(ridge: float | None) -> None:
    rows = sample(200, seed=3)
    action_part, returns = projected(rows)
    posterior = fitted(rows, ridge)
    ridges = [posterior.ridges.main] * 3 + [posterior.ridges.crossed] * 4
    gram = action_part.T @ action_part + np.diag(ridges)
    assert (ridges[0] == ridges[-1] == ridge) if ridge else (ridges[0] > 2.0 * ridges[-1])
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


def test_few_contacts_leave_the_errors_of_the_clustered_sandwich() -> None:
    n, contacts = 60, 15
    made = sample(contacts, seed=12)
    features, action, returns = (np.repeat(part, 4, axis=0) for part in _parts(made)[:3])
    returns = returns + np.random.default_rng(1).normal(0.0, 2.0, n)
    rows = Sample(features, action, returns, np.repeat(np.arange(contacts), 4))
    posterior = fitted(rows, ridge=2.0, multipliers=40_000)

    left, y = projected(rows)
    gram = left.T @ left
    spent = np.trace(np.linalg.solve(gram + 2.0 * np.eye(len(gram)), gram))
    noise = y @ np.linalg.solve(np.eye(n) + left @ left.T / 2.0, y) / (n - 3)
    assert posterior.effective_parameters == pytest.approx(spent, rel=1e-4)
    assert posterior.noise == pytest.approx(noise, rel=1e-4)

    maps = posterior.maps(posterior.axes @ posterior.mean[:, None])[:, :, 0]
    residual = returns - (dense(rows)[0] * maps[action]).sum(axis=1)
    score = (residual[:, None] * left @ posterior.axes).reshape(contacts, 4, -1).sum(axis=1)
    clustered = (score**2).sum(axis=0)
    clustered *= contacts / (contacts - 1) * n / (n - 3 - spent)  # Liang & Zeger, few contacts
    size = np.diag(posterior.axes.T @ gram @ posterior.axes)
    effect = np.maximum(clustered / np.where(size > 1e-6, noise * size, np.inf), 1.0)
    assert (effect > 1.5).sum() == 4
    sandwich = noise * (effect * size + 1.0) / (size + 1.0) ** 2
    assert posterior.stderr**2 == pytest.approx(sandwich, rel=0.05)
    decided = size / (size + 1.0)
    assert posterior.design_effect == pytest.approx(decided @ effect / decided.sum(), rel=0.02)


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


def test_copies_by_one_contact_leave_the_uncertainty_as_it_was() -> None:
    rows = sample(1500, seed=6)
    copies = Sample(*(np.repeat(part, 4, axis=0) for part in _parts(rows)))
    once, copied = fitted(rows, ridge=0.01), fitted(copies, ridge=0.01)
    strangers = fitted(replace(copies, cluster=np.arange(6000)), ridge=0.01)
    assert _lead_stderr(copied) == pytest.approx(_lead_stderr(once), rel=0.1)
    assert (_lead_stderr(strangers) < 0.6 * _lead_stderr(once)).all()  # negative control


def _lead_stderr(posterior: LinearPosterior) -> FloatArray:
    """Standard errors of action 1's lead over action 0, per term of [1, x~], [d + 1]."""
    p = posterior.mean.size
    maps = posterior.equations.design.maps(np.eye(p))
    contrast = maps[1] - maps[0]
    return np.asarray(np.linalg.norm((contrast @ posterior.axes) * posterior.stderr, axis=1))


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


def _evidence(columns: FloatArray, returns: FloatArray, main: float, crossed: float) -> float:
    """Log marginal likelihood at the best noise, dense; the first 3 columns are main effects."""
    prior = np.r_[np.full(3, 1.0 / main), np.full(columns.shape[1] - 3, 1.0 / crossed)]
    covariance = np.eye(len(returns)) + (columns * prior) @ columns.T
    quadratic = returns @ np.linalg.solve(covariance, returns)
    return float(-len(returns) * np.log(quadratic) - np.linalg.slogdet(covariance)[1]) / 2.0


def test_the_chosen_ridges_beat_their_neighbours_in_dense_evidence() -> None:
    rng = np.random.default_rng(9)
    main = rng.normal(size=(200, 3))
    columns = np.hstack([main, 0.8 * main + 0.6 * rng.normal(size=(200, 3))])  # far from separate
    returns = columns @ np.array([2.0, -1.0, 1.0, 0.6, 0.5, -0.6]) + rng.normal(size=200)
    best = best_ridges(columns.T @ columns, columns.T @ returns, float(returns @ returns), 200, 3)
    top = _evidence(columns, returns, best.main, best.crossed)
    for factor in (0.5, 2.0):
        assert top > _evidence(columns, returns, best.main * factor, best.crossed)
        assert top > _evidence(columns, returns, best.main, best.crossed * factor)


def test_noise_is_shrunk_away_and_effects_are_kept() -> None:
    rows = sample(2000, seed=10)
    rng = np.random.default_rng(0)
    noises = [replace(rows, returns=rng.normal(size=2000)) for _ in range(9)]
    spent = [fitted(noise, None, multipliers=8).effective_parameters for noise in noises]
    assert np.median(spent) < 1.0
    assert fitted(rows, None).effective_parameters > 4.0


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_the_returns_decides_nothing(unit: float) -> None:
    rows = sample(200, seed=11)
    scaled = fitted(replace(rows, returns=rows.returns * unit))
    assert scaled.noise == pytest.approx(fitted(rows).noise * unit**2)
    with pytest.raises(FitError, match="none left over"):
        fitted(replace(rows, returns=np.full(200, 7.3 * unit)))


def test_the_least_that_can_be_fitted() -> None:
    rows = Sample(*(part[:4] for part in _parts(sample(200, seed=11))))
    two = fitted(replace(rows, cluster=np.array([0, 0, 1, 1])))
    assert np.isfinite(two.stderr).all()


def test_too_little_to_fit_is_refused_with_the_reason() -> None:
    rows = sample(200, seed=11)
    few = Sample(*(part[:3] for part in _parts(rows)))
    with pytest.raises(FitError, match="more than 3 rows for 2 features, got 3"):
        fitted(few)
    with pytest.raises(FitError, match="at least 2 contacts"):
        fitted(replace(rows, cluster=np.zeros(200, np.int64)))
    with pytest.raises(FitError, match="none left over"):
        fitted(replace(rows, returns=np.full(200, 7.3)))
