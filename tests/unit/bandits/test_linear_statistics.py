"""Sums of rows: all at once, one by one and in any parts they give the same fit."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.linear_posterior import chosen_ridges, diagonal
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.errors import FitError, ShapeError
from tests.unit.bandits.planted_returns import FACTORS, dense, sample

DESIGN = ActionDesign(FACTORS)
ROWS = sample(1000, seed=1)
MOMENTS = ContextMoments.of(ROWS.features)


def sums_of(*sizes: int) -> LinearStatistics:
    """The rows added in parts of these sizes."""
    assert sum(sizes) == 1000
    sums, start = LinearStatistics.none(MOMENTS, 3), 0
    for size in sizes:
        part = slice(start, start + size)
        sums.add(ROWS.features[part], ROWS.action[part], ROWS.returns[part])
        start += size
    return sums


@pytest.mark.parametrize("sizes", [[1] * 1000, [900, *[1] * 100], [500, 500], [15, 17, 968]])
def test_rows_added_in_any_parts_give_the_fit_of_all(sizes: list[int]) -> None:
    batch, parts = (Equations.of(one, DESIGN) for one in (sums_of(1000), sums_of(*sizes)))
    ridges = chosen_ridges(batch, None)
    assert chosen_ridges(parts, None).main == pytest.approx(ridges.main)
    expected, found = (diagonal(one, ridges).mean_map() for one in (batch, parts))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert parts.leftover == pytest.approx(batch.leftover, rel=1e-9)


def test_sums_are_those_of_the_dense_columns() -> None:
    context, _ = dense(ROWS)
    sums = sums_of(1000)
    for a in range(3):
        x, r = context[ROWS.action == a], ROWS.returns[ROWS.action == a]
        assert sums.gram[a] == pytest.approx(x.T @ x)
        assert sums.target[a] == pytest.approx(x.T @ r)
    assert sums.squares == pytest.approx(ROWS.returns @ ROWS.returns)
    assert sums.rows == 1000


@pytest.mark.parametrize("size", [10, 1000])
def test_a_weight_of_two_is_a_row_twice_and_of_0_none(size: int) -> None:
    twice = np.repeat(np.arange(size), np.arange(size) % 3)
    repeated, weighted = LinearStatistics.none(MOMENTS, 3), LinearStatistics.none(MOMENTS, 3)
    repeated.add(ROWS.features[twice], ROWS.action[twice], ROWS.returns[twice])
    weight = (np.arange(size) % 3).astype(np.float64)
    weighted.add(ROWS.features[:size], ROWS.action[:size], ROWS.returns[:size], weight)
    assert weighted.gram == pytest.approx(repeated.gram)
    assert weighted.target == pytest.approx(repeated.target)
    assert weighted.squares == pytest.approx(repeated.squares)


def test_rows_of_another_journey_and_too_few_rows_are_refused() -> None:
    sums = LinearStatistics.none(MOMENTS, 3)
    with pytest.raises(ShapeError, match=r"expected features \[5, 2\]"):
        sums.add(np.zeros((5, 3), np.float32), np.zeros(5, np.int64), np.zeros(5))
    sums.add(ROWS.features[:3], ROWS.action[:3], ROWS.returns[:3])
    with pytest.raises(FitError, match="more than 3 rows for 2 features, got 3"):
        Equations.of(sums, DESIGN)
