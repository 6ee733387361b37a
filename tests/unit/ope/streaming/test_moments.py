"""Sums add up in any order and only with their like."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged, no_moments
from tests.unit.ope.streaming.makers import SMALL


def some(seed: int, codes: int) -> Moments:
    rng = np.random.default_rng(seed)
    sums = rng.normal(size=(32, SMALL.n_columns))
    sums[:, 0] = rng.integers(0, 5, 32)
    bounds = np.sort(rng.normal(size=(4, 2)), axis=1)
    return Moments(SMALL, sums, bounds, seed, {"week": rng.normal(size=(codes, 3))})


def test_sums_add_up_and_ranges_widen() -> None:
    first, second = some(1, 2), some(2, 4)
    both = merged(first, second)
    assert both.sums == pytest.approx(first.sums + second.sums)
    assert both.bounds[:, 0] == pytest.approx(np.minimum(first.bounds, second.bounds)[:, 0])
    assert both.bounds[:, 1] == pytest.approx(np.maximum(first.bounds, second.bounds)[:, 1])
    assert both.matched == 3
    assert both.by["week"][:2] == pytest.approx(first.by["week"] + second.by["week"][:2])
    assert both.by["week"][2:] == pytest.approx(second.by["week"][2:])
    assert both.n_rows == first.n_rows + second.n_rows


def test_order_and_grouping_of_parts_do_not_matter() -> None:
    parts = [some(3, 1), some(4, 5), some(5, 3)]
    whole = merged(*parts)
    for order in permutations(parts):
        other = merged(order[0], merged(order[1], order[2]))
        assert other.sums == pytest.approx(whole.sums)
        assert other.by["week"] == pytest.approx(whole.by["week"])


def test_no_decision_is_the_neutral_part() -> None:
    own = some(6, 2)
    both = merged(no_moments(SMALL), own)
    assert both.sums == pytest.approx(own.sums)
    assert both.bounds == pytest.approx(own.bounds)
    assert both.by["week"] == pytest.approx(own.by["week"])
    assert no_moments(SMALL).n_rows == 0


def test_groups_of_one_part_only_stay() -> None:
    other = replace(some(7, 2), by={"logger": np.ones((1, 3))})
    assert sorted(merged(some(8, 2), other).by) == ["logger", "week"]


def test_columns_are_the_head_and_one_per_parameter() -> None:
    assert SMALL.n_columns == 8 + 3 + 2 + 3
    assert no_moments(MomentsConfig()).sums.shape == (4096, 32)


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
    assert no_moments(MomentsConfig(2, (), (), ())).sums.shape == (2, 8)
