"""Rounding is no difference, and what is larger is one."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.ties import added_up, alike, apart, negligible, one_value, settled
from tests.unit.appraisal.selection.estimate_makers import estimate_of

PSI = np.array([3.0, -1.0, -2.0])


def test_a_billionth_of_what_was_added_up_is_rounding_and_more_is_not() -> None:
    found = negligible(np.array([0.9e-6, -0.9e-6, 1.1e-6, -1.1e-6]), 1000.0)
    assert found.tolist() == [True, True, False, False]
    assert negligible(0.9e-6, -1000.0)
    assert negligible(0.0, 0.0)
    assert not negligible(1e-300, 0.0)


def test_what_is_no_number_is_not_rounding() -> None:
    assert not negligible(np.nan, 1.0)
    assert not negligible(0.0, np.nan)
    assert not negligible(1.0, np.inf)


def test_an_estimate_is_added_up_from_its_value_and_its_errors() -> None:
    assert added_up(estimate_of(-5.0, PSI)) == 11.0


def test_a_policy_written_twice_differs_by_exactly_nothing() -> None:
    first, second = estimate_of(5.0, PSI), estimate_of(5.0 + 4e-15, PSI * (1.0 + 1e-15))
    value, influence = apart(first, second)
    assert value == 0.0
    assert influence.tolist() == [0.0, 0.0, 0.0]


def test_a_difference_is_first_less_second_in_value_and_error() -> None:
    value, influence = apart(estimate_of(5.0, PSI), estimate_of(2.0, np.array([1.0, 0.0, -1.0])))
    assert value == 3.0
    assert influence.tolist() == [2.0, -1.0, -1.0]


def test_each_estimate_counts_for_the_size() -> None:
    # 22 in all: 11 of each estimate; a billionth of one alone would not do.
    small = 1.5e-8
    assert apart(estimate_of(5.0, PSI), estimate_of(5.0 - small, PSI))[0] == 0.0
    assert apart(estimate_of(5.0, PSI), estimate_of(5.0 - 2.0 * small, PSI))[0] > 0.0


def test_an_error_that_is_no_rounding_stays_with_a_value_that_is() -> None:
    value, influence = settled(1e-12, PSI, 6.0)
    assert value == 0.0
    assert influence.tolist() == PSI.tolist()
    value, influence = settled(1.0, 1e-12 * PSI, 6.0)
    assert value == 1.0
    assert influence.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("other", "same"), [(1.0 + 0.9e-6, True), (1.0 + 1.1e-6, False)])
def test_probabilities_are_one_as_far_as_they_are_stored(other: float, same: bool) -> None:
    chance = np.array([1e-8, 0.5])
    assert alike(chance, other * chance).tolist() == [same, same]
    assert alike(other * chance, chance).tolist() == [same, same]
    assert alike(np.zeros(1), np.zeros(1)).all()


def test_values_that_differ_by_rounding_are_one() -> None:
    assert one_value(np.array([2.0, 2.0 + 1e-15]))
    assert one_value(np.array([-2.0, -2.0 - 1e-15]))
    assert one_value(np.empty(0))
    assert not one_value(np.array([2.0, 2.1]))
    assert not one_value(np.array([-2.0, 2.0]))
