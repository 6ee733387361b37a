"""Bounds on rare events hold where nothing was seen, and are exact where weights are equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.appraisal.risk.harm import harm_bound
from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import bandit_log, random_log


def sends(n: int, propensity: float = 0.5, cluster: list[int] | None = None) -> EvaluationLog:
    return bandit_log([0] * n, [propensity] * n, [0.0] * n, cluster)


def marked(n: int, *places: int) -> np.ndarray:
    events = np.zeros(n)
    events[list(places)] = 1.0
    return events


def test_no_event_in_a_thousand_leaves_about_three() -> None:
    log = sends(1000)
    found = harm_bound(log, log.propensity, np.zeros(1000), 0.95)
    assert found.method == "clopper-pearson"
    assert found.rate == 0.0
    assert found.upper == pytest.approx(1.0 - 0.05**0.001)
    assert found.upper == pytest.approx(3.0 / 1000, rel=0.01)


def test_no_event_leaves_three_of_the_largest_weight() -> None:
    # Weights 1 and 2: -2 log 0.05 / 100.
    log = replace(sends(100), propensity=np.tile([0.5, 0.25], 50))
    found = harm_bound(log, np.full(100, 0.5), np.zeros(100), 0.95)
    assert (found.method, found.largest_weight, found.observed) == ("gamma", 2.0, 0)
    assert found.upper == pytest.approx(-2.0 * np.log(0.05) / 100)


def test_equal_weights_of_single_events_give_the_exact_bound() -> None:
    # Two of the 20 rows that match carry an event, weight 2, in 100 episodes.
    taken = np.where(np.arange(100) < 20, 1.0, 0.0)
    found = harm_bound(sends(100), taken, marked(100, 3, 4, 50), 0.9)
    assert found.method == "clopper-pearson"
    assert found.rate == pytest.approx(2.0 * 2 / 100)
    assert found.upper == pytest.approx(2.0 * stats.beta.ppf(0.9, 3, 98))
    assert (found.observed, found.exposure) == (2, 100.0)


def test_an_event_everywhere_has_the_whole_as_its_bound() -> None:
    log = sends(5)
    assert harm_bound(log, log.propensity, np.ones(5), 0.95).upper == 1.0


def test_equal_weights_of_several_contacts_give_the_exact_poisson_bound() -> None:
    # Two episodes a contact: no binomial; three contacts with one event each of weight 2.
    log = sends(40, cluster=[k // 2 for k in range(40)])
    found = harm_bound(log, np.ones(40), marked(40, 0, 2, 4), 0.95)
    assert found.method == "gamma"
    assert found.upper == pytest.approx(2.0 * stats.chi2.ppf(0.95, 8) / 2.0 / 40)


def test_unequal_weights_by_hand() -> None:
    # Z = 1 and 3, m = 3: y + m = 7, v + m^2 = 19.
    log = replace(sends(50), propensity=np.where(np.arange(50) < 25, 0.9, 0.3))
    found = harm_bound(log, np.full(50, 0.9), marked(50, 0, 30), 0.95)
    assert found.rate == pytest.approx(4.0 / 50)
    expected = stats.gamma.ppf(0.95, 49.0 / 19.0, scale=19.0 / 7.0) / 50
    assert found.upper == pytest.approx(expected)


def test_several_events_of_a_contact_are_one_large_one() -> None:
    log = sends(50, cluster=[0, 0, 0, *range(1, 48)])
    found = harm_bound(log, log.propensity, marked(50, 0, 1, 2), 0.95)
    # Z = 3 = m: y + m = 6, v + m^2 = 18.
    assert found.upper == pytest.approx(stats.gamma.ppf(0.95, 2.0, scale=3.0) / 50)
    assert found.observed == 1


def test_two_events_of_an_episode_are_no_share() -> None:
    log = sends(50)
    events = 2.0 * marked(50, 7)
    found = harm_bound(log, log.propensity, events, 0.95)
    assert found.method == "gamma"
    assert found.rate == pytest.approx(2.0 / 50)
    long = random_log(0, [2] * 20)
    paired = np.zeros(40)
    paired[:2] = 1.0
    assert harm_bound(long, long.propensity, paired, 0.95).method == "gamma"
    paired[1] = 0.0
    assert harm_bound(long, long.propensity, paired, 0.95).method == "clopper-pearson"


def test_part_of_an_event_is_no_share() -> None:
    log = sends(50)
    assert harm_bound(log, log.propensity, 0.5 * marked(50, 7), 0.95).method == "gamma"


def test_an_event_has_the_weight_of_the_episode_so_far() -> None:
    log = replace(random_log(1, [2] * 20), propensity=np.tile([0.5, 0.25], 20))
    found = harm_bound(log, np.full(40, 0.5), marked(40, 0, 3), 0.95)
    # Weight 1 at the first decision, 1 * 2 at the second.
    assert found.rate == pytest.approx((1.0 + 2.0) / 20)
    assert found.largest_weight == 2.0


def test_a_rate_per_send_divides_by_what_the_target_sends_at_least() -> None:
    # Weighted sends per episode 1, 0, 1, 0, ... : mean 1/2 with error 0.5 / sqrt(99).
    log = sends(100)
    exposure = np.tile([1.0, 0.0], 50)
    found = harm_bound(log, log.propensity, marked(100, 0), 0.95, exposure)
    assert found.exposure == 50.0
    assert found.rate == pytest.approx(1 / 50)
    counted = 100 * stats.beta.isf(0.05 * 0.9, 2, 99)
    least = 50.0 - stats.t.isf(0.05 * 0.1, 99) * 0.5 / np.sqrt(99) * 100
    assert found.upper == pytest.approx(counted / least)


def test_exposure_that_may_be_nothing_bounds_nothing() -> None:
    log = sends(20)
    found = harm_bound(log, log.propensity, np.zeros(20), 0.95, np.zeros(20))
    assert np.isnan(found.rate)
    assert found.upper == np.inf
    one = sends(2, cluster=[4, 4])
    assert harm_bound(one, one.propensity, np.zeros(2), 0.95, np.ones(2)).upper == np.inf
    two = sends(2)
    assert harm_bound(two, two.propensity, np.zeros(2), 0.95, np.ones(2)).upper < 2.0


def test_what_the_target_never_does_cannot_be_bounded() -> None:
    with pytest.raises(OverlapError, match="all 3 decisions have weight 0"):
        harm_bound(sends(3), np.zeros(3), np.zeros(3), 0.95)


@pytest.mark.parametrize("wrong", [np.zeros(2), -np.ones(3), np.full(3, np.inf)])
def test_counts_below_0_or_of_another_log_are_refused(wrong: np.ndarray) -> None:
    log = sends(3)
    with pytest.raises(ShapeError, match="events must be one number >= 0 for each of 3"):
        harm_bound(log, log.propensity, wrong, 0.95)
    with pytest.raises(ShapeError, match="exposure must be one number"):
        harm_bound(log, log.propensity, np.zeros(3), 0.95, wrong)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    log = sends(3)
    with pytest.raises(ShapeError, match=r"write 95 % as 0\.95"):
        harm_bound(log, log.propensity, np.zeros(3), level)
