"""Returns to go, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.learned.returns import returns_to_go


def test_rewards_are_discounted_by_the_bins_between_decisions() -> None:
    reward = np.array([1.0, 2.0, 4.0, 8.0])
    episode, step = np.array([5, 5, 5, 2]), np.array([0, 1, 3, 0])
    # 2 + 0.25 * 4 = 3, since two bins lie between; 1 + 0.5 * 3 = 2.5
    assert returns_to_go(reward, episode, step, 0.5).tolist() == [2.5, 3.0, 4.0, 8.0]


def test_single_decisions_return_their_reward() -> None:
    reward = np.array([3.0, -1.0])
    assert returns_to_go(reward, np.array([0, 1]), np.zeros(2, np.int64), 0.9).tolist() == [3, -1]


def test_without_discount_the_first_return_is_the_episode_total() -> None:
    reward = np.arange(6, dtype=np.float64)
    total = returns_to_go(reward, np.zeros(6, np.int64), np.arange(6), 1.0)
    assert total[0] == 15.0


def test_the_rewards_given_are_left_as_they_were() -> None:
    reward = np.array([1.0, 2.0])
    returns_to_go(reward, np.zeros(2, np.int64), np.arange(2), 1.0)
    assert reward.tolist() == [1.0, 2.0]


def test_no_decisions_have_no_returns() -> None:
    none = np.zeros(0, np.int64)
    assert returns_to_go(np.zeros(0), none, none, 1.0).size == 0


def test_rows_out_of_order_are_refused() -> None:
    with pytest.raises(LogError, match="next to each other"):
        returns_to_go(np.zeros(3), np.array([0, 1, 0]), np.array([0, 0, 1]), 1.0)
    with pytest.raises(LogError, match="row 1 has step 1 after step 2"):
        returns_to_go(np.zeros(2), np.zeros(2, np.int64), np.array([2, 1]), 1.0)
    with pytest.raises(LogError, match="row 3 has step 1 after step 1"):
        returns_to_go(np.zeros(4), np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), 1.0)
    with pytest.raises(ShapeError, match=r"\(2,\), \(3,\)"):
        returns_to_go(np.zeros(2), np.zeros(3, np.int64), np.zeros(2, np.int64), 1.0)


def test_every_episode_begins_anew_and_ends_with_its_own_reward() -> None:
    found = returns_to_go(
        np.array([1.0, 2.0, 4.0, 8.0]), np.array([3, 3, 1, 1]), np.array([0, 1, 0, 2]), 0.5
    )
    assert found.tolist() == [2.0, 2.0, 6.0, 8.0]
