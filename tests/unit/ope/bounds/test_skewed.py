"""The skewness-corrected interval is the t interval turned to the side that one misses on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.skewed import skewed_interval, skewed_p, skewness_of
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.log import FloatArray


def error_of(values: FloatArray) -> FloatArray:
    """Influence of the values' mean."""
    return np.asarray((values - values.mean()) / values.size)


def test_tail_is_that_of_the_sum() -> None:
    values = np.random.default_rng(0).exponential(size=400)
    found = skewness_of(error_of(values))
    assert found.skewness == pytest.approx(stats.skew(values) / 20.0)
    assert found.dof == pytest.approx(800.0 / (stats.kurtosis(values, fisher=False) - 1.0))


def test_few_equal_outcomes_have_about_two_degrees_of_freedom_each() -> None:
    outcomes = np.zeros(100_000)
    outcomes[:30] = 1.0
    assert skewness_of(error_of(outcomes)).dof == pytest.approx(60.0, rel=1e-3)


def test_light_tails_have_no_more_degrees_of_freedom_than_contacts() -> None:
    assert skewness_of(np.array([0.1, -0.1, 0.1, -0.1])).dof == 3.0
    assert skewness_of(np.array([0.2, -0.1, -0.1])).dof == 2.0


def test_no_error_at_all_has_a_normal_tail() -> None:
    found = skewness_of(np.zeros(5))
    assert (found.skewness, found.dof) == (0.0, 4.0)
    assert skewness_of(np.zeros(1)).dof == 1.0


def test_sizes_of_any_unit_give_one_tail() -> None:
    values = np.random.default_rng(1).exponential(size=50)
    small, large = skewness_of(error_of(values * 1e-120)), skewness_of(error_of(values * 1e120))
    assert small.skewness == pytest.approx(large.skewness)
    assert small.dof == pytest.approx(large.dof)


def test_the_interval_straightens_the_error_it_was_made_for() -> None:
    values = np.random.default_rng(2).exponential(size=50)
    influence = error_of(values)
    tail = skewness_of(influence)
    found = skewed_interval(values.mean(), influence, 0.9)
    quantile = stats.t.ppf(0.95, tail.dof)
    g = tail.skewness
    for end, due in ((found.lower, quantile), (found.upper, -quantile)):
        t = (values.mean() - end) / stats.sem(values)
        # Hall's polynomial of the studentised error is what has the symmetric distribution.
        assert t + g * (t**2 / 3 + 1 / 6) + g**2 * t**3 / 27 == pytest.approx(due)
    assert found.upper - values.mean() > values.mean() - found.lower


def test_without_skewness_it_is_the_t_interval() -> None:
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    found = skewed_interval(7.0, error_of(values), 0.95)
    dof = skewness_of(error_of(values)).dof
    half = stats.t.ppf(0.975, dof) * stats.sem(values)
    assert (found.lower, found.upper) == pytest.approx((7.0 - half, 7.0 + half))
    nearly = error_of(np.array([-3.0, -1.0, 0.0, 1.0, 3.00001]))
    assert skewed_interval(7.0, nearly, 0.95).upper == pytest.approx(7.0 + half, rel=1e-4)


def test_a_mirrored_sample_has_the_mirrored_interval() -> None:
    influence = error_of(np.random.default_rng(3).exponential(size=30))
    found, mirrored = skewed_interval(1.0, influence, 0.9), skewed_interval(-1.0, -influence, 0.9)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))


@pytest.mark.slow
def test_skewed_means_are_covered_where_plain_t_misses_low() -> None:
    rng = np.random.default_rng(4)
    plain = corrected = 0
    for _ in range(1000):
        values = rng.lognormal(0.0, 1.2, size=60)
        found = skewed_interval(values.mean(), error_of(values), 0.95)
        half = stats.t.ppf(0.975, 59) * stats.sem(values)
        truth = np.exp(0.72)
        plain += abs(values.mean() - truth) <= half
        corrected += found.lower <= truth <= found.upper
    assert plain < 890
    assert corrected > 915


def test_one_contact_is_unbounded_and_a_level_of_95_is_refused() -> None:
    found = skewed_interval(3.0, np.zeros(1), 0.95)
    assert (found.lower, found.upper) == (-np.inf, np.inf)
    with pytest.raises(ShapeError, match=r"95 % as 0\.95"):
        skewed_interval(3.0, np.zeros(4), 95.0)


@pytest.mark.parametrize("value", [2.0, -2.0, 0.4])
def test_p_is_the_level_at_which_the_interval_touches_0(value: float) -> None:
    influence = np.random.default_rng(8).exponential(size=60)
    influence -= influence.mean()
    influence /= 8.0
    p = skewed_p(value, influence)
    found = skewed_interval(value, influence, 1.0 - p)
    near = found.lower if value > 0.0 else found.upper
    assert near == pytest.approx(0.0, abs=1e-9)
    assert p == pytest.approx(skewed_p(-value, -influence))


def test_p_without_skewness_is_that_of_t() -> None:
    influence = np.tile([1.0, -1.0], 50)
    expected = 2.0 * stats.t.sf(1.5, 99)
    assert skewed_p(1.5 * clustered_stderr(influence), influence) == pytest.approx(expected)


def test_p_where_nothing_is_uncertain() -> None:
    assert skewed_p(0.0, np.zeros(9)) == 1.0
    assert skewed_p(1.0, np.zeros(9)) == 0.0
    assert skewed_p(1.0, np.ones(1)) == 1.0
