"""The classifier that tells log from world, and what it names."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from nurture_rl.simulator.gap.trajectories import Trajectories
from nurture_rl.simulator.gap.two_sample import logistic, two_sample_test, weighted_auc
from tests.unit.gap.gap_logs import JOURNEY, episodes, random_log
from tests.unit.simulator.lamp_shop import SEND, WAIT

FloatArray = NDArray[np.float64]
RNG = np.random.default_rng


def test_the_regression_is_the_best_of_its_penalised_likelihood() -> None:
    rng = RNG(0)
    x, label, weight = rng.normal(size=(80, 2)), rng.random(80) < 0.8, rng.exponential(size=80)

    def loss(beta: FloatArray) -> float:
        z = x @ beta[:2] + beta[2]
        return float(weight @ (np.logaddexp(0.0, z) - label * z) + 1.5 * beta[:2] @ beta[:2])

    best = minimize(loss, np.zeros(3), tol=1e-10).x
    assert logistic(x, label, weight) == pytest.approx(best, abs=1e-5)


def test_the_curve_rises_from_corner_to_corner_over_an_area_of_the_auc() -> None:
    test = two_sample_test(random_log(500, 0), random_log(300, 1, view=0.5), JOURNEY, RNG(0))
    assert test.episodes == (500, 300)
    false, true = np.array(test.curve).T
    assert (test.curve[0], test.curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert (np.diff(false) >= 0.0).all()
    assert (np.diff(true) >= 0.0).all()
    assert np.trapezoid(true, false) == pytest.approx(test.auc, abs=0.01)
    assert test.auc > 0.7


def test_giveaways_carry_their_means_and_what_says_nothing_loses_nothing() -> None:
    real, world = random_log(500, 0), random_log(500, 1, view=0.6)
    test = two_sample_test(real, world, JOURNEY, RNG(0))
    named = {one.name: one for one in test.giveaways}
    for name, place in (("number of viewed", 0), ("viewed more than once", 1)):
        for side, log in (("real", real), ("simulated", world)):
            views = log.amounts[:, JOURNEY.channel_index("viewed")].reshape(500, 6).sum(axis=1)
            mean = (views.mean(), (views > 1).mean())[place]
            assert getattr(named[name], side) == pytest.approx(mean)
    first, *_, last = (one.importance for one in test.giveaways)
    assert first > 0.05
    assert abs(last) < 0.02


def test_other_choices_of_the_policy_give_a_world_away() -> None:
    def sending(share: float, seed: int) -> Trajectories:
        action = RNG(seed).choice([SEND, WAIT], 3000, p=[share, 1.0 - share])
        return episodes([6] * 500, action.tolist())

    test = two_sample_test(sending(0.5, 0), sending(0.2, 1), JOURNEY, RNG(0))
    named = {one.name: one for one in test.giveaways}
    assert named["times pause:1"].real == pytest.approx(3.0, abs=0.2)
    assert named["times pause:1"].simulated == pytest.approx(4.8, abs=0.2)


def test_longer_episodes_give_a_world_away() -> None:
    def lasting(bins: int, seed: int) -> Trajectories:
        return episodes([bins] * 500, RNG(seed).choice([SEND, WAIT], 500 * bins).tolist())

    test = two_sample_test(lasting(3, 0), lasting(5, 1), JOURNEY, RNG(0))
    named = {one.name: one for one in test.giveaways}
    length = named["length of the episode"]
    assert (length.real, length.simulated) == (3.0, 5.0)


def test_the_area_and_its_error_by_hand() -> None:
    scores, label = np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False])
    area, stderr = weighted_auc(scores, label, np.array([3.0, 1.0, 1.0, 3.0]))
    # The true 3 is above both false ones, the true 1 above the false 0, which weighs 3 of 4.
    assert area == 0.75 * 1.0 + 0.25 * 0.75
    # Off the area by 1/16 with weight 3/4 and by -3/16 with weight 1/4, on either side.
    one_side = (0.75 / 16) ** 2 + (0.25 * 3 / 16) ** 2
    assert stderr == pytest.approx(np.sqrt(2.0 * one_side))
