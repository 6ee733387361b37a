"""Quantiles, tails and distributions of the return meet hand calculation and exact limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.appraisal.risk.return_distribution import (
    TailConfig,
    TailRisk,
    episode_returns,
    tail_risk,
)
from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import EvaluationLog, FloatArray, take_episodes
from tests.unit.ope.log_makers import bandit_log, random_log


def even(rewards: list[float], cluster: list[int] | None = None) -> EvaluationLog:
    n = len(rewards)
    return bandit_log([0] * n, [0.5] * n, rewards, cluster)


def told(log: EvaluationLog, taken: FloatArray, **settings: float) -> TailRisk:
    config = TailConfig(
        shares=(settings.get("share", 0.5),),
        tail=settings.get("tail", 0.5),
        level=settings.get("level", 0.9),
    )
    return tail_risk(log, taken, config)


def test_a_return_is_the_discounted_sum_of_its_episode() -> None:
    log = random_log(0, [2, 1, 3], discount=0.5)
    r = log.reward
    assert episode_returns(log) == pytest.approx(
        [r[0] + 0.5 * r[1], r[2], r[3] + 0.5 * r[4] + 0.25 * r[5]]
    )


def test_distribution_by_hand() -> None:
    # Weights 2, 1, 1 on returns 3, 1, 3; W = 4.
    log = bandit_log([0, 0, 0], [0.25, 0.5, 0.5], [3.0, 1.0, 3.0])
    found = told(log, np.full(3, 0.5)).distribution
    assert found.returns.tolist() == [1.0, 3.0]
    assert found.cdf.tolist() == [0.25, 1.0]
    # At 1: residuals 2 (0 - 1/4), 1 (1 - 1/4), 1 (0 - 1/4); 3/2 * (0.25 + 0.5625 + 0.0625) / 16.
    assert found.stderr == pytest.approx([np.sqrt(1.5 * 0.875 / 16.0), 0.0])


def test_error_of_an_even_distribution_is_the_binomial_one() -> None:
    log = even([1.0, 2.0, 3.0, 4.0, 5.0])
    found = told(log, log.propensity).distribution
    assert found.stderr == pytest.approx(np.sqrt(found.cdf * (1.0 - found.cdf) / 4.0))


def test_a_contact_errs_with_all_of_its_weight() -> None:
    # Contact 0 has weights 2 and 1 on returns 1 and 2, contact 1 weight 1 on 3; W = 4.
    log = bandit_log([0] * 3, [0.25, 0.5, 0.5], [1.0, 2.0, 3.0], cluster=[0, 0, 1])
    found = told(log, np.full(3, 0.5)).distribution
    # F = 1/2: 2 - 3/2 and 0 - 1/2; F = 3/4: 3 - 9/4 and 0 - 3/4.
    assert found.stderr == pytest.approx([np.sqrt(2 * 0.5) / 4, np.sqrt(2 * 1.125) / 4, 0.0])


def test_a_whole_episodes_weight_counts_for_its_discounted_return() -> None:
    log = random_log(1, [2, 1, 3], discount=0.5)
    taken = np.linspace(0.1, 0.6, 6)
    ratio = taken / log.propensity
    weights = np.array([ratio[0] * ratio[1], ratio[2], ratio[3] * ratio[4] * ratio[5]])
    returns = episode_returns(log)
    order = np.argsort(returns)
    found = told(log, taken).distribution
    assert found.returns == pytest.approx(returns[order])
    assert found.cdf == pytest.approx(np.cumsum(weights[order]) / weights.sum())


def test_the_median_of_ten_with_its_interval_by_hand() -> None:
    # (k/10 - 1/2) / sqrt(10/9 * 2.5 / 100) within -+ t(9) = 1.833 holds for k = 2..8: the median
    # is no less than the second, and no more than the ninth.
    log = even([float(k) for k in range(10, 0, -1)])
    (median,) = told(log, log.propensity).quantiles
    assert (median.value, median.interval.lower, median.interval.upper) == (5.0, 2.0, 9.0)


def test_a_quantile_whose_tail_was_hardly_seen_is_unbounded_on_that_side() -> None:
    # Of k = 5 the score is 0.4 / sqrt(10/9 * 4.1 / 100) = 1.874 > 1.833, of k = 4 it is 1.567.
    log = even([float(k) for k in range(1, 11)])
    (low,) = told(log, log.propensity, share=0.1).quantiles
    assert (low.value, low.interval.lower, low.interval.upper) == (1.0, -np.inf, 5.0)
    (high,) = told(log, log.propensity, share=0.9).quantiles
    assert (high.value, high.interval.upper) == (9.0, np.inf)


def test_two_like_episodes_of_a_contact_are_one() -> None:
    rewards = [4.0, 1.0, 7.0, 2.0, 9.0, 3.0]
    once, twice = even(rewards), even(rewards * 2, cluster=[*range(6), *range(6)])
    one, both = told(once, once.propensity), told(twice, twice.propensity)
    assert both.distribution.stderr == pytest.approx(one.distribution.stderr)
    assert both.quantiles == one.quantiles
    assert both.cvar.stderr == pytest.approx(one.cvar.stderr)
    apart = told(replace(twice, cluster=np.arange(12)), twice.propensity)
    assert apart.distribution.stderr[0] < 0.8 * one.distribution.stderr[0]


def test_the_mean_of_the_worst_by_hand() -> None:
    log = even([4.0, 1.0, 3.0, 2.0])
    half = told(log, log.propensity).cvar
    # The worst two of 1, 2, 3, 4; as a mean of 2 - max(2 - G, 0) / 0.5: 2, 0, 2, 2.
    assert half.value == pytest.approx(1.5)
    assert half.stderr == pytest.approx(0.5)
    assert half.influence == pytest.approx(np.array([0.5, -1.5, 0.5, 0.5]) / 4.0)
    assert half.ess == pytest.approx(4.0)
    # 0.25 of 1 and 0.05 of 2 in a worst share of 0.3.
    third = told(log, log.propensity, tail=0.3).cvar
    assert third.value == pytest.approx((0.25 * 1.0 + 0.05 * 2.0) / 0.3)


def test_the_worst_episodes_are_the_targets_not_the_logs() -> None:
    log = bandit_log([0, 0, 1, 1, 1, 1], [0.5] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    found = told(log, np.array([0.0, 0.0, 0.5, 0.5, 0.5, 0.5]))
    assert found.cvar.value == pytest.approx(3.5)
    assert found.tail_ess == pytest.approx(2.0)
    assert found.cvar_interval.lower < 3.5 < found.cvar_interval.upper


def test_influence_of_the_tail_is_the_derivative_of_its_value() -> None:
    log = random_log(2, [1] * 9)
    taken = np.linspace(0.1, 0.6, 9)
    copies = 4000
    heavier = np.append(np.tile(np.arange(9), copies), 4)
    more = take_episodes(log, heavier)
    more = replace(more, cluster=np.arange(heavier.size))
    gain = told(more, taken[heavier], tail=0.4).cvar.value - told(log, taken, tail=0.4).cvar.value
    slope = told(log, taken, tail=0.4).cvar.influence[4] / copies
    assert gain == pytest.approx(slope, rel=5e-3)


def test_one_contact_bounds_nothing() -> None:
    log = even([1.0, 2.0], cluster=[3, 3])
    found = told(log, log.propensity)
    assert found.distribution.stderr.tolist() == [np.inf, np.inf]
    assert found.quantiles[0].interval.lower == -np.inf
    assert found.quantiles[0].interval.upper == np.inf


def test_two_contacts_have_an_error() -> None:
    log = even([1.0, 2.0])
    found = told(log, log.propensity)
    assert found.distribution.stderr == pytest.approx([0.5, 0.0])


def test_all_of_a_target_outside_the_log_is_refused() -> None:
    log = even([1.0, 2.0])
    with pytest.raises(OverlapError, match="all 2 episodes have weight 0"):
        told(log, np.zeros(2))


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"tail": 5.0}, {"level": 95.0}])
def test_percent_in_place_of_shares_is_refused(wrong: dict[str, float]) -> None:
    log = even([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"must lie in \(0, 1\)"):
        told(log, log.propensity, **wrong)


def test_the_mean_over_the_distribution_is_the_value_where_weights_average_to_1() -> None:
    log = random_log(11, [1] * 12)
    found = told(log, log.propensity).distribution
    mean = found.returns @ np.diff(np.append(0.0, found.cdf))
    assert mean == pytest.approx(ips(log, log.propensity).value)
