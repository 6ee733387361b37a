"""Intervals have the width theory gives them, and the exact one covers as computed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import (
    binomial_interval,
    exact_ips_interval,
    interval_of,
    paired_difference,
    simultaneous_level,
)
from tests.unit.ope.log_makers import bandit_log, random_log


def test_interval_of_a_mean_is_the_textbook_t_interval() -> None:
    reward = [1.0, 2.0, 4.0, 9.0]
    log = bandit_log([0] * 4, [0.5] * 4, reward)
    found = interval_of(ips(log, log.propensity), 0.9)
    expected = stats.t.interval(0.9, 3, loc=4.0, scale=stats.sem(reward))
    assert (found.lower, found.upper) == pytest.approx(expected)


def test_one_contact_gives_an_unbounded_interval() -> None:
    log = bandit_log([0, 0], [0.5, 0.5], [1.0, 2.0], cluster=[3, 3])
    found = interval_of(ips(log, log.propensity), 0.95)
    assert (found.lower, found.upper) == (-np.inf, np.inf)


def test_a_policy_differs_from_itself_by_exactly_nothing() -> None:
    log = random_log(0, [2, 3, 1])
    estimate = ips(log, log.propensity)
    found = paired_difference(estimate, estimate, 0.95)
    assert (found.value, found.stderr, found.interval.lower) == (0.0, 0.0, 0.0)


def test_what_two_estimates_share_cancels_in_their_difference() -> None:
    # Rewards 0, 10, 20 against 1, 11, 22: the difference is 4/3 with deviations -1/3, -1/3, 2/3.
    first = bandit_log([0] * 3, [0.5] * 3, [1.0, 11.0, 22.0])
    second = bandit_log([0] * 3, [0.5] * 3, [0.0, 10.0, 20.0])
    found = paired_difference(ips(first, first.propensity), ips(second, second.propensity), 0.95)
    assert found.value == pytest.approx(4 / 3)
    assert found.stderr == pytest.approx(1 / 3)


def test_estimates_on_different_contacts_have_no_paired_difference() -> None:
    one, other = random_log(1, [1, 1]), random_log(1, [1, 1, 1])
    with pytest.raises(ShapeError, match="same contacts, got 2 and 3"):
        paired_difference(ips(one, one.propensity), ips(other, other.propensity), 0.95)


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


def test_only_outcomes_that_the_target_matches_are_counted() -> None:
    # Four rows match, one of them paid; of five others two paid.
    log = bandit_log([0] * 4 + [1] * 5, [0.5] * 9, [5.0] + [0.0] * 3 + [5.0] * 2 + [0.0] * 3)
    found = exact_ips_interval(log, np.array([1.0] * 4 + [0.0] * 5), 0.95)
    assert found == binomial_interval(1, 9, 0.95, scale=10.0)


def test_few_matched_outcomes_of_one_weight_get_the_exact_interval() -> None:
    # Weight 2 on the two matched rows, of which one paid 5: V = 2 * 5 * 1/4.
    log = bandit_log([0, 0, 1, 1], [0.5] * 4, [5.0, 0.0, 5.0, 0.0])
    found = exact_ips_interval(log, np.array([1.0, 1.0, 0.0, 0.0]), 0.95)
    assert found == binomial_interval(1, 4, 0.95, scale=10.0)


def test_unequal_weights_amounts_contacts_or_steps_have_no_exact_interval() -> None:
    even = bandit_log([0, 0], [0.5, 0.5], [5.0, 0.0])
    ones = np.ones(2)
    assert exact_ips_interval(even, ones, 0.95) is not None
    assert exact_ips_interval(bandit_log([0, 0], [0.5, 0.4], [5.0, 0.0]), ones, 0.95) is None
    assert exact_ips_interval(bandit_log([0, 0], [0.5, 0.5], [5.0, 4.0]), ones, 0.95) is None
    shared = bandit_log([0, 0], [0.5, 0.5], [5.0, 0.0], cluster=[1, 1])
    assert exact_ips_interval(shared, ones, 0.95) is None
    long = random_log(2, [2, 2])
    assert exact_ips_interval(long, long.propensity, 0.95) is None


def test_bonferroni_splits_the_error_evenly() -> None:
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ShapeError, match=r"probability in \(0, 1\)"):
        simultaneous_level(level, 2)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ShapeError, match="got 3 of 2"):
        binomial_interval(3, 2, 0.95)
