"""Bounds under hidden confounding: against linear programmes, closed forms and a planted cause."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize

from nurture_rl.errors import NurtureError
from nurture_rl.ope.bounds.hidden_confounding import (
    EACH,
    GAMMAS,
    ONE,
    bounded_value,
    hidden_confounding,
    weight_factors,
)
from nurture_rl.ope.estimators import as_panel, cumulative_weights, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start
from tests.unit.ope.log_makers import bandit_log, random_distribution, random_log


def a_log(seed: int, episodes: int, decisions: int) -> tuple[EvaluationLog, FloatArray]:
    """A log with some episodes cut short, and a target's chances of its actions."""
    rng = np.random.default_rng(seed)
    lengths = [decisions - int(rng.random() < 0.2) for _ in range(episodes)]
    log = random_log(seed, lengths)
    target = random_distribution(rng, log.mask)
    return log, target[np.arange(log.n_rows), log.action]


def by_linear_programme(low: FloatArray, high: FloatArray, gain: FloatArray, sign: float) -> float:
    """max or min of sum w gain / sum w over a box, as Charnes and Cooper make it linear."""
    n = len(gain)
    # Variables v = s w and s > 0, with sum v = 1 and s low <= v <= s high.
    above = np.hstack([np.eye(n), -high[:, None]])
    below = np.hstack([-np.eye(n), low[:, None]])
    found = optimize.linprog(
        np.append(-sign * gain, 0.0),
        A_ub=np.vstack([above, below]),
        b_ub=np.zeros(2 * n),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0.0, None)] * (n + 1),
    )
    assert found.success
    return float(-sign * found.fun)


@pytest.mark.parametrize("spread", [EACH, ONE])
@pytest.mark.parametrize("gamma", [1.3, 2.0, 5.0])
def test_each_step_is_what_a_linear_programme_finds(gamma: float, spread: str) -> None:
    for seed in range(5):
        log, taken = a_log(seed, 9, 3)
        low, high = weight_factors(log, gamma, spread)
        weights = cumulative_weights(log, taken)
        bottom, top = weights * low, weights * high
        gains = as_panel(log, discount_from_start(log) * log.reward, 0.0)
        for most, sign in ((False, -1.0), (True, 1.0)):
            expected = sum(
                by_linear_programme(bottom[:, t], top[:, t], gains[:, t], sign)
                for t in range(gains.shape[1])
            )
            found = bounded_value(log, taken, gamma, spread, most)
            assert found.value == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_two_people_and_a_coin_by_hand() -> None:
    # e = 1/2, so 1/e* lies in [1 + 1/2, 1 + 2] at gamma 2; outcomes 1 and 0, both mailed.
    log = bandit_log(action=[1, 1], propensity=[0.5, 0.5], reward=[1.0, 0.0])
    taken = np.ones(2)
    assert bounded_value(log, taken, 2.0, EACH, most=True).value == pytest.approx(3.0 / 4.5)
    assert bounded_value(log, taken, 2.0, EACH, most=False).value == pytest.approx(1.5 / 4.5)


def test_gamma_of_one_is_the_plain_estimate_to_the_bit() -> None:
    for seed in range(20):
        log, taken = a_log(seed, 40, 4)
        plain = snips(log, taken)
        for most in (False, True):
            for spread in (EACH, ONE):
                found = bounded_value(log, taken, 1.0, spread, most)
                assert found.value == plain.value
                assert found.stderr == plain.stderr
                np.testing.assert_array_equal(found.influence, plain.influence)


def test_a_forced_decision_hides_nothing() -> None:
    log, taken = a_log(3, 30, 3)
    forced = replace(log, propensity=np.ones(log.n_rows), logged_probabilities=None)
    plain = snips(forced, taken).value
    assert bounded_value(forced, taken, 3.0, EACH, most=True).value == pytest.approx(plain)


def test_bounds_widen_with_gamma_and_one_decision_hides_less_than_each() -> None:
    log, taken = a_log(4, 60, 5)
    each, one = (hidden_confounding(log, taken, 0.95, spread) for spread in (EACH, ONE))
    for found in (each, one):
        for narrow, wide in zip(found.bounds, found.bounds[1:], strict=False):
            assert wide.least < narrow.least <= narrow.most < wide.most
            assert wide.interval.lower < narrow.interval.lower
            assert wide.interval.upper > narrow.interval.upper
    for inner, outer in zip(one.bounds[1:], each.bounds[1:], strict=False):
        assert outer.least < inner.least
        assert inner.most < outer.most


def test_what_is_hidden_in_one_decision_stays_within_the_bound_for_one() -> None:
    rng = np.random.default_rng(5)
    log, taken = a_log(5, 25, 4)
    gamma = 2.5
    least, most = (bounded_value(log, taken, gamma, ONE, m).value for m in (False, True))
    reached = []
    for _ in range(300):
        which = rng.integers(0, 4, log.n_episodes)
        odds = gamma ** rng.choice([-1.0, 1.0], log.n_rows)
        hit = log.step == which[log.episode]
        chance = np.where(hit, true_chance(log.propensity, odds), log.propensity)
        true = replace(log, propensity=chance, logged_probabilities=None)
        reached.append(snips(true, taken).value)
    assert least <= min(reached)
    assert max(reached) <= most
    assert max(reached) - min(reached) > 0.2 * (most - least)


def true_chance(chance: FloatArray, odds: FloatArray) -> FloatArray:
    """The chance whose odds are so many times those of another."""
    return np.asarray(odds * chance / (1.0 - chance + odds * chance))


def confounded(rng: np.random.Generator, gamma: float, n: int) -> tuple[EvaluationLog, float]:
    """A log in which a hidden trait moves mailing by odds of gamma, and the outcome; the truth."""
    e = 0.4
    high, low = true_chance(np.array([e, e]), np.array([gamma, 1.0 / gamma]))
    share = 0.5 if gamma == 1.0 else (e - low) / (high - low)  # so that the marginal chance is e
    trait = rng.random(n) < share
    mailed = rng.random(n) < np.where(trait, high, low)
    worth = np.where(trait, 0.7, 0.2)  # whether mailed or not: mail does nothing
    reward = (rng.random(n) < worth).astype(float)
    truth = float(share * 0.7 + (1.0 - share) * 0.2)
    told = np.where(mailed, e, 1.0 - e)
    log = bandit_log(mailed.astype(int).tolist(), told.tolist(), reward.tolist())
    return log, truth


def coverage(gamma: float, at: float, runs: int) -> float:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(runs):
        log, truth = confounded(rng, gamma, 800)
        ends: list[FloatArray | float] = []
        taken = (log.action == 1).astype(float)
        for most in (False, True):
            found = bounded_value(log, taken, at, EACH, most)
            ends.append(found.value + (1.96 if most else -1.96) * found.stderr)
        hits += bool(ends[0] <= truth <= ends[1])
    return hits / runs


def test_the_bound_at_the_planted_gamma_holds_the_truth_that_the_plain_interval_misses() -> None:
    assert coverage(gamma=2.0, at=1.0, runs=200) < 0.2
    assert coverage(gamma=2.0, at=2.0, runs=200) >= 0.95


def test_without_a_hidden_cause_the_plain_interval_holds_as_stated() -> None:
    covered = coverage(gamma=1.0, at=1.0, runs=400)
    assert 0.917 <= covered <= 0.983  # 0.95, three binomial standard deviations


def test_the_sign_of_a_lift_is_lost_where_its_bound_reaches_the_logged_programme() -> None:
    log, _ = confounded(np.random.default_rng(8), 2.0, 4000)
    taken = (log.action == 1).astype(float)
    found = hidden_confounding(log, taken, 0.95)
    assert found.undone_at is not None
    assert 1.0 < found.undone_at < 2.0
    logged = log.reward.mean()
    at = bounded_value(log, taken, found.undone_at, EACH, most=False)
    assert found.lift > 0.0
    assert abs(at.value - logged) < 2.5 * at.stderr


def test_no_sign_is_nothing_to_lose() -> None:
    log, _ = confounded(np.random.default_rng(9), 1.0, 200)
    assert hidden_confounding(log, log.propensity, 0.95).undone_at == 1.0


def test_over_many_decisions_a_bound_that_says_nothing_is_refused() -> None:
    log, taken = a_log(5, 50, 30)
    each, one = (hidden_confounding(log, taken, 0.95, spread) for spread in (EACH, ONE))
    assert each.refused == (1.5, 2.0, 3.0)
    assert [b.gamma for b in each.bounds] == [1.0]
    assert one.refused == ()
    assert [b.gamma for b in one.bounds] == list(GAMMAS)


@pytest.mark.parametrize("gamma", [0.5, np.inf, np.nan])
def test_a_gamma_that_is_none_is_refused(gamma: float) -> None:
    log, taken = a_log(0, 5, 2)
    with pytest.raises(NurtureError, match="gamma must be a number >= 1"):
        bounded_value(log, taken, gamma, EACH, most=True)
