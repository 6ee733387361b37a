"""Estimators meet numbers worked by hand, published numbers and each other's limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ProbabilityError, ShapeError
from nurture_rl.ope.estimators import dm, dr, effective_sample_size, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import bandit_log, random_distribution, random_log, two_episodes

FRAUD = bandit_log(
    action=[0, 1, 0, 1, 1, 0],
    propensity=[0.9, 0.9, 0.9, 0.9, 0.1, 0.9],
    reward=[0.0, 20.0, 10.0, 20.0, -20.0, -10.0],
)
FRAUD_TAKEN = np.array([0.1, 0.9, 0.9, 0.9, 0.9, 0.9])


def predicted(seed: int, n_rows: int) -> ValuePredictions:
    rng = np.random.default_rng(seed)
    return ValuePredictions(q_logged=rng.normal(size=n_rows), value=rng.normal(size=n_rows))


def test_published_fraud_log_of_six_rows() -> None:
    assert ips(FRAUD, FRAUD.propensity).value == pytest.approx(10 / 3)
    weighted = ips(FRAUD, FRAUD_TAKEN)
    assert weighted.value == pytest.approx(-23.3333, abs=5e-5)
    assert weighted.ess == pytest.approx(2.022, abs=5e-4)
    assert snips(FRAUD, FRAUD_TAKEN).value == pytest.approx(-10.6780, abs=5e-5)


def test_one_sample_by_hand() -> None:
    log = bandit_log([0], [0.3], [1.0])
    assert ips(log, np.array([0.6])).value == pytest.approx(2.0)
    assert snips(log, np.array([0.6])).value == pytest.approx(1.0)


def test_one_contact_has_no_finite_error() -> None:
    assert ips(bandit_log([0], [0.3], [1.0]), np.array([0.6])).stderr == np.inf


@pytest.mark.parametrize(
    ("taken", "expected_ips"), [([0.0, 1.0, 0.0], 10 / 3), ([0.4, 0.3, 0.7], 7.75)]
)
def test_published_three_row_page_ips(taken: list[float], expected_ips: float) -> None:
    log = bandit_log([0, 0, 0], [0.2, 0.5, 0.4], [4.0, 5.0, 7.0])
    assert ips(log, np.array(taken)).value == pytest.approx(expected_ips)
    assert ips(log, log.propensity).value == pytest.approx(16 / 3)


def test_published_three_row_page_dm_and_dr() -> None:
    log = bandit_log([0, 0, 0], [0.2, 0.5, 0.4], [4.0, 5.0, 7.0])
    model = np.array([1.0, 4.0, 5.0])
    predictions = ValuePredictions(q_logged=model, value=model)
    assert dm(log, predictions).value == pytest.approx(10 / 3)
    assert dr(log, np.array([0.0, 1.0, 0.0]), predictions).value == pytest.approx(4.0)


def test_sequential_ips_by_hand() -> None:
    # ((2*1 + 0.5 * (2*0.5)*4) + 0.5*2) / 2
    assert ips(*two_episodes()).value == pytest.approx(2.5)


def test_sequential_snips_keeps_the_weight_of_an_ended_episode() -> None:
    # (2*1 + 0.5*2) / 2.5 + 0.5 * (1*4) / (1 + 0.5); without the ended episode it would be 3.2
    assert snips(*two_episodes()).value == pytest.approx(1.2 + 4 / 3)


def test_sequential_dr_by_hand() -> None:
    log, taken = two_episodes()
    predictions = ValuePredictions(
        q_logged=np.array([1.0, 3.0, 2.0]), value=np.array([3.0, 2.0, 1.0])
    )
    # D_01 = 2 + 0.5*(4-3) = 2.5; D_00 = 3 + 2*(1 + 0.5*2.5 - 1) = 5.5; D_10 = 1 + 0.5*(2-2) = 1
    assert dr(log, taken, predictions).value == pytest.approx(3.25)
    assert dm(log, predictions).value == pytest.approx(2.0)


def test_target_equal_to_logging_gives_the_sample_mean_and_full_ess() -> None:
    log = random_log(0, [3, 1, 4, 2], discount=1.0)
    returns = np.bincount(log.episode, weights=log.reward)
    for estimate in (ips(log, log.propensity), snips(log, log.propensity)):
        assert estimate.value == pytest.approx(returns.mean())
        assert estimate.stderr == pytest.approx(returns.std(ddof=1) / 2.0)
        assert estimate.ess == pytest.approx(4.0)


@pytest.mark.parametrize("lengths", [[1] * 8, [3, 1, 4, 2]])
def test_a_model_of_zeros_makes_dr_ips(lengths: list[int]) -> None:
    log = random_log(2, lengths)
    taken = random_taken(3, log)
    zeros = ValuePredictions(np.zeros(log.n_rows), np.zeros(log.n_rows))
    one, other = dr(log, taken, zeros), ips(log, taken)
    assert one.value == pytest.approx(other.value)
    assert one.influence == pytest.approx(other.influence)


def test_horizon_one_is_the_bandit_form() -> None:
    log = random_log(4, [1] * 12)
    taken, predictions = random_taken(5, log), predicted(6, 12)
    weight = taken / log.propensity
    assert ips(log, taken).value == pytest.approx((weight * log.reward).mean())
    assert snips(log, taken).value == pytest.approx(np.average(log.reward, weights=weight))
    correction = predictions.value + weight * (log.reward - predictions.q_logged)
    assert dr(log, taken, predictions).value == pytest.approx(correction.mean())


def test_a_perfect_model_leaves_dr_only_the_noise_of_contexts() -> None:
    # Rewards follow the model exactly, so every episode's DR value is its model value.
    log = random_log(7, [1] * 12)
    predictions = replace(predicted(8, 12), q_logged=log.reward)
    assert dr(log, random_taken(9, log), predictions).influence == pytest.approx(
        dm(log, predictions).influence
    )


def test_snips_knows_a_constant_reward_exactly() -> None:
    log = replace(random_log(10, [1] * 20), reward=np.full(20, 3.0))
    estimate = snips(log, random_taken(11, log))
    assert estimate.value == pytest.approx(3.0)
    assert estimate.stderr == pytest.approx(0.0, abs=1e-12)


def test_snips_influence_is_the_derivative_of_its_value() -> None:
    # Give one episode a little more weight: copies of all others shrink its share.
    log = random_log(12, [2, 1, 3, 2, 2])
    taken = random_taken(13, log)
    copies, rows = 4000, np.arange(log.n_rows)
    many = np.tile(rows, copies)
    more = np.append(many, rows[log.episode == 2])
    heavier = rows_of(log, more)
    gain = snips(heavier, taken[more]).value - snips(log, taken).value
    slope = snips(log, taken).influence[2] / copies
    assert gain == pytest.approx(slope, rel=2e-3)


def test_errors_are_summed_inside_a_contact() -> None:
    # Contact totals of deviations from mean 2: (-1 - 1), (+1 + 1); over 4 episodes: -+ 1/2.
    log = bandit_log([0] * 4, [0.5] * 4, [1.0, 1.0, 3.0, 3.0], cluster=[5, 5, 9, 9])
    estimate = ips(log, log.propensity)
    assert estimate.influence == pytest.approx([-0.5, 0.5])
    assert estimate.stderr == pytest.approx(np.sqrt(2 / 1 * 0.5))
    assert estimate.n_clusters == 2


def test_effective_sample_size_of_huge_weights_stays_finite() -> None:
    assert effective_sample_size(np.array([1e200, 1e200, 0.0])) == pytest.approx(2.0)
    assert effective_sample_size(np.zeros(3)) == 0.0


def test_no_overlap_is_refused_with_the_reason() -> None:
    with pytest.raises(OverlapError, match="all 6 importance weights are 0 from decision 0"):
        snips(FRAUD, np.zeros(6))


def test_weights_beyond_floating_point_are_refused() -> None:
    log = replace(random_log(14, [60, 60]), propensity=np.full(120, 1e-6))
    with pytest.raises(OverlapError, match="exceed floating point"):
        ips(log, np.ones(120))


def test_logarithms_are_no_probabilities() -> None:
    with pytest.raises(ProbabilityError, match="not their logarithms"):
        ips(FRAUD, np.log(FRAUD_TAKEN))


def test_one_probability_per_decision_is_required() -> None:
    with pytest.raises(ShapeError, match=r"taken must be \[6\]"):
        ips(FRAUD, np.ones(5))


def random_taken(seed: int, log: EvaluationLog) -> FloatArray:
    target = random_distribution(np.random.default_rng(seed), log.mask)
    return np.asarray(target[np.arange(log.n_rows), log.action])


def rows_of(log: EvaluationLog, rows: IntArray) -> EvaluationLog:
    """A log of the given rows in which every fall of the step begins a new contact."""
    step = log.step[rows]
    episode = np.cumsum(np.append(False, step[1:] <= step[:-1]))
    logged = log.logged_probabilities
    return replace(
        log,
        features=log.features[rows],
        mask=log.mask[rows],
        action=log.action[rows],
        propensity=log.propensity[rows],
        logged_probabilities=None if logged is None else logged[rows],
        reward=log.reward[rows],
        episode=episode,
        step=step,
        cluster=np.arange(episode[-1] + 1),
        terminal=log.terminal[rows],
    )
