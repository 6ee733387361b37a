"""Neural fitted-Q evaluation: what it reads, what it must not read, and what it reaches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.estimators import dm
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.sequential.fqe import fit_fqe, fqe
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_target

QUICK = FqeConfig(hidden=(16,), batch=32, refresh=10, max_steps=40, check_every=1, n_folds=2)
CLOSE = FqeConfig(
    hidden=(32,),
    batch=64,
    refresh=25,
    follow=1.0,
    learning_rate=1e-2,
    max_steps=700,
    settled=0.0,
    n_folds=1,
)


def two_step_log(next_features: tuple[float, float], next_mask: tuple[bool, bool]) -> EvaluationLog:
    """400 episodes: nothing at first; then action 0 pays 1 and action 1 pays 5, as far as legal."""
    n = 400
    first = np.arange(n) % 2
    second = np.where(np.arange(n) % 4 < 2, 0, 1) if all(next_mask) else np.full(n, next_mask[1])
    action = np.column_stack([first, second]).reshape(-1)
    mask = np.tile([[True, True], list(next_mask)], (n, 1))
    return evaluation_log(
        features=np.tile([[0.0, 0.0], list(next_features)], (n, 1)),
        mask=mask,
        action=action,
        propensity=np.where(mask.all(axis=1), 0.5, 1.0),
        reward=np.column_stack([np.zeros(n), np.where(second == 1, 5.0, 1.0)]).reshape(-1),
        episode=np.repeat(np.arange(n), 2),
        step=np.tile([0, 1], n),
        cluster=np.arange(n),
        terminal=np.tile([False, True], n),
        action_factors=np.eye(2),
        discount=0.5,
        unit="EUR",
    )


def test_the_whole_distribution_of_the_next_decision_counts() -> None:
    log = two_step_log((1.0, 0.0), (True, True))
    target = np.tile([0.3, 0.7], (800, 1))
    # 0.5 * (0.3 * 1 + 0.7 * 5); the likeliest action alone would give 2.5, the logged mix 1.5.
    found = fit_fqe(log, target, CLOSE).predictions
    assert found.value[::2] == pytest.approx(1.9, abs=0.03)
    assert found.q_logged[1::2] == pytest.approx(log.reward[1::2], abs=0.05)


@pytest.mark.slow
def test_what_is_forbidden_next_counts_nothing() -> None:
    """Negative control: with mass on the masked action the answer is another one."""
    log = two_step_log((1.0, 0.0), (True, False))
    legal = np.where(log.mask.sum(axis=1, keepdims=True) == 2, 0.5, [[1.0, 0.0]])
    right = fit_fqe(log, legal, CLOSE).predictions.value[::2]
    assert right == pytest.approx(0.5, abs=0.02)
    leaking = fit_fqe(log, np.full((800, 2), 0.5), CLOSE).predictions.value[::2]
    assert np.abs(leaking - 0.5).min() > 0.05


def test_the_next_context_is_read_and_not_the_own_one() -> None:
    """Equal first contexts lead to next ones worth 4 and 0: only those tell the two apart."""
    log = two_step_log((1.0, 0.0), (True, True))
    good = np.repeat(np.arange(400) % 8 < 4, 2)
    features = np.where((log.step == 1)[:, None], np.column_stack([good, ~good]), 0.0)
    reward = np.where((log.step == 1) & good, 4.0, 0.0)
    split = replace(log, features=features.astype(np.float32), reward=reward)
    found = fit_fqe(split, np.full((800, 2), 0.5), CLOSE).predictions
    assert found.value[1::2] == pytest.approx(reward[1::2], abs=0.1)
    # Action 0 leads to a good or a bad next context equally often: 0.5 * (4 + 0) / 2.
    assert found.value[::2] == pytest.approx(1.0, abs=0.1)


def test_gaps_between_decisions_discount_by_their_bins() -> None:
    log = two_step_log((1.0, 0.0), (True, True))
    wide = replace(log, step=np.tile([0, 3], 400))
    found = fit_fqe(wide, np.tile([0.3, 0.7], (800, 1)), CLOSE).predictions
    assert found.value[::2] == pytest.approx(0.125 * 3.8, abs=0.03)


def test_nothing_follows_the_last_row_of_an_episode() -> None:
    log = two_step_log((1.0, 0.0), (True, True))
    rich = replace(log, reward=np.tile([100.0, 1.0], 400), terminal=np.zeros(800, dtype=bool))
    found = fit_fqe(rich, np.full((800, 2), 0.5), CLOSE).predictions
    assert found.value[1::2] == pytest.approx(1.0, abs=1.0)


def test_one_decision_is_a_regression_of_the_reward() -> None:
    log = random_log(0, [1] * 400)
    truth = 1.0 + log.action - 2.0 * log.features[:, 0].astype(np.float64)
    log = replace(log, reward=truth)
    found = fit_fqe(log, random_target(1, log), CLOSE).predictions
    assert np.abs(found.q_logged - truth).mean() < 0.15


def test_it_is_the_direct_method_of_its_predictions() -> None:
    log = random_log(2, [3, 1, 2, 4, 3, 2])
    target = random_target(3, log)
    found = fit_fqe(log, target, QUICK)
    assert fqe(log, target, QUICK).value == dm(log, found.predictions).value
    assert found.steps == (40, 40)


def test_equal_seeds_give_equal_answers_and_others_do_not() -> None:
    log = random_log(4, [3, 1, 2, 4, 3, 2])
    target = random_target(5, log)
    one, same = (fit_fqe(log, target, QUICK).predictions for _ in range(2))
    other = fit_fqe(log, target, replace(QUICK, seed=1)).predictions
    assert (one.value == same.value).all()
    assert (one.q_logged == same.q_logged).all()
    assert not np.allclose(one.value, other.value)


def test_a_contact_never_shapes_its_own_answer() -> None:
    log = random_log(6, [1] * 24, cluster=np.repeat(np.arange(12), 2))
    target = random_target(7, log)
    own = log.cluster[log.episode] == 4
    # The two rewards of one contact change places, so their scale stays what it was.
    swapped = log.reward.copy()
    swapped[own] = swapped[own][::-1]
    before = fit_fqe(log, target, QUICK).predictions.value
    after = fit_fqe(replace(log, reward=swapped), target, QUICK).predictions.value
    assert before[own] == pytest.approx(after[own], rel=1e-4)
    assert not np.allclose(before[~own], after[~own], rtol=1e-2)


def test_training_stops_when_the_value_has_settled_but_not_before_rewards_can_arrive() -> None:
    log = random_log(8, [2] * 30)
    target = random_target(9, log)
    still = replace(QUICK, settled=1e9, patience=2, max_steps=1000, follow=0.5)
    # 2 decisions need 2 / 0.5 renewals of 10 steps; the second settled look after them ends it.
    assert fit_fqe(log, target, still).steps == (50, 50)
    assert fit_fqe(log, target, replace(still, patience=4)).steps == (70, 70)
    never = replace(QUICK, settled=0.0, max_steps=100)
    assert fit_fqe(log, target, never).steps == (100, 100)


@pytest.mark.parametrize(
    "config",
    [
        replace(QUICK, n_folds=0),
        replace(QUICK, n_folds=7),
        replace(QUICK, batch=0),
        replace(QUICK, refresh=0),
        replace(QUICK, hidden=(16, 0)),
        replace(QUICK, follow=0.0),
        replace(QUICK, follow=1.5),
        replace(QUICK, learning_rate=0.0),
    ],
)
def test_settings_out_of_range_are_refused(config: FqeConfig) -> None:
    log = random_log(10, [2, 1, 2, 1, 1, 2])
    with pytest.raises(FitError, match=r"expected 1 to 6 folds|must be at least 1"):
        fit_fqe(log, random_target(11, log), config)


def test_a_target_of_another_log_is_refused() -> None:
    log = random_log(12, [2, 1])
    with pytest.raises(ShapeError, match=r"target must be \(3, 3\)"):
        fit_fqe(log, np.ones((2, 3)) / 3)
