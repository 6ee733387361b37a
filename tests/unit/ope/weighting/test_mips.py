"""Marginalised weights: by hand, the two limits, variance where factors say all, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import EvaluationLog, evaluation_log
from nurture_rl.ope.weighting.mips import coarsenings, factor_groups, mips
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.weighting.makers import random_target

PAIRS = np.array([0, 0, 1, 1])


def four_actions(rng: np.random.Generator, n: int) -> EvaluationLog:
    """Actions 0, 1 pay 1 on average and 2, 3 pay 3; the logging policy likes 0 and 2."""
    logged = np.tile([0.4, 0.1, 0.4, 0.1], (n, 1))
    action = rng.choice(4, size=n, p=logged[0])
    return evaluation_log(
        features=np.zeros((n, 1)),
        mask=np.ones((n, 4)),
        action=action,
        propensity=logged[0][action],
        logged_probabilities=logged,
        reward=1.0 + 2.0 * PAIRS[action] + rng.normal(size=n),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(2)[PAIRS],
        discount=1.0,
        unit="EUR",
    )


def test_by_hand() -> None:
    log = four_actions(np.random.default_rng(0), 3)
    log = replace(log, action=np.array([0, 1, 3]), reward=np.array([1.0, 2.0, 4.0]))
    log = replace(log, propensity=np.array([0.4, 0.1, 0.1]))
    target = np.tile([0.1, 0.2, 0.0, 0.7], (3, 1))
    # Both pairs had a chance of 1/2: weights 0.3/0.5, 0.3/0.5, 0.7/0.5.
    assert mips(log, target, PAIRS).value == pytest.approx((0.6 * 1 + 0.6 * 2 + 1.4 * 4) / 3)


@pytest.mark.parametrize("lengths", [[1] * 9, [3, 1, 4, 2]])
def test_single_actions_are_ips_and_one_group_is_the_logs_own_mean(lengths: list[int]) -> None:
    log = random_log(1, lengths)
    target = random_target(2, log)
    alone = mips(log, target.probabilities, np.arange(3))
    assert alone.influence == pytest.approx(ips(log, target.taken).influence)
    together = mips(log, target.probabilities, np.zeros(3, dtype=np.int64))
    assert together.value == pytest.approx(ips(log, log.propensity).value)
    assert together.ess == pytest.approx(log.n_episodes)


def test_it_is_right_and_tighter_where_the_reward_depends_on_the_group() -> None:
    log = four_actions(np.random.default_rng(3), 4000)
    target = np.tile([0.1, 0.4, 0.1, 0.4], (4000, 1))
    grouped = mips(log, target, PAIRS)
    plain = ips(log, target[np.arange(4000), log.action])
    assert abs(grouped.value - 2.0) < 4 * grouped.stderr
    assert grouped.stderr < 0.6 * plain.stderr


def test_it_is_wrong_where_the_reward_depends_on_the_action() -> None:
    """Negative control: action 1 alone pays, its group hides that the target likes it more."""
    log = four_actions(np.random.default_rng(4), 4000)
    log = replace(log, reward=(log.action == 1) * 1.0)
    target = np.tile([0.1, 0.4, 0.1, 0.4], (4000, 1))
    found = mips(log, target, PAIRS)
    assert abs(found.value - 0.4) > 4 * found.stderr


def test_groups_are_actions_alike_in_the_chosen_columns() -> None:
    factors = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0.0]])
    assert factor_groups(factors, np.array([0])).tolist() == [1, 1, 0, 1]
    assert factor_groups(factors, np.array([0, 1])).tolist() == [2, 1, 0, 2]
    assert factor_groups(factors, np.array([], dtype=np.int64)).tolist() == [0, 0, 0, 0]


def test_coarsenings_leave_rare_columns_out_first() -> None:
    # Column 0 marks three actions, column 1 two, column 2 one.
    factors = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0.0]])
    found = coarsenings(factors, 8)
    assert [groups.tolist() for groups in found] == [
        [0, 1, 2, 3],
        [2, 2, 1, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 0],
    ]
    assert [groups.max() for groups in coarsenings(factors, 3)] == [3, 1, 0]
    assert [groups.max() for groups in coarsenings(np.zeros((5, 0)), 8)] == [4, 0]


def test_unknown_columns_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"factor columns 0\.\.1, got \[2\]"):
        factor_groups(np.eye(2), np.array([2]))
    with pytest.raises(ShapeError, match=r"got \[-1\]"):
        factor_groups(np.eye(2), np.array([-1]))


def test_a_log_without_distributions_is_refused() -> None:
    log = replace(random_log(5, [1, 1]), logged_probabilities=None)
    with pytest.raises(OverlapError, match="whole distribution"):
        mips(log, random_target(6, log).probabilities, np.arange(3))


def test_one_group_per_action_is_required() -> None:
    log = random_log(7, [1, 1])
    with pytest.raises(ShapeError, match="one group per action"):
        mips(log, random_target(8, log).probabilities, np.arange(2))
    with pytest.raises(ShapeError, match="expected target"):
        mips(log, np.ones((2, 2)), np.arange(3))
