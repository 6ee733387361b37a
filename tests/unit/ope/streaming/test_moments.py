"""Sums add up in any order and only with their like."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged, no_moments
from tests.unit.ope.streaming.makers import SMALL


def some(seed: int) -> Moments:
    rng = np.random.default_rng(seed)
    return Moments(SMALL, rng.normal(size=(32, SMALL.n_columns)), np.asarray(rng.exponential()))


def test_sums_add_up_and_the_larger_weight_stays() -> None:
    first, second = some(1), some(2)
    both = merged(first, second)
    assert both.sums == pytest.approx(first.sums + second.sums)
    assert float(both.largest) == max(float(first.largest), float(second.largest))
    assert float(both.largest) != min(float(first.largest), float(second.largest))


def test_order_and_grouping_of_parts_do_not_matter() -> None:
    parts = [some(3), some(4), some(5)]
    whole = merged(merged(parts[0], parts[1]), parts[2])
    for order in permutations(parts):
        other = merged(order[0], merged(order[1], order[2]))
        assert other.sums == pytest.approx(whole.sums)
        assert other.largest == whole.largest


def test_no_decision_is_the_neutral_part() -> None:
    own = some(6)
    both = merged(no_moments(SMALL), own)
    assert both.sums == pytest.approx(own.sums)
    assert both.largest == own.largest


def test_columns_are_the_head_and_one_per_parameter() -> None:
    assert SMALL.n_columns == 6 + 3 + 2 + 3
    assert no_moments(MomentsConfig()).sums.shape == (4096, 30)


def test_sums_kept_differently_do_not_add_up() -> None:
    with pytest.raises(ShapeError, match="only if kept alike"):
        merged(no_moments(SMALL), no_moments(MomentsConfig(n_buckets=32)))


@pytest.mark.parametrize("buckets", [0, 1, 3, 24, -4])
def test_buckets_must_be_a_power_of_two(buckets: int) -> None:
    with pytest.raises(ShapeError, match="a power of two of buckets"):
        no_moments(MomentsConfig(n_buckets=buckets))


@pytest.mark.parametrize(
    "config", [MomentsConfig(clips=(0.0,)), MomentsConfig(taus=(-1.0,)), MomentsConfig(lams=(0.0,))]
)
def test_parameters_must_be_above_zero(config: MomentsConfig) -> None:
    with pytest.raises(ShapeError, match="parameters above 0"):
        no_moments(config)


def test_two_buckets_and_no_grid_are_enough() -> None:
    assert no_moments(MomentsConfig(2, (), (), ())).sums.shape == (2, 6)
