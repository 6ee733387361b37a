"""Rare outcomes are told from the rest by all rewards of the log, matched or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.bounds.rare_outcomes import MatchedShare, RareOutcomes, rare_outcomes
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.log import EvaluationLog
from tests.unit.ope.log_makers import bandit_log, random_log


def sale_log(n: int = 40, cost: float = 0.0, cluster: list[int] | None = None) -> EvaluationLog:
    """A coin toss between two actions; rows 0 and 1 sell for 100, row 2 gets a complaint of -80."""
    reward = np.full(n, -cost)
    reward[:3] = [100.0, 100.0, -80.0]
    return bandit_log([0, 1] * (n // 2), [0.5] * n, reward.tolist(), cluster)


def found_in(log: EvaluationLog, taken: list[float] | np.ndarray) -> RareOutcomes:
    found = rare_outcomes(log, np.asarray(taken, dtype=np.float64))
    assert found is not None
    return found


def test_gains_and_losses_are_weighted_and_kept_apart() -> None:
    found = found_in(sale_log(), [0.25, 0.75] * 20)
    assert found.gained[:4].tolist() == pytest.approx([100 * 0.5 / 40, 100 * 1.5 / 40, 0.0, 0.0])
    assert found.lost[:4].tolist() == pytest.approx([0.0, 0.0, 80 * 0.5 / 40, 0.0])
    assert found.matched == 3
    assert found.sparse
    assert found.net == pytest.approx((50.0 + 150.0 - 40.0) / 40.0)
    assert found.effective == pytest.approx(240.0**2 / (50.0**2 + 150.0**2 + 40.0**2))


def test_a_further_outcome_weighs_what_the_target_would_meet() -> None:
    found = found_in(sale_log(), [0.25, 0.75] * 20)
    weight = np.sqrt((0.5**3 + 1.5**3) / (0.5 + 1.5))
    assert found.further_gain == pytest.approx(weight * 100.0 / 40.0)
    assert found.further_loss == pytest.approx(weight * 80.0 / 40.0)


def test_huge_weights_overflow_nothing() -> None:
    log = replace(sale_log(), propensity=np.full(40, 1e-160), logged_probabilities=None)
    found = found_in(log, [0.25, 0.75] * 20)
    plain = found_in(sale_log(), [0.25, 0.75] * 20)
    assert found.further_gain == pytest.approx(plain.further_gain * 0.5e160)
    assert found.effective == pytest.approx(plain.effective)


def test_outcomes_that_no_weight_reaches_still_size_the_next() -> None:
    found = found_in(sale_log(), np.arange(40) == 5)
    assert (found.matched, found.effective, found.net) == (0, 0.0, 0.0)
    assert found.further_gain == pytest.approx(2.0 * 100.0 / 40.0)


def test_influence_is_that_of_importance_weighting_when_all_is_rare() -> None:
    log, taken = sale_log(cluster=[0, 0, 0, *range(1, 38)]), np.array([0.25, 0.75] * 20)
    found = found_in(log, taken)
    estimate = ips(log, taken)
    assert found.net == pytest.approx(estimate.value)
    assert found.influence() == pytest.approx(estimate.influence)
    assert found.episodes[0] == pytest.approx(3 / 40)
    assert found.episodes.sum() == pytest.approx(1.0)


def test_frequent_small_costs_are_no_outcomes() -> None:
    found = found_in(sale_log(cost=0.5), [0.25, 0.75] * 20)
    assert found.matched == 3


def test_rewards_that_no_rare_one_rules_have_no_outcomes() -> None:
    ones = np.full(40, 0.5)
    assert rare_outcomes(replace(sale_log(), reward=np.linspace(1.0, 2.0, 40)), ones) is None
    noisy = replace(sale_log(), reward=np.where(np.arange(40) < 1, 11.0, [2.0, -2.0] * 20))
    assert rare_outcomes(noisy, ones) is None  # 121 of 277 squared


def test_rare_outcomes_must_carry_half_of_the_squares() -> None:
    ruled = replace(sale_log(), reward=np.where(np.arange(40) < 1, 14.0, [2.0, -2.0] * 20))
    assert found_in(ruled, np.full(40, 0.5)).matched == 1  # 196 of 352 squared
    cents = replace(ruled, reward=ruled.reward / 100)
    assert found_in(cents, np.full(40, 0.5)).matched == 1


def test_what_comes_in_every_fifth_episode_is_rare_and_oftener_is_not() -> None:
    # Two decisions an episode, so one in ten of them pays.
    log = replace(random_log(0, [2] * 20), reward=np.where(np.arange(40) % 10 == 0, 9.0, 0.0))
    assert found_in(log, log.propensity).matched == 4
    oftener = replace(log, reward=np.where(np.arange(40) % 8 == 0, 9.0, 0.0))
    assert rare_outcomes(oftener, log.propensity) is None
    twice = replace(log, reward=np.where(np.isin(np.arange(40), [0, 1, 2, 3, 8, 9]), 9.0, 0.0))
    assert found_in(twice, log.propensity).matched == 6


def test_a_difference_weighs_by_the_difference_and_swaps_gains_for_losses() -> None:
    log = sale_log()
    taken, against = np.array([0.25, 0.75] * 20), np.array([0.5, 0.5] * 20)
    found = rare_outcomes(log, taken, against)
    assert found is not None
    # Weights -1/2 and +1/2: the first sale is lost, the second gained, the complaint avoided.
    assert found.gained[:3].tolist() == pytest.approx([0.0, 50 / 40, 40 / 40])
    assert found.lost[:3].tolist() == pytest.approx([50 / 40, 0.0, 0.0])
    assert found.net == pytest.approx(ips(log, taken).value - ips(log, against).value)
    assert found.share is None
    assert found.further_gain == pytest.approx(0.5 * 100 / 40)
    lopsided = rare_outcomes(log, np.array([0.1, 0.9] * 20), np.array([0.7, 0.3] * 20))
    assert lopsided is not None
    # Weights -1.2 and +1.2 alike; without sales only avoided complaints could be gained.
    assert lopsided.further_loss == pytest.approx(1.2 * 100 / 40)


def test_a_loss_alone_sizes_what_a_difference_may_gain() -> None:
    log = replace(sale_log(), reward=np.where(np.arange(40) == 2, -80.0, 0.0))
    found = rare_outcomes(log, np.array([0.0, 0.5] * 20), np.array([0.5, 0.5] * 20))
    assert found is not None
    assert (found.further_gain, found.further_loss) == (80 / 40, 0.0)
    gains = replace(log, reward=-log.reward)
    other = rare_outcomes(gains, np.array([0.0, 0.5] * 20), np.array([0.5, 0.5] * 20))
    assert other is not None
    assert (other.further_gain, other.further_loss) == (0.0, 80 / 40)


def test_steps_are_discounted_and_weighted_up_to_their_outcome() -> None:
    log = replace(random_log(0, [2] * 10, discount=0.5), reward=np.eye(20)[1] * 8.0)
    taken = log.propensity * np.tile([2.0, 0.25], 10).clip(0, 1 / log.propensity)
    found = found_in(log, taken)
    weights = (taken / log.propensity).reshape(10, 2).cumprod(axis=1)[:, 1]
    assert found.net == pytest.approx(8.0 * 0.5 * weights[0] / 10)
    square = (weights**3).sum() / weights.sum()
    assert found.further_gain == pytest.approx(8.0 * 0.5 * np.sqrt(square) / 10)


def test_a_further_outcome_is_sized_by_what_amounts_bring_in() -> None:
    # Sales of 20 and 80: the large one brings four fifths, so that its square counts four times.
    reward = np.where(np.arange(40) == 0, 20.0, np.where(np.arange(40) == 1, 80.0, 0.0))
    log = replace(sale_log(), reward=reward)
    even = found_in(log, np.full(40, 0.5))
    assert even.further_gain == pytest.approx(np.sqrt(0.2 * 20.0**2 + 0.8 * 80.0**2) / 40)
    assert even.further_loss == 0.0
    # Weights 1/2 and 3/2 have mean square (1/8 + 27/8) / 2 under the target.
    uneven = found_in(log, [0.25, 0.75] * 20)
    assert uneven.further_gain == pytest.approx(np.sqrt(1.75) * even.further_gain)


def test_one_weight_and_one_amount_are_an_exact_share() -> None:
    # Weight 2 on the two matched rows, of which one paid 5: V = 2 * 5 * 1/4.
    log = bandit_log([0, 0, 1, 1], [0.5] * 4, [5.0, 0.0, 5.0, 0.0])
    found = found_in(log, [1.0, 1.0, 0.0, 0.0])
    assert found.share == MatchedShare(1, 4, 10.0)
    assert not found.sparse


def test_only_outcomes_that_the_target_matches_are_counted() -> None:
    # Four rows match, one of them paid; of five others two paid.
    log = bandit_log([0] * 4 + [1] * 5, [0.5] * 9, [5.0] + [0.0] * 3 + [5.0] * 2 + [0.0] * 3)
    assert found_in(log, [1.0] * 4 + [0.0] * 5).share == MatchedShare(1, 9, 10.0)


def test_unequal_weights_amounts_contacts_or_steps_are_no_share() -> None:
    even, ones = bandit_log([0, 0], [0.5, 0.5], [5.0, 0.0]), np.ones(2)
    assert found_in(even, ones).share is not None
    assert rare_outcomes(bandit_log([0, 0], [0.5, 0.4], [5.0, 0.0]), ones) is None
    assert rare_outcomes(bandit_log([0, 0], [0.5, 0.5], [5.0, 4.0]), ones) is None
    assert rare_outcomes(bandit_log([0, 0], [0.5, 0.5], [-5.0, 0.0]), ones) is None
    assert rare_outcomes(bandit_log([0, 0], [0.5, 0.5], [0.0, 0.0]), ones) is None
    shared = bandit_log([0, 0], [0.5, 0.5], [5.0, 0.0], cluster=[1, 1])
    assert rare_outcomes(shared, ones) is None
    long = replace(random_log(2, [2, 2]), reward=np.array([5.0, 0.0, 0.0, 0.0]))
    assert rare_outcomes(long, long.propensity) is None
