"""The value model finds linear truths, keeps contacts out of their own fit, and refuses little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope import value_model
from nurture_rl.ope.feature_map import feature_map
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, evaluation_log
from nurture_rl.ope.value_model import (
    ValueModelConfig,
    ValuePredictions,
    fit_value,
    value_design,
)
from tests.unit.ope.log_makers import random_distribution, random_log

EXACT = ValueModelConfig(n_folds=3, penalties=(1e-9,))


def test_feature_sums_equal_those_of_written_out_features() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(4, 2))
    x, action = rng.normal(size=(30, 3)), rng.integers(4, size=30)
    x1 = np.hstack([np.ones((30, 1)), x])
    scaled = factors / np.abs(factors).max(axis=0)
    crossed = (scaled[action][:, :, None] * x[:, None, :]).reshape(30, -1)
    written = np.hstack([x1, np.eye(4)[action], crossed])
    phi = feature_map(3, factors)
    moments = np.array([x1[action == a].T @ x1[action == a] for a in range(4)])
    outcome, theta = rng.normal(size=30), rng.normal(size=(written.shape[1],))
    sums = np.array([outcome[action == a] @ x1[action == a] for a in range(4)])
    assert phi.gram(moments) == pytest.approx(written.T @ written)
    assert phi.cross(sums) == pytest.approx(written.T @ outcome)
    by_action = np.array([x1[action == a].T @ x[action == a] for a in range(4)])
    assert phi.cross(by_action) == pytest.approx(written.T @ x)
    q = x1 @ phi.columns(theta)
    target = random_distribution(rng, np.ones((30, 4), dtype=bool))
    assert phi.expected(x1, target) @ theta == pytest.approx((q * target).sum(axis=1))
    assert q[np.arange(30), action] == pytest.approx(written @ theta)


def test_a_linear_reward_is_recovered_for_every_action() -> None:
    log = random_log(1, [1] * 200)
    target = random_distribution(np.random.default_rng(2), log.mask)
    x = log.features.astype(np.float64)
    q = 1.0 + x[:, :1] * np.arange(3.0) - 2.0 * x[:, 1:] + np.array([0.0, 5.0, -1.0])
    log = replace(log, reward=q[np.arange(200), log.action])
    found = fitted(log, target, EXACT)
    assert found.q_logged == pytest.approx(log.reward, abs=1e-5)
    assert found.value == pytest.approx((q * target).sum(axis=1), abs=1e-5)


def test_a_contact_never_shapes_its_own_prediction() -> None:
    log = random_log(3, [3] * 20, cluster=np.repeat(np.arange(10), 2))
    target = random_distribution(np.random.default_rng(4), log.mask)
    own = log.cluster[log.episode] == 4
    changed = replace(log, reward=np.where(own, 1000.0, log.reward))
    before, after = fitted(log, target), fitted(changed, target)
    assert (before.value[own] == after.value[own]).all()
    assert (before.q_logged[own] == after.q_logged[own]).all()
    assert not np.allclose(before.value[~own], after.value[~own])


def test_horizon_one_is_plain_ridge_regression_of_the_reward() -> None:
    log = random_log(5, [1] * 60, n_actions=2)
    log = replace(log, action_factors=np.zeros((2, 0)))
    target = random_distribution(np.random.default_rng(6), log.mask)
    config = ValueModelConfig(n_folds=3, penalties=(0.1,))
    design = value_design(log, np.random.default_rng(0), config)
    fold = np.empty(60, dtype=int)
    for held_out in range(3):
        ends = design.cells(held_out)
        fold[design.order[ends[0] : ends[-1]]] = held_out
    x = log.features.astype(np.float64)
    phi = np.hstack([np.ones((60, 1)), (x - x.mean(0)) / x.std(0), np.eye(2)[log.action]])
    expected = np.empty(60)
    for held_out in range(3):
        train = phi[fold != held_out]
        ridge = 0.1 * len(train) * np.diag([0.0, 1.0, 1.0, 1.0, 1.0])
        theta = np.linalg.solve(train.T @ train + ridge, train.T @ log.reward[fold != held_out])
        expected[fold == held_out] = phi[fold == held_out] @ theta
    assert fit_value(design, target).q_logged == pytest.approx(expected)


def test_a_small_chain_gets_its_exact_values() -> None:
    """Two states, three steps, both actions and both outcomes in exactly their proportions.

    Action 1 reaches state 1 with chance 3/4, action 0 with 1/4; being in state 1 pays 1. The
    target takes action 1 with 0.9 in state 0 and 0.2 in state 1.
    """
    discount, chance = 0.8, np.array([0.25, 0.75])
    probability = np.array([[0.1, 0.9], [0.8, 0.2]])
    value = np.zeros((4, 2))
    for t in (2, 1, 0):
        q = chance * (1.0 + discount * value[t + 1, 1]) + (1 - chance) * discount * value[t + 1, 0]
        value[t] = probability @ q
    state, action, reward = chain_rows()
    n = state.size
    where = 2 * np.tile(np.arange(3), n // 3) + state
    log = evaluation_log(
        features=np.eye(6)[where],
        mask=np.ones((n, 2)),
        action=action,
        propensity=np.full(n, 0.5),
        reward=reward,
        episode=np.arange(n) // 3,
        step=np.arange(n) % 3,
        cluster=(np.arange(n // 3) // 512) % 3,
        terminal=np.zeros(n),
        action_factors=np.eye(2),
        discount=discount,
        unit="EUR",
    )
    found = fitted(log, probability[state], EXACT)
    assert found.value == pytest.approx(value.reshape(-1)[where], abs=1e-5)


def chain_rows() -> tuple[IntArray, IntArray, FloatArray]:
    """Three copies of every path from state 0: per step 2 actions x 4 equally likely outcomes."""
    paths = np.array(np.meshgrid(*[np.arange(8)] * 3, indexing="ij")).reshape(3, -1).T
    action, luck = paths // 4, paths % 4
    arrived = (luck < np.where(action == 1, 3, 1)).astype(int)
    state = np.hstack([np.zeros((len(paths), 1), dtype=int), arrived[:, :-1]])
    rows = [np.tile(part, (3, 1)).reshape(-1) for part in (state, action, arrived)]
    return rows[0], rows[1], rows[2].astype(np.float64)


def test_noise_alone_asks_for_the_strongest_penalty_and_signal_for_a_weak_one() -> None:
    log = random_log(7, [1] * 120)
    noise = replace(log, reward=np.random.default_rng(8).normal(size=120))
    config = ValueModelConfig(n_folds=3, penalties=(1e-6, 100.0))
    signal = replace(log, reward=log.features[:, 0].astype(np.float64))
    assert value_design(noise, np.random.default_rng(0), config).penalties == (100.0,) * 3
    assert value_design(signal, np.random.default_rng(0), config).penalties == (1e-6,) * 3


def test_an_iteration_beyond_what_rewards_could_reach_keeps_the_last_model_inside() -> None:
    log = random_log(13, [4] * 30)
    target = random_distribution(np.random.default_rng(14), log.mask)
    design = value_design(log, np.random.default_rng(0), ValueModelConfig(n_folds=3))
    one_backup = fit_value(replace(design, backups=1), target).value
    assert (fit_value(replace(design, reach=0.0), target).value == one_backup).all()
    assert not np.allclose(fit_value(design, target).value, one_backup)


def one_a_step(n_episodes: int, length: int) -> tuple[EvaluationLog, FloatArray]:
    """Every decision pays 1, undiscounted; bins are one-hot, so backups are exact sums."""
    log = random_log(15, [length] * n_episodes, discount=1.0)
    log = replace(
        log,
        features=np.eye(length, dtype=np.float32)[log.step],
        reward=np.ones(log.n_rows),
    )
    return log, random_distribution(np.random.default_rng(16), log.mask)


def test_a_model_is_dropped_once_its_mean_square_exceeds_what_rewards_could_reach() -> None:
    # After two backups q is 2 at the first decision and 1 at the last: root mean square 1.5811.
    log, target = one_a_step(60, 2)
    design = value_design(log, np.random.default_rng(0), EXACT)
    below, above = replace(design, reach=1.58), replace(design, reach=1.5825)
    assert fit_value(below, target).value == pytest.approx(1.0, abs=1e-5)
    assert fit_value(above, target).value == pytest.approx(2.0 - log.step, abs=1e-5)


def test_backups_end_when_the_model_moves_little_for_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # q goes 1, 1, 1 -> 2, 2, 1 -> 3, 2, 1: it moves by sqrt(2/9) = 0.47, then by sqrt(1/14) = 0.27.
    log, target = one_a_step(60, 3)
    design = value_design(log, np.random.default_rng(0), EXACT)
    for settled, expected in ((0.48, [2.0, 2.0, 1.0]), (0.46, [3.0, 2.0, 1.0])):
        monkeypatch.setattr("nurture_rl.ope.value_model.SETTLED", settled)
        found = fit_value(design, target).value
        assert found == pytest.approx(np.array(expected)[log.step], abs=1e-4)


def test_where_a_feature_has_its_zero_changes_nothing_under_any_ridge() -> None:
    log = random_log(9, [2] * 30)
    target = random_distribution(np.random.default_rng(10), log.mask)
    config = ValueModelConfig(n_folds=3, penalties=(1.0,))
    moved = replace(log, features=log.features + np.float32(4.0))
    expected = fitted(log, target, config).value
    assert fitted(moved, target, config).value == pytest.approx(expected, rel=1e-5)


def long_log() -> tuple[EvaluationLog, FloatArray]:
    """Thirty decisions an episode, every one worth about as much: values take long to settle."""
    log = random_log(15, [30] * 12, discount=1.0)
    return log, random_distribution(np.random.default_rng(16), log.mask)


def test_many_backups_at_once_are_as_many_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target = long_log()
    config = ValueModelConfig(n_folds=3, penalties=(1.0,))
    design = value_design(log, np.random.default_rng(0), config)
    assert design.backups == 600
    leaping = fit_value(design, target)
    monkeypatch.setattr(value_model, "LEAST_BACKUPS_TO_STRIDE", 600)
    walking = fit_value(design, target)
    assert leaping.value == pytest.approx(walking.value, rel=1e-3)
    # Leaps of 16 settle closer; one by one the same q comes out in the end.
    monkeypatch.setattr(value_model, "SETTLED", 1e-12)
    patient = fit_value(replace(design, backups=600 * 20), target)
    monkeypatch.setattr(value_model, "LEAST_BACKUPS_TO_STRIDE", 100)
    assert fit_value(design, target).value == pytest.approx(patient.value, rel=1e-6)
    counted = fit_value(replace(design, backups=129), target)
    monkeypatch.setattr(value_model, "LEAST_BACKUPS_TO_STRIDE", 600)
    # 128 backups after the first are 8 leaps of 16; a walk of 16 follows as nothing settled.
    assert counted.value == pytest.approx(
        fit_value(replace(design, backups=144), target).value, rel=1e-9
    )


def test_a_leap_too_far_ends_where_steps_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    log, target = long_log()
    config = ValueModelConfig(n_folds=3, penalties=(1e-3,))
    design = value_design(log, np.random.default_rng(0), config)
    tight = replace(design, reach=12.0)
    leaping = fit_value(tight, target)
    monkeypatch.setattr(value_model, "LEAST_BACKUPS_TO_STRIDE", 600)
    walking = fit_value(tight, target)
    assert leaping.value == pytest.approx(walking.value, rel=1e-9)
    assert not np.allclose(fit_value(design, target).value, walking.value, rtol=0.1)
    assert not np.allclose(
        fit_value(replace(design, backups=1), target).value, walking.value, rtol=0.1
    )


def test_a_constant_feature_changes_nothing() -> None:
    log = random_log(9, [2] * 30)
    target = random_distribution(np.random.default_rng(10), log.mask)
    padded = replace(log, features=np.hstack([log.features, np.full((60, 1), 0.1, np.float32)]))
    assert fitted(padded, target).value == pytest.approx(fitted(log, target).value)


@pytest.mark.parametrize(
    ("episodes", "config", "message"),
    [
        ([2, 2], ValueModelConfig(), "at least 3 contacts, got 2"),
        ([1] * 9, ValueModelConfig(n_folds=2), "at least 3 folds"),
        ([1] * 9, ValueModelConfig(penalties=(0.0, 1.0)), "positive penalties"),
    ],
)
def test_what_cannot_be_cross_fitted_is_refused(
    episodes: list[int], config: ValueModelConfig, message: str
) -> None:
    with pytest.raises(FitError, match=message):
        value_design(random_log(11, episodes), np.random.default_rng(0), config)


def test_a_target_of_another_log_is_refused() -> None:
    design = value_design(random_log(12, [1] * 9), np.random.default_rng(0), ValueModelConfig())
    with pytest.raises(ShapeError, match=r"target must be \(9, 3\)"):
        fit_value(design, np.ones((8, 3)) / 3)


def fitted(
    log: EvaluationLog, target: FloatArray, config: ValueModelConfig | None = None
) -> ValuePredictions:
    settings = ValueModelConfig(n_folds=3) if config is None else config
    return fit_value(value_design(log, np.random.default_rng(0), settings), target)
