"""Critical values lie where theory puts them; corrected p-values are those worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.selection.simultaneous import (
    Family,
    correlated_t,
    correlations,
    critical_value,
)
from nurture_rl.errors import ShapeError
from tests.unit.appraisal.selection.estimate_makers import FloatArray, influences_of


def drawn(influences: FloatArray, family: Family) -> float:
    return critical_value(influences, family, np.random.default_rng(0))


def _correlation(statistics: FloatArray) -> float:
    first, second = (statistics - statistics.mean(axis=0)).T
    return float(first @ second / np.sqrt(first @ first * (second @ second)))


def test_one_statement_needs_the_t_quantile_of_its_contacts() -> None:
    one = influences_of(np.eye(1), 8)
    assert drawn(one, Family(0.9)) == pytest.approx(stats.t.ppf(0.95, 7))
    assert drawn(one, Family(0.9, two_sided=False)) == pytest.approx(stats.t.ppf(0.9, 7))


def test_independent_statements_need_the_quantile_of_their_maximum() -> None:
    # 5 independent z: P(max |Z| <= c) = (2 Phi(c) - 1)^5, hence c = Phi^-1((1 + 0.95^(1/5)) / 2).
    five = influences_of(np.eye(5), 4000)
    expected = stats.norm.ppf((1.0 + 0.95**0.2) / 2.0)
    assert drawn(five, Family(draws=100_000)) == pytest.approx(expected, abs=0.02)
    upper = stats.norm.ppf(0.95**0.2)
    family = Family(draws=100_000, two_sided=False)
    assert drawn(five, family) == pytest.approx(upper, abs=0.02)


def test_correlation_makes_the_critical_value_smaller_down_to_a_single_one() -> None:
    apart, near = np.eye(5), 0.1 * np.eye(5) + 0.9
    same = np.tile(influences_of(np.eye(1), 400), (5, 1))
    wide, middle = (
        drawn(influences_of(apart, 400), Family()),
        drawn(influences_of(near, 400), Family()),
    )
    alone = float(stats.t.ppf(0.975, 399))
    assert alone < middle < wide - 0.1
    assert wide <= stats.t.isf(0.025 / 5, 399)
    assert drawn(same, Family(draws=200_000)) == pytest.approx(alone, abs=0.02)


def test_two_independent_statements_on_few_contacts_need_the_tabled_maximum_modulus() -> None:
    # Studentized maximum modulus of 2 with 3 degrees of freedom, 5 %: 3.96.
    few = influences_of(np.eye(2), 4)
    assert drawn(few, Family(draws=200_000)) == pytest.approx(3.96, abs=0.06)


def test_few_contacts_widen_through_their_shared_scale() -> None:
    # The variance of t with 12 degrees of freedom is 12 / 10.
    statistics = correlated_t(np.eye(2), 12, Family(draws=200_000), np.random.default_rng(1))
    assert statistics.var(axis=0) == pytest.approx(12 / 10, rel=0.03)
    assert _correlation(statistics) == pytest.approx(0.0, abs=0.02)


def test_drawn_statistics_have_the_correlation_of_the_influences() -> None:
    covariance = np.array([[4.0, -3.0], [-3.0, 9.0]])
    found = correlations(influences_of(covariance, 50))
    assert found == pytest.approx(np.array([[1.0, -0.5], [-0.5, 1.0]]))
    statistics = correlated_t(found, 400, Family(draws=100_000), np.random.default_rng(2))
    assert _correlation(statistics) == pytest.approx(-0.5, abs=0.02)


def test_what_is_known_exactly_takes_no_part() -> None:
    two = influences_of(np.eye(2), 100)
    with_known = np.vstack([two, np.zeros(100)])
    assert drawn(with_known, Family()) == drawn(two, Family())
    assert correlations(with_known)[2].tolist() == [0.0, 0.0, 0.0]
    rounded = np.vstack([two, 1e-15 * two[0]])
    assert correlations(rounded)[2].tolist() == [0.0, 0.0, 0.0]
    assert drawn(np.zeros((2, 100)), Family()) == 0.0
    assert drawn(np.ones((2, 1)), Family()) == np.inf


def test_two_contacts_are_enough_for_a_critical_value() -> None:
    one = np.array([[1.0, -1.0]])
    assert drawn(one, Family(0.9)) == pytest.approx(stats.t.ppf(0.95, 1))


@pytest.mark.parametrize(
    ("influences", "family", "message"),
    [
        (np.zeros(3), Family(), r"must be \[estimates, contacts\], got \(3,\)"),
        (np.zeros((0, 3)), Family(), r"got \(0, 3\)"),
        (np.zeros((3, 0)), Family(), r"got \(3, 0\)"),
        (np.ones((1, 3)), Family(95.0), "level in"),
        (np.ones((1, 3)), Family(0.0), "level in"),
        (np.ones((1, 3)), Family(1.0), "level in"),
        (np.ones((1, 3)), Family(draws=0), "and 0; write"),
    ],
)
def test_what_makes_no_family_is_refused(
    influences: FloatArray, family: Family, message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        drawn(influences, family)


def test_one_draw_is_enough_to_be_no_error() -> None:
    assert drawn(influences_of(np.eye(1), 8), Family(draws=1)) > 0.0
