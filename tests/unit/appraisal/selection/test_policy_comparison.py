"""Policies are told apart only beyond chance, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.selection.policy_comparison import PolicyComparison, compare_policies
from nurture_rl.errors import NurtureError, ShapeError
from tests.unit.appraisal.selection.estimate_makers import FloatArray, estimate_of, estimates_of


def compared(
    values: list[float], covariance: FloatArray, reference: str = "p0"
) -> PolicyComparison:
    estimates = estimates_of(np.array(values), covariance)
    return compare_policies(estimates, reference, 0.95, np.random.default_rng(0))


def test_two_policies_get_the_paired_interval_of_their_difference() -> None:
    # Var of the difference: 4 + 1 - 2 * 1 = 3; one contrast, so the t quantile itself.
    found = compared([1.0, 3.0], np.array([[4.0, 1.0], [1.0, 1.0]]))
    best, base = found.policies
    half = stats.t.ppf(0.975, 399) * np.sqrt(3.0)
    assert (best.name, best.difference) == ("p1", 2.0)
    assert best.difference_interval.lower == pytest.approx(2.0 - half)
    assert best.difference_interval.upper == pytest.approx(2.0 + half)
    assert (base.difference, base.difference_interval.lower, base.difference_interval.upper) == (
        0.0,
    ) * 3
    assert best.behind == pytest.approx(-2.0 / np.sqrt(3.0))
    assert base.behind == pytest.approx(2.0 / np.sqrt(3.0))


def test_intervals_of_values_are_wider_for_more_policies_but_not_by_bonferroni() -> None:
    near = 0.2 * np.eye(8) + 0.8
    found = compared(list(np.zeros(8)), near)
    half = (found.policies[0].interval.upper - found.policies[0].interval.lower) / 2.0
    assert stats.t.ppf(0.975, 399) < half < stats.t.isf(0.025 / 8, 399) - 0.1
    assert found.policies[0].interval.method == "max-t"


def test_policies_come_by_falling_value_and_equals_by_their_place() -> None:
    found = compared([1.0, 3.0, 1.0], np.eye(3))
    assert [one.name for one in found.policies] == ["p1", "p0", "p2"]
    assert found.winner == "p1"


def test_the_best_set_leaves_out_only_what_is_clearly_beaten() -> None:
    # Differences have standard error sqrt 2; one-sided critical values of 2 contrasts lie near 1.9.
    found = compared([0.0, 10.0, 9.0], np.eye(3))
    assert found.best_set == ("p1", "p2")
    assert [one.may_be_best for one in found.policies] == [True, True, False]
    assert "2 of 3 policies cannot be told from the best (p1, p2)" in found.reason


def test_a_clear_winner_stands_alone() -> None:
    found = compared([0.0, 20.0, 9.0], np.eye(3))
    assert found.best_set == ("p1",)
    assert "'p1' beats each of the 2 others beyond chance" in found.reason
    assert found.winner_value.corrected == pytest.approx(20.0, abs=1e-6)


def test_a_winner_over_one_other_is_told_so() -> None:
    found = compared([0.0, 20.0], np.eye(2))
    assert found.reason.startswith("'p1' beats the other beyond chance;")


def test_a_lead_of_1_8_standard_errors_stays_and_of_2_1_goes() -> None:
    # Two contrasts of the loser: equal errors, correlation 1/2; one-sided 95 % value 1.92.
    for lead, stays in ((1.8, True), (2.1, False)):
        found = compared([0.0, lead * np.sqrt(2.0), -50.0], np.eye(3))
        assert ("p0" in found.best_set) is stays


def test_a_policy_and_its_double_are_both_best() -> None:
    estimates = estimates_of(np.array([5.0, 0.0]), np.eye(2))
    double = {**estimates, "twin": estimates["p0"]}
    found = compare_policies(double, "p1", 0.95, np.random.default_rng(0))
    assert found.best_set == ("p0", "twin")


def test_a_sure_lead_beats_and_a_sure_tie_does_not() -> None:
    same = np.array([1.0, -1.0, 0.0])
    estimates = {"low": estimate_of(0.0, same), "high": estimate_of(1.0, same)}
    found = compare_policies(estimates, "low", 0.95, np.random.default_rng(0))
    assert found.best_set == ("high",)


def test_one_contact_tells_nothing_apart() -> None:
    estimates = {"a": estimate_of(0.0, np.zeros(1)), "b": estimate_of(9.0, np.ones(1))}
    found = compare_policies(estimates, "a", 0.95, np.random.default_rng(0))
    assert found.best_set == ("b", "a")
    assert found.policies[0].interval.upper == np.inf


def test_a_missing_reference_or_rival_is_refused() -> None:
    estimates = estimates_of(np.zeros(2), np.eye(2))
    with pytest.raises(NurtureError, match="with 'drip' among them"):
        compare_policies(estimates, "drip", 0.95, np.random.default_rng(0))
    with pytest.raises(NurtureError, match="two or more policies"):
        compare_policies({"p0": estimates["p0"]}, "p0", 0.95, np.random.default_rng(0))


def test_estimates_of_different_contacts_are_refused() -> None:
    mixed = {"a": estimate_of(0.0, np.zeros(3)), "b": estimate_of(0.0, np.zeros(4))}
    with pytest.raises(ShapeError, match="same contacts for all policies"):
        compare_policies(mixed, "a", 0.95, np.random.default_rng(0))


def test_a_policy_written_twice_beats_nobody() -> None:
    estimates = estimates_of(np.array([5.0, 0.0]), np.eye(2))
    own = estimates["p0"]
    twin = estimate_of(own.value + 8e-15, own.influence * (1.0 + 1e-15))
    found = compare_policies({"p0": own, "twin": twin}, "p0", 0.95, np.random.default_rng(0))
    assert found.best_set == ("twin", "p0")
    for one in found.policies:
        interval = one.difference_interval
        assert (one.difference, interval.lower, interval.upper) == (0.0, 0.0, 0.0)
