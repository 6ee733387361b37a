"""How weight is spread over episodes, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.weight_profile import weight_profile


def test_shares_of_weight_by_hand() -> None:
    # sorted 5, 3, 2, 0: the heaviest quarter carries 5 / 10, half 8 / 10, three quarters all
    found = weight_profile(np.array([2.0, 0.0, 5.0, 3.0]))
    assert found.unused == 0.25
    assert found.largest == 5.0
    assert found.carried[[0, 25, 50, 75, 100]].tolist() == pytest.approx([0, 0.5, 0.8, 1.0, 1.0])
    # within the heaviest episode weight counts in proportion: 10 % of 4 episodes is 0.4 of it
    assert found.top.tolist() == pytest.approx([0.002, 0.02, 0.2])


def test_the_tail_tells_how_many_are_at_least_so_heavy() -> None:
    found = weight_profile(np.array([2.0, 0.0, 5.0, 3.0]))
    assert found.tail_weight.tolist() == [2.0, 3.0, 5.0]
    assert found.tail_share.tolist() == [0.75, 0.5, 0.25]


def test_equal_weights_carry_what_they_count() -> None:
    found = weight_profile(np.full(10, 0.7))
    np.testing.assert_allclose(found.carried, np.linspace(0.0, 1.0, 101))
    assert found.unused == 0.0


def test_a_long_tail_is_thinned_in_the_bulk_and_whole_at_its_end() -> None:
    weights = np.random.default_rng(0).exponential(size=10_000)
    found = weight_profile(weights)
    assert 100 <= found.tail_weight.size <= 200
    np.testing.assert_array_equal(found.tail_weight[-5:], np.sort(weights)[-5:])
    for weight, share in zip(found.tail_weight, found.tail_share, strict=True):
        assert share == pytest.approx((weights >= weight).mean())


def test_weights_that_are_all_zero_have_no_tail() -> None:
    found = weight_profile(np.zeros(3))
    assert (found.unused, found.largest, found.tail_weight.size) == (1.0, 0.0, 0)
    assert found.carried.tolist() == [0.0] * 101


@pytest.mark.parametrize("weights", [np.zeros(0), np.array([-1.0]), np.ones((2, 2))])
def test_what_is_no_list_of_weights_is_refused(weights: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"expected weights \[E\] >= 0"):
        weight_profile(weights)
