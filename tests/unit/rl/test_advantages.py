from __future__ import annotations

import pytest
import torch

from nurture_rl.errors import ShapeError
from nurture_rl.rl.advantages import generalised_advantages

REWARD = torch.tensor([[1.0], [2.0], [4.0]])
VALUE = torch.tensor([[0.5], [1.0], [3.0]])
AFTER = torch.tensor([8.0])
ENDS = torch.tensor([[False], [True], [False]])
NEVER = torch.zeros(3, 1, dtype=torch.bool)


def test_advantages_match_hand_calculation_across_an_end() -> None:
    found = generalised_advantages(REWARD, VALUE, AFTER, ENDS, 0.5, 0.5)
    # t=2: 4 + 0.5 * 8 - 3 = 5
    # t=1: the episode ended: 2 - 1 = 1
    # t=0: 1 + 0.5 * 1 - 0.5 = 1, plus 0.25 * 1
    assert found[:, 0].tolist() == [1.25, 1.0, 5.0]


def test_ignoring_the_end_gives_other_advantages() -> None:  # negative control
    found = generalised_advantages(REWARD, VALUE, AFTER, NEVER, 0.5, 0.5)
    # t=1: 2 + 0.5 * 3 - 1 + 0.25 * 5 = 3.75;  t=0: 1 + 0.25 * 3.75
    assert found[:, 0].tolist() == [1.9375, 3.75, 5.0]


def test_a_full_trace_gives_the_return_less_the_value() -> None:
    found = generalised_advantages(REWARD, VALUE, AFTER, NEVER, 1.0, 1.0)
    returns = torch.tensor([[15.0], [14.0], [12.0]])
    torch.testing.assert_close(found, returns - VALUE)


def test_without_discount_only_the_reward_counts() -> None:
    found = generalised_advantages(REWARD, VALUE, AFTER, NEVER, 0.0, 0.9)
    torch.testing.assert_close(found, REWARD - VALUE)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \[T, n\]"):
        generalised_advantages(REWARD, VALUE[:2], AFTER, ENDS, 0.5, 0.5)
