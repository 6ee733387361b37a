"""Observed episodes stand for the others, by hand, in the limits and against a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.ope.censoring import (
    Followup,
    aipcw_dr,
    followup,
    ipcw_ips,
    kaplan_meier,
    observation_weights,
)
from nurture_rl.ope.estimators import dr, ips, weighted_returns
from nurture_rl.ope.log import EvaluationLog, FloatArray, take_episodes
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_distribution, random_log
from tests.unit.ope.running_world import HORIZON, TARGET, exact_value, running_log

# Five episodes: over after 1, 2 and 3 bins; stopped being followed after 1 and after 2.
AGE = np.array([4, 2, 3, 1, 2])
NEEDED = np.array([1, 2, 3, 3, 3])


def alike(age: np.ndarray, needed: np.ndarray) -> Followup:
    return Followup(age, needed, np.zeros(age.size, dtype=np.int64))


def test_survival_of_the_age_by_hand() -> None:
    found = kaplan_meier(AGE, NEEDED)
    # After bin 1 four are not over and one of them stops; after bin 2 two are, and one stops.
    assert found.time.tolist() == [1, 2]
    assert found.at_risk == pytest.approx([4.0, 2.0])
    assert found.hazard == pytest.approx([1 / 4, 1 / 2])
    assert found.before(np.array([1, 2, 3])) == pytest.approx([1.0, 3 / 4, 3 / 8])


def test_weights_by_hand_sum_to_all_episodes() -> None:
    weights = observation_weights(alike(AGE, NEEDED))
    assert weights == pytest.approx([1.0, 4 / 3, 8 / 3, 0.0, 0.0])
    assert weights.sum() == pytest.approx(5.0)


def test_strata_have_their_own_survival() -> None:
    twice = Followup(
        np.append(AGE, [9, 9]), np.append(NEEDED, [3, 1]), np.array([0, 0, 0, 0, 0, 1, 1])
    )
    assert observation_weights(twice) == pytest.approx([1.0, 4 / 3, 8 / 3, 0.0, 0.0, 1.0, 1.0])


def test_followup_reads_ages_and_endings() -> None:
    log = random_log(0, [3, 1, 2])
    ended = np.array([False, False, True, False, False, True])
    log = replace(log, terminal=ended, step=np.array([5, 7, 8, 4, 2, 3]))
    age = np.array([9, 7, 6, 0, 3, 2])
    found = followup(log, age, horizon=11, settle=1)
    assert found.age.tolist() == [15, 5, 6]
    # through bin 8, cut short and so the whole horizon, through bin 3; one more to settle
    assert found.needed.tolist() == [10, 12, 5]
    assert found.observed.tolist() == [True, False, True]
    assert followup(log, age, horizon=11).needed.tolist() == [9, 11, 4]
    # A pause of four bins may have ended in any of them, but not after the horizon.
    paused = np.array([1, 1, 4, 1, 1, 4])
    assert followup(log, age, horizon=11, lasts=paused).needed.tolist() == [11, 11, 7]
    named = followup(log, age, 11, stratum=np.array([1, 2, 1]))
    assert named.stratum.tolist() == [1, 2, 1]


def test_nothing_missing_makes_it_ips_and_dr() -> None:
    log, taken, model = small_log()
    known = alike(np.full(6, 9), np.array([1, 2, 3, 1, 2, 3]))
    for one, other in (
        (ipcw_ips(log, taken, known), ips(log, taken)),
        (aipcw_dr(log, taken, model, known), dr(log, taken, model)),
    ):
        assert one.value == pytest.approx(other.value)
        assert one.influence == pytest.approx(other.influence)
        assert one.ess == pytest.approx(other.ess)


def test_estimates_by_hand() -> None:
    log, taken, model = small_log()
    five = take_episodes(log, np.arange(5))
    rows = np.flatnonzero(log.episode < 5)
    weights = np.array([1.0, 4 / 3, 8 / 3, 0.0, 0.0])
    returns, _ = weighted_returns(five, taken[rows])
    found = ipcw_ips(five, taken[rows], alike(AGE, NEEDED))
    assert found.value == pytest.approx(weights @ returns / 5.0)
    part = ValuePredictions(model.q_logged[rows], model.value[rows])
    robust = dr(five, taken[rows], part).influence * 5 + dr(five, taken[rows], part).value
    start = part.value[five.step == 0]
    both = aipcw_dr(five, taken[rows], part, alike(AGE, NEEDED))
    assert both.value == pytest.approx(start.mean() + weights @ (robust - start) / 5.0)


def test_influence_is_the_derivative_of_the_value() -> None:
    log, taken, model = small_log()
    age = np.array([4, 2, 3, 1, 2, 5])
    needed = np.array([1, 2, 3, 3, 3, 3])
    for chosen in range(6):
        order = np.append(np.tile(np.arange(6), 2000), chosen)
        longer = take_episodes(log, order)
        longer = replace(longer, cluster=np.arange(longer.n_episodes))
        rows = np.concatenate([np.flatnonzero(log.episode == e) for e in order])
        again = ValuePredictions(model.q_logged[rows], model.value[rows])
        before = aipcw_dr(log, taken, model, alike(age, needed))
        after = aipcw_dr(longer, taken[rows], again, alike(age[order], needed[order]))
        slope = before.influence[chosen] / 2000
        assert after.value - before.value == pytest.approx(slope, rel=5e-3, abs=1e-9)


def test_complete_cases_favour_what_ends_an_episode_and_weights_do_not() -> None:
    log, age = running_log(np.random.default_rng(1), 20_000)
    taken = TARGET[log.action]
    found = ipcw_ips(log, taken, followup(log, age, HORIZON))
    assert abs(found.value - exact_value()) < 4 * found.stderr
    whole = take_episodes(log, np.flatnonzero(followup(log, age, HORIZON).observed))
    rows = followup(log, age, HORIZON).observed[log.episode]
    naive = ips(whole, taken[rows])
    assert naive.value - exact_value() > 8 * naive.stderr
    # Taking episodes as far as they were read is wrong the other way.
    assert ips(log, taken).value - exact_value() < -8 * found.stderr


def test_a_log_read_too_early_is_refused() -> None:
    young = alike(np.array([1, 2, 2, 2]), np.array([1, 6, 6, 6]))
    with pytest.raises(LogError, match=r"75\.0% of the episodes take longer .* \(oldest: 2 bins\)"):
        observation_weights(young)


def test_what_does_not_fit_is_refused() -> None:
    log, taken, _ = small_log()
    with pytest.raises(ShapeError, match=r"an age per decision \[11\]"):
        followup(log, np.zeros(3, dtype=np.int64), 3)
    with pytest.raises(ShapeError, match=r"a stratum per episode \[6\]"):
        followup(log, np.zeros(11, dtype=np.int64), 3, stratum=np.zeros(2, dtype=np.int64))
    with pytest.raises(ShapeError, match="2 decisions have an open bin"):
        followup(log, np.array([0] * 9 + [-1] * 2), 3)
    with pytest.raises(ShapeError, match=r"expected \[6\] follow-ups"):
        ipcw_ips(log, taken, alike(AGE, NEEDED))


def small_log() -> tuple[EvaluationLog, FloatArray, ValuePredictions]:
    log = random_log(2, [1, 2, 3, 1, 2, 2])
    rng = np.random.default_rng(3)
    target = random_distribution(rng, log.mask)
    model = ValuePredictions(rng.normal(size=11), rng.normal(size=11))
    return log, np.asarray(target[np.arange(11), log.action]), model
