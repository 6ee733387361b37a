"""Intervals have the width theory gives them, and the exact one covers as computed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.intervals import (
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


def test_bonferroni_splits_the_error_evenly() -> None:
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ShapeError, match=r"probability in \(0, 1\)"):
        simultaneous_level(level, 2)
