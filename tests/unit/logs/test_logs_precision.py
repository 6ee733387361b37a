"""Probabilities are checked as precisely as they were written, and no less."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.logs.precision import (
    match_tolerance,
    row_decimals,
    sum_tolerance,
    table_decimals,
    written_decimals,
)


@pytest.mark.parametrize("decimals", [2, 3, 4, 5, 6, 7, 12])
@pytest.mark.parametrize("kept", [np.float64, np.float32])
def test_thirds_sum_to_one_however_they_are_rounded(decimals: int, kept: type) -> None:
    thirds = np.round(np.full((4, 3), 1.0 / 3.0), decimals).astype(kept).astype(np.float64)
    allowed = sum_tolerance(table_decimals(thirds), 3)
    assert (np.abs(thirds.sum(axis=1) - 1.0) <= allowed).all()


def test_a_short_number_among_long_ones_is_not_taken_as_coarse() -> None:
    table = np.array([[1.0 / 3.0, 2.0 / 3.0], [0.5, 0.4]])
    assert abs(table[1].sum() - 1.0) > sum_tolerance(table_decimals(table), 2)[1]


def test_what_two_decimals_cannot_explain_is_refused() -> None:
    table = np.array([[0.33, 0.33, 0.30]])
    assert abs(table.sum() - 1.0) > sum_tolerance(table_decimals(table), 3)[0]


def test_decimals_are_those_that_give_the_number_back() -> None:
    numbers = [1.0, 0.5, 0.25, 0.3333, 0.333333, 1.0 / 3.0, np.nan]
    assert written_decimals(numbers).tolist() == [0, 1, 2, 4, 6, 7, 0]


def test_two_writings_may_differ_by_half_the_last_place_of_each() -> None:
    six, four = np.array([6]), np.array([4])
    assert match_tolerance(six, four)[0] == pytest.approx(5.05e-5, rel=1e-3)
    assert match_tolerance(six, six)[0] == pytest.approx(1e-6, rel=1e-2)


def test_a_column_of_nothing_has_no_precision() -> None:
    assert row_decimals(np.zeros(0, np.int64)).size == 0
