"""How high a return is among those of its bin, and what asking for one does to the first layer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nurture_rl.learned.scored import REACH
from nurture_rl.rl.return_conditioned import _asking, within_bins


def test_returns_are_measured_in_deviations_of_their_bin() -> None:
    # Bin 0 has 1, 3 and 8: mean 4, deviation sqrt((9 + 1 + 16) / 3). Bin 4 has 10 and 20.
    step = np.array([0, 4, 0, 4, 0])
    returns = np.array([1.0, 10.0, 3.0, 20.0, 8.0])
    spread = math.sqrt(26.0 / 3.0)
    expected = [-3.0 / spread, -1.0, -1.0 / spread, 1.0, 4.0 / spread]
    assert within_bins(step, returns) == pytest.approx(expected)


def test_where_all_returns_of_a_bin_are_equal_none_is_high() -> None:
    assert within_bins(np.zeros(3, np.int64), np.full(3, 7.0)).tolist() == [0.0] * 3


def test_one_return_in_many_is_cut_where_networks_no_longer_read() -> None:
    returns = np.zeros(10_000)
    for sign in (1.0, -1.0):
        returns[0] = sign  # 100 deviations off
        assert within_bins(np.zeros(10_000, np.int64), returns)[0] == sign * REACH


def test_what_is_asked_for_moves_the_first_bias_and_is_no_input_any_more() -> None:
    first = (torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([0.5, -0.5]))
    second = (torch.tensor([[7.0, 8.0]]), torch.tensor([9.0]))
    (weight, bias), kept = _asking([first, second], 2.0)
    assert weight.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert bias.tolist() == [0.5 + 3.0 * 2.0, -0.5 + 6.0 * 2.0]
    assert kept is second
