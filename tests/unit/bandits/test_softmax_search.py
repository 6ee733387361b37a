"""Objectives and the search by their gradients, against differences and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime

from nurture_rl.bandits import softmax_search
from nurture_rl.bandits.softmax_search import SoftmaxFamily, shared_basis
from nurture_rl.bandits.weighted_value import plain_mean, self_normalised
from tests.unit.bandits.planted_log import silent

FloatArray = NDArray[np.float64]
RNG = np.random.default_rng(0)
WEIGHT, RETURNS = RNG.exponential(size=12), RNG.normal(2.0, 1.0, 12)
CLUSTER = np.repeat(np.arange(6), 2)


def test_the_self_normalised_value_matches_a_hand_calculation() -> None:
    # Weights 2, 1, 9 -> 3: (2*1 + 1*0 + 3*4) / 6 = 7/3. Residuals -4/3, -7/3, 5/3; the first two
    # rows are of one contact: scores -8/3 - 7/3 = -5 and 5, so stderr = sqrt(50) / 6.
    weight, returns = np.array([2.0, 1.0, 9.0]), np.array([1.0, 0.0, 4.0])
    cluster = np.array([0, 0, 1])
    value, slope = self_normalised(weight, returns, cluster, clip=3.0, caution=0.0)
    assert value == pytest.approx(7.0 / 3.0)
    assert slope[2] == 0.0  # clipped
    careful, _ = self_normalised(weight, returns, cluster, clip=3.0, caution=2.0)
    assert careful == pytest.approx(7.0 / 3.0 - 2.0 * np.sqrt(50.0) / 6.0)
    # A third of these weights: their mean is 2 / 3, and 1 / 3 is missing.
    light, _ = self_normalised(weight / 3.0, returns, cluster, clip=1.0, caution=2.0)
    assert light == pytest.approx(careful - 2.0 / 3.0)
    plain, _ = self_normalised(weight, returns, cluster, clip=100.0, caution=0.0)
    assert plain == pytest.approx(38.0 / 12.0)  # negative control: not clipped


@pytest.mark.parametrize("caution", [0.0, 1.5])
def test_derivatives_by_the_weights_are_differences(caution: float) -> None:
    def weighted(w: FloatArray) -> tuple[float, FloatArray]:
        return self_normalised(w, RETURNS, CLUSTER, 2.5, caution)

    def mean(u: FloatArray) -> tuple[float, FloatArray]:
        return plain_mean(u, CLUSTER, caution)

    points = ((weighted, WEIGHT), (weighted, WEIGHT / 4.0), (mean, RETURNS))
    for objective, point in points:
        differences = approx_fprime(point, lambda at, f=objective: f(at)[0], 1e-7)
        assert objective(point)[1] == pytest.approx(differences, abs=1e-5)


def test_derivatives_of_a_mean_count_how_many_rows_a_contact_has() -> None:
    # Rows 1 and 2 of one contact, 6 of another: mean 3, scores -3 and 3, stderr sqrt(18) / 3.
    numbers, cluster = np.array([1.0, 2.0, 6.0]), np.array([0, 0, 1])
    value, slope = plain_mean(numbers, cluster, 2.0)
    assert value == pytest.approx(3.0 - 2.0 * np.sqrt(18.0) / 3.0)
    # Scores have the slopes 1 - 2 / 3 and -1 / 3 by a row of the first, -2 / 3 and 2 / 3 by the
    # last one: -3 (1 / 3) + 3 (-1 / 3) = -2, and 4, over sqrt(18) 3.
    expected = [1 / 3 + 2.0 * 2.0 / (3.0 * np.sqrt(18.0))] * 2
    assert slope == pytest.approx([*expected, 1 / 3 - 2.0 * 4.0 / (3.0 * np.sqrt(18.0))])


def test_a_policy_that_does_nothing_of_what_was_logged_has_the_least_value() -> None:
    value, slope = self_normalised(np.zeros(3), np.arange(3.0), np.arange(3), 2.0, 1.0)
    assert value == -np.inf
    assert slope.tolist() == [0.0, 0.0, 0.0]


def test_the_mean_has_the_standard_error_of_sums_by_contact() -> None:
    value, _ = plain_mean(RETURNS, CLUSTER, 1.0)
    sums = np.bincount(CLUSTER, RETURNS - RETURNS.mean())
    assert value == pytest.approx(RETURNS.mean() - np.sqrt(sums @ sums) / 12)


def family() -> SoftmaxFamily:
    context = np.hstack([np.ones((12, 1)), RNG.normal(size=(12, 2))])
    mask = RNG.random((12, 4)) < 0.7
    mask[:, 1] = True
    return SoftmaxFamily(context, mask, shared_basis(RNG.normal(size=(4, 2))))


def test_the_gradient_by_the_parameters_is_the_difference() -> None:
    made, table = family(), RNG.normal(size=(12, 4))
    gains: Callable[[slice], FloatArray] = table.__getitem__
    theta = RNG.normal(size=18)

    def objective(at: FloatArray) -> float:
        return plain_mean(made.numbers(at, gains), CLUSTER, 1.0)[0]

    slope = plain_mean(made.numbers(theta, gains), CLUSTER, 1.0)[1]
    differences = approx_fprime(theta, objective, 1e-7)
    assert made.gradient(theta, gains, slope) == pytest.approx(differences, abs=1e-5)


def test_a_masked_action_has_no_probability_whatever_it_would_gain() -> None:
    made = family()
    gains = (np.where(made.mask, 0.0, 1e6)).__getitem__
    assert (made.numbers(RNG.normal(size=18), gains) == 0.0).all()


def test_the_likeliest_softmax_without_features_has_the_frequencies() -> None:
    action = np.repeat([0, 1, 2], [50, 30, 20])
    made = SoftmaxFamily(np.ones((100, 1)), np.ones((100, 3), np.bool_), np.eye(3))
    gains = np.eye(3)[action].__getitem__

    def likelihood(chance: FloatArray) -> tuple[float, FloatArray]:
        return float(np.log(chance).mean()), 1.0 / (chance * chance.size)

    theta = made.best(gains, likelihood, 0.0, 200, silent)
    weight = np.exp(theta)
    assert weight / weight.sum() == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)


def test_the_wish_for_small_parameters_keeps_the_policy_even() -> None:
    made = SoftmaxFamily(np.ones((100, 1)), np.ones((100, 2), np.bool_), np.eye(2))
    gains = np.tile([1.0, 0.0], (100, 1)).__getitem__

    def mean(numbers: FloatArray) -> tuple[float, FloatArray]:
        return plain_mean(numbers, np.arange(100), 0.0)

    free = made.best(gains, mean, 0.0, 200, silent)
    bound = made.best(gains, mean, 1e4, 200, silent)
    assert free[0] - free[1] > 5.0
    # At the optimum shrink theta = p (1 - p), so theta is about 0.25 / 100.
    assert bound == pytest.approx([0.0025, -0.0025], rel=0.01)


def test_every_iteration_is_told() -> None:
    made, seen = family(), list[float]()
    table = RNG.normal(size=(12, 4))

    def mean(numbers: FloatArray) -> tuple[float, FloatArray]:
        return plain_mean(numbers, CLUSTER, 0.0)

    made.best(table.__getitem__, mean, 1.0, 30, lambda _, told: seen.append(told["objective"]))
    assert len(seen) > 2
    assert seen[-1] > seen[0]


def test_rows_count_once_in_however_many_parts_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, table, theta = family(), RNG.normal(size=(12, 4)), RNG.normal(size=18)
    gains, slope = table.__getitem__, RNG.normal(size=12)
    whole = made.numbers(theta, gains), made.gradient(theta, gains, slope)
    monkeypatch.setattr(softmax_search, "_CHUNK_ROWS", 5)  # 5, 5 and 2 rows
    assert made.numbers(theta, gains) == pytest.approx(whole[0])
    assert made.gradient(theta, gains, slope) == pytest.approx(whole[1])


def test_logits_beyond_every_exponent_give_certain_choices() -> None:
    made = SoftmaxFamily(np.ones((2, 1)), np.ones((2, 3), np.bool_), np.eye(3))
    gains = np.tile([5.0, 7.0, 9.0], (2, 1)).__getitem__
    assert made.numbers(np.array([2000.0, -2000.0, 0.0]), gains).tolist() == [5.0, 5.0]
    assert made.numbers(np.array([-2000.0, -4000.0, -2000.0]), gains).tolist() == [7.0, 7.0]


def test_iterations_are_numbered_from_0() -> None:
    steps: list[int] = []

    def mean(numbers: FloatArray) -> tuple[float, FloatArray]:
        return plain_mean(numbers, CLUSTER, 0.0)

    gains = RNG.normal(size=(12, 4)).__getitem__
    family().best(gains, mean, 1.0, 30, lambda step, _: steps.append(step))
    assert steps == list(range(len(steps)))
    assert len(steps) > 2
