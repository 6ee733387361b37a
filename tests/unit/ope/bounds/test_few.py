"""Intervals of few outcomes are exact where theory has them, and join as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.few import Component, binomial_interval, sum_of_parts, weighted_poisson


@pytest.mark.parametrize(("trials", "coverage"), [(1_000, 0.981), (10_000, 0.976)])
def test_exact_interval_covers_a_rare_share_as_computed(trials: int, coverage: float) -> None:
    share = 0.001
    counts = np.arange(stats.binom.ppf(1 - 1e-9, trials, share) + 1).astype(int)
    covers = [
        found.lower <= share <= found.upper
        for found in (binomial_interval(int(k), trials, 0.95) for k in counts)
    ]
    total = stats.binom.pmf(counts, trials, share) @ np.array(covers)
    assert total == pytest.approx(coverage, abs=6e-4)


def test_exact_interval_at_no_and_full_success() -> None:
    assert binomial_interval(0, 10, 0.95).upper == pytest.approx(1 - 0.025**0.1)
    assert binomial_interval(0, 10, 0.95).lower == 0.0
    assert binomial_interval(10, 10, 0.95, scale=2.0).lower == pytest.approx(2 * 0.025**0.1)
    assert binomial_interval(10, 10, 0.95, scale=2.0).upper == 2.0


def test_exact_interval_of_three_in_ten_is_the_tabled_one() -> None:
    found = binomial_interval(3, 10, 0.95)
    assert (found.lower, found.upper) == pytest.approx((0.0667395, 0.6524529), abs=5e-8)


@pytest.mark.parametrize(("successes", "trials", "scale"), [(3, 2, 1.0), (-1, 2, 1.0), (0, 0, 1.0)])
def test_impossible_counts_are_refused(successes: int, trials: int, scale: float) -> None:
    with pytest.raises(ShapeError, match=f"got {successes} of {trials}"):
        binomial_interval(successes, trials, 0.95, scale)
    with pytest.raises(ShapeError, match="times -1"):
        binomial_interval(1, 2, 0.95, -1.0)
    assert binomial_interval(1, 1, 0.95, 0.0).upper == 0.0


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_outcomes_of_one_weight_have_the_exact_poisson_interval(level: float) -> None:
    tail = (1 - level) / 2
    found = weighted_poisson(np.full(7, 3.0), 3.0, level)
    assert found.value == 21.0
    assert found.lower == pytest.approx(3.0 * stats.chi2.ppf(tail, 14) / 2)
    assert found.upper == pytest.approx(3.0 * stats.chi2.ppf(1 - tail, 16) / 2)


def test_unequal_weights_have_the_gamma_interval() -> None:
    # y = 6, v = 14; with a further outcome of 4: y = 10, v = 30.
    found = weighted_poisson(np.array([1.0, 2.0, 3.0, 0.0]), 4.0, 0.95)
    assert found.lower == pytest.approx(stats.gamma.ppf(0.025, 36 / 14, scale=14 / 6))
    assert found.upper == pytest.approx(stats.gamma.ppf(0.975, 100 / 30, scale=3.0))


def test_weights_of_any_size_have_one_interval() -> None:
    totals = np.array([1.0, 2.0, 3.0])
    plain, huge = weighted_poisson(totals, 4.0, 0.95), weighted_poisson(totals * 1e200, 4e200, 0.95)
    assert huge.lower == pytest.approx(1e200 * plain.lower)
    assert huge.upper == pytest.approx(1e200 * plain.upper)
    heavy = weighted_poisson(totals, 0.0, 0.95)
    assert heavy.upper == pytest.approx(stats.gamma.ppf(0.975, 36 / 14, scale=14 / 6))


def test_no_outcome_bounds_the_value_by_what_could_have_come() -> None:
    found = weighted_poisson(np.zeros(9), 2.0, 0.95)
    assert (found.value, found.lower) == (0.0, 0.0)
    assert found.upper == pytest.approx(-2.0 * np.log(0.025))
    nothing = weighted_poisson(np.zeros(0), 0.0, 0.95)
    assert (nothing.value, nothing.lower, nothing.upper) == (0.0, 0.0, 0.0)


def test_mixed_weights_are_covered_by_the_weighted_interval() -> None:
    rng = np.random.default_rng(0)
    weights = rng.permutation(np.repeat([1.0, 4.0], 500))
    rate, hits = 0.02, 0
    further = np.sqrt((weights**3).sum() / weights.sum())
    for _ in range(2000):
        found = weighted_poisson(weights * rng.poisson(rate, 1000), further, 0.95)
        hits += found.lower <= rate * weights.sum() <= found.upper
    assert hits >= 1890  # 0.945


@pytest.mark.parametrize(("totals", "further"), [([-1.0, 2.0], 3.0), ([1.0, 2.0], -3.0)])
def test_losses_among_gains_are_refused(totals: list[float], further: float) -> None:
    with pytest.raises(ShapeError, match="give gains and losses apart"):
        weighted_poisson(np.array(totals), further, 0.95)


def test_parts_join_by_the_distances_that_pull_the_sum() -> None:
    gained, lost, rest = (
        Component(10.0, 7.0, 16.0),
        Component(2.0, 1.0, 6.0),
        Component(-3.0, -15.0, -1.0),
    )
    found = sum_of_parts(gained, lost, rest)
    assert found.value == 5.0
    assert found.lower == pytest.approx(5.0 - 13.0)  # 3, 4 and 12 down
    assert found.upper == pytest.approx(5.0 + np.sqrt(36 + 1 + 4))


def test_normal_parts_join_to_the_normal_interval_of_the_sum() -> None:
    known = Component(1.0, 1.0, 1.0)
    found = sum_of_parts(Component(5.0, 2.0, 8.0), known, Component(0.0, -4.0, 4.0))
    assert (found.lower, found.upper) == (-1.0, 9.0)
