"""Intervals have the width theory gives them, and the exact one covers as computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import (
    SAME,
    interval_of,
    no_difference,
    paired_difference,
    simultaneous_level,
)
from tests.unit.ope.log_makers import bandit_log, random_distribution, random_log


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


def test_bonferroni_splits_the_error_evenly() -> None:
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ShapeError, match=r"probability in \(0, 1\)"):
        simultaneous_level(level, 2)


def test_a_policy_written_twice_is_no_other_policy() -> None:
    rng = np.random.default_rng(5)
    log = random_log(5, [1] * 200)
    chance = random_distribution(rng, log.mask)[np.arange(200), log.action]
    first, second = ips(log, chance), ips(log, chance * (1.0 + 2e-16 * rng.integers(-1, 2, 200)))
    assert (first.value, first.influence.tolist()) != (second.value, second.influence.tolist())
    found = paired_difference(first, second, 0.9)
    assert found == no_difference(0.9, 200, SAME, found.interval.reason)
    assert found.none
    assert (found.interval.lower, found.interval.upper, found.interval.level) == (0.0, 0.0, 0.9)


def test_a_sure_difference_is_one() -> None:
    log = random_log(6, [1] * 50)
    own = ips(log, log.propensity)
    found = paired_difference(replace(own, value=own.value + 1.0), own, 0.95)
    assert found.value == pytest.approx(1.0)
    assert (found.stderr, found.none) == (0.0, False)
    with pytest.raises(ShapeError, match="a level is a probability"):
        no_difference(95.0, 9, SAME, "")
