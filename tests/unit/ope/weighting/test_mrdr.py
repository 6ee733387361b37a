"""MRDR: its model is the one of least variance, never sees the contact it predicts, and refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, OverlapError, ShapeError
from nurture_rl.ope.estimators import dr, ips
from nurture_rl.ope.log import EvaluationLog, take_episodes
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from nurture_rl.ope.weighting.mrdr import MrdrConfig, least_variance_model, mrdr
from tests.unit.ope.log_makers import random_distribution, random_log

TIGHT = MrdrConfig(n_folds=3, penalties=(1e-9,))


def target_of(log: EvaluationLog, seed: int = 1) -> TargetOnLog:
    rows = random_distribution(np.random.default_rng(seed), log.mask)
    taken = np.asarray(rows[np.arange(log.n_rows), log.action])
    return TargetOnLog(rows, taken, (taken / log.propensity) ** 2, None)


def linear_log(lengths: list[int], noise: float = 0.0) -> EvaluationLog:
    """Rewards linear in context and action, and nothing that outlasts the decision."""
    log = random_log(0, lengths, discount=0.8)
    rng = np.random.default_rng(9)
    reward = 2.0 + log.features[:, 0] + np.array([0.0, 1.0, -2.0])[log.action]
    return replace(log, reward=reward + noise * rng.normal(size=log.n_rows))


def test_a_reward_that_is_linear_leaves_no_variance_but_that_of_the_contexts() -> None:
    log = linear_log([1] * 400)
    target = target_of(log)
    model = least_variance_model(log, target, TIGHT)
    truth = 2.0 + log.features[:, 0] + np.array([0.0, 1.0, -2.0])[log.action]
    assert np.corrcoef(model.q_logged, truth)[0, 1] > 0.95
    found = mrdr(log, target, TIGHT)
    assert found.stderr < 0.7 * ips(log, target.taken).stderr


def test_its_model_varies_no_more_than_any_other_in_the_data_it_was_fitted_to() -> None:
    """All contacts twice over, so that every fold is fitted to what it predicts."""
    log = linear_log([1] * 300, noise=1.0)
    log = replace(log, reward=log.reward * log.features[:, 1])
    doubled = take_episodes(log, np.tile(np.arange(300), 12))
    doubled = replace(doubled, cluster=np.arange(3600))
    target = target_of(log)
    tiled = TargetOnLog(
        np.tile(target.probabilities, (12, 1)),
        np.tile(target.taken, 12),
        target.second_moment,
        None,
    )
    rng = np.random.default_rng(2)
    fitted = fit_value(value_design(doubled, rng, ValueModelConfig(n_folds=3)), tiled.probabilities)
    regression = dr(doubled, tiled.taken, fitted)
    assert mrdr(doubled, tiled, TIGHT).stderr < regression.stderr


def test_episodes_of_several_decisions_gain_as_well() -> None:
    log = linear_log([4] * 300)
    target = target_of(log)
    found, plain = mrdr(log, target, MrdrConfig(n_folds=3)), ips(log, target.taken)
    assert found.stderr < 0.6 * plain.stderr
    assert abs(found.value - plain.value) < 4 * plain.stderr


def test_the_model_of_a_contact_never_saw_it() -> None:
    log = linear_log([2, 1, 3] * 20, noise=1.0)
    log = replace(log, cluster=np.arange(60) // 2)
    target = target_of(log)
    before = least_variance_model(log, target, TIGHT)
    own = log.cluster[log.episode] == 7
    changed = replace(log, reward=np.where(own, log.reward + 50.0, log.reward))
    after = least_variance_model(changed, target, TIGHT)
    assert after.q_logged[own] == pytest.approx(before.q_logged[own])
    assert after.value[own] == pytest.approx(before.value[own])
    assert np.abs(after.q_logged[~own] - before.q_logged[~own]).max() > 0.1


def test_the_value_is_the_targets_mean_of_q() -> None:
    """Where the target always does what was logged, both answers are one."""
    log = linear_log([1] * 60, noise=0.5)
    rows = np.eye(3)[log.action]
    target = TargetOnLog(rows, np.ones(60), 1 / log.propensity**2, None)
    model = least_variance_model(log, target, TIGHT)
    assert model.value == pytest.approx(model.q_logged)


def test_chunks_and_a_limit_on_episodes_do_not_change_what_is_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = linear_log([3, 1, 2] * 40, noise=0.5)
    target = target_of(log)
    whole = least_variance_model(log, target, TIGHT)
    monkeypatch.setattr("nurture_rl.ope.weighting.mrdr.CHUNK_ROWS", 5)
    assert least_variance_model(log, target, TIGHT).value == pytest.approx(whole.value)
    few = replace(TIGHT, most_episodes=60)
    cut = least_variance_model(log, target, few)
    assert np.abs(cut.value - whole.value).max() > 1e-6
    full, some = mrdr(log, target, TIGHT), mrdr(log, target, few)
    assert abs(full.value - some.value) < 4 * full.stderr


def test_a_strong_ridge_leaves_weights_alone() -> None:
    """All that stays is nothing: the estimate is that of plain weights."""
    log = linear_log([2, 1] * 30)
    target = target_of(log)
    found = mrdr(log, target, MrdrConfig(n_folds=3, penalties=(1e12,)))
    assert found.value == pytest.approx(ips(log, target.taken).value, rel=1e-6)


def test_order_of_contacts_does_not_matter() -> None:
    log = linear_log([1] * 50, noise=1.0)
    target = target_of(log)
    back = np.arange(49, -1, -1)
    turned = TargetOnLog(target.probabilities[back], target.taken[back], target.second_moment, None)
    own = mrdr(log, target, TIGHT).value
    assert mrdr(take_episodes(log, back), turned, TIGHT).value == pytest.approx(own)


def test_two_contacts_are_too_few() -> None:
    log = random_log(3, [1, 1])
    with pytest.raises(FitError, match="at least 3 contacts, got 2"):
        mrdr(log, target_of(log))


@pytest.mark.parametrize(
    "config", [MrdrConfig(n_folds=2), MrdrConfig(penalties=(0.0, 1.0)), MrdrConfig(penalties=())]
)
def test_settings_out_of_range_are_refused(config: MrdrConfig) -> None:
    log = random_log(4, [1, 1, 1])
    with pytest.raises(FitError, match="at least 3 folds and positive penalties"):
        mrdr(log, target_of(log), config)


def test_a_target_of_another_catalogue_is_refused() -> None:
    log = random_log(5, [1, 1, 1])
    wrong = TargetOnLog(np.ones((3, 2)), np.ones(3), np.ones(3), None)
    with pytest.raises(ShapeError, match="target probabilities must be"):
        mrdr(log, wrong)


def test_weights_beyond_floating_point_are_refused() -> None:
    log = replace(random_log(6, [60, 60, 60]), propensity=np.full(180, 1e-6))
    ones = TargetOnLog(np.eye(3)[log.action], np.ones(180), np.ones(180), None)
    with pytest.raises(OverlapError, match="exceed floating point"):
        mrdr(log, ones)
