"""The log-rank test by hand, and its rate of false alarms where accounts act alike."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.predictions.clustered_log_rank import LogRank, clustered_log_rank


def held(came: np.ndarray, group: np.ndarray, cluster: np.ndarray) -> LogRank:
    """Everybody is at risk on one day, on which some come."""
    n = len(group)
    days = (np.full(n, -1.0), np.where(came, 0.5, 9.0))
    return clustered_log_rank(days, came, group, cluster)


def test_one_day_is_a_table_of_four() -> None:
    came = np.repeat([True, False, True, False], [12, 28, 4, 36])
    found = held(came, np.repeat([1, 0], 40), np.arange(80))
    assert found.score == pytest.approx([-4.0, 4.0])
    variance = 16 * 0.25 * 64 / 79  # hypergeometric
    assert found.variance == pytest.approx(np.array([[1, -1], [-1, 1]]) * variance)
    assert found.robust == pytest.approx(found.variance)  # nobody shares an account
    assert found.p == pytest.approx(0.0291, abs=1e-4)  # t = 4 / sqrt(variance), 79


def test_accounts_that_come_as_one_are_one_witness() -> None:
    came = np.repeat([True, False, True, False], [12, 28, 4, 36])
    group, cluster = np.repeat([1, 0], 40), np.repeat(np.arange(20), 4)
    found = held(came, group, cluster)
    assert found.robust[0, 0] > 3.5 * found.variance[0, 0]
    assert found.p > 0.25
    assert found.clusters == 20


def test_nobody_at_risk_and_one_account_tell_nothing() -> None:
    came, group = np.array([True, False]), np.array([0, 1])
    assert held(came, group, np.zeros(2, int)).p == 1.0
    assert clustered_log_rank((came * 0.0 + 9.0, came * 1.0), came, group, group).p == 1.0


def test_without_a_single_case_the_error_is_that_of_what_might_have_been() -> None:
    """Nobody of a small group came: sums over accounts alone would call this sure."""
    came = np.zeros(1000, bool)
    came[:30] = True
    group = (np.arange(1000) >= 900).astype(int)
    found = held(came, group, np.arange(1000))
    assert found.robust[1, 1] < 0.3 * found.variance[1, 1]
    assert found.p > 0.05


@pytest.mark.parametrize("groups", [2, 4])
def test_false_alarms_are_as_rare_as_they_are_said_to_be(groups: int) -> None:
    """Thirty accounts of ten, each in one group, with a rate of its own."""
    rng, alarms, naive = np.random.default_rng(groups), 0, 0
    for _ in range(400):
        cluster = np.arange(30).repeat(10)
        rate = rng.gamma(1.0, 0.05, 30)[cluster]
        when = rng.exponential(1.0 / rate)
        watched = rng.uniform(5.0, 20.0, 300)
        days = (np.full(300, -1.0), np.minimum(when, watched))
        group = rng.permutation(np.arange(30) % groups)[cluster]
        alarms += clustered_log_rank(days, when <= watched, group, cluster).p < 0.05
        naive += clustered_log_rank(days, when <= watched, group, np.arange(300)).p < 0.05
    assert alarms <= 37  # 20 expected, four standard deviations above
    assert naive > 80
