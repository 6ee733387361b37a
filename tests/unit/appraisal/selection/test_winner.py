"""The winner's estimate is corrected for the luck of having won."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from nurture_rl.appraisal.selection.simultaneous import Family, critical_value
from nurture_rl.appraisal.selection.winner import Winner, correct_winner, cut_off
from nurture_rl.errors import ShapeError
from tests.unit.appraisal.selection.estimate_makers import FloatArray, influences_of


def corrected(values: list[float], covariance: FloatArray, level: float = 0.95) -> Winner:
    influences = influences_of(covariance, 400)
    return correct_winner(np.array(values), influences, level, np.random.default_rng(0))


def test_independent_rivals_cut_the_winner_off_at_the_runner_up() -> None:
    # S_ij = 0: Z_j = Y_j, and i wins as long as Y_i >= Y_j.
    assert cut_off(np.array([3.0, 5.0, 1.0]), np.array([0.0, 2.0, 0.0]), 1) == (3.0, np.inf)


def test_a_rival_that_moves_more_than_the_winner_bounds_it_from_above() -> None:
    # S_ii = 1, S_ij = 2: Z_j = 1 - 2 * 4 = -7; even where Y = -7 + 2 Y, Y = 7.
    low, high = cut_off(np.array([4.0, 1.0]), np.array([1.0, 2.0]), 0)
    assert (low, high) == (-np.inf, 7.0)
    # S_ii = 2, S_ij = 1: Z_j = 1 - 4 / 2 = -1; even where Y = -1 + Y / 2, Y = -2.
    low, high = cut_off(np.array([4.0, 1.0]), np.array([2.0, 1.0]), 0)
    assert (low, high) == (-2.0, np.inf)


def test_a_winner_far_ahead_keeps_its_estimate_and_nearly_its_ordinary_interval() -> None:
    found = corrected([0.0, 50.0], np.diag([1.0, 4.0]))
    assert (found.place, found.naive) == (1, 50.0)
    assert found.corrected == pytest.approx(50.0, abs=1e-9)
    # a = (0.05 - 0.005) / 0.995; the cut at c = 3.1 standard deviations takes a little more.
    half = stats.norm.isf(0.045 / 0.995 / 2.0) * 2.0
    assert found.interval.upper - 50.0 == pytest.approx(half, rel=0.02)
    assert 50.0 - found.interval.lower == pytest.approx(half, rel=0.02)
    assert found.interval.level == 0.95


@pytest.mark.parametrize(
    ("covariance", "low", "high"),
    [
        (np.array([[4.0, 0.0], [0.0, 1.0]]), 1.0, np.inf),
        # Z = 1 - 6 / 4 * 1.5 = -1.25; even where Y = -1.25 + 1.5 Y, Y = 2.5.
        (np.array([[4.0, 6.0], [6.0, 25.0]]), -np.inf, 2.5),
    ],
)
def test_a_narrow_win_is_corrected_as_the_equation_says(
    covariance: FloatArray, low: float, high: float
) -> None:
    found = corrected([1.5, 1.0], covariance)
    family, rng = Family(0.995), np.random.default_rng(0)
    bound = critical_value(influences_of(covariance, 400), family, rng)

    def share(mean: float) -> float:
        first, last = max((low - mean) / 2.0, -bound), min((high - mean) / 2.0, bound)
        room = stats.norm.cdf(last) - stats.norm.cdf(first)
        return float((stats.norm.cdf((1.5 - mean) / 2.0) - stats.norm.cdf(first)) / room)

    bracket = (1.5 - 2.0 * bound + 1e-6, 1.5 + 2.0 * bound - 1e-6)
    tail = 0.045 / 0.995 / 2.0
    solved = [
        optimize.brentq(lambda mean, chance=chance: share(mean) - chance, *bracket)
        for chance in (0.5, 1.0 - tail, tail)
    ]
    expected = pytest.approx(solved, abs=1e-6)
    assert [found.corrected, found.interval.lower, found.interval.upper] == expected


def test_a_winner_that_could_not_have_moved_is_its_estimate() -> None:
    # One rival cuts it off from below and one from above, both at its own value.
    covariance = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [2.0, 0.0, 9.0]])
    assert corrected([1.0, 1.0, 1.0], covariance).corrected == pytest.approx(1.0)


def test_the_hybrid_never_leaves_the_simultaneous_interval() -> None:
    found = corrected([1.0, 1.0 + 1e-9, 0.9], np.eye(3))
    bound = critical_value(influences_of(np.eye(3), 400), Family(0.995), np.random.default_rng(0))
    assert found.interval.lower >= found.naive - bound - 1e-9
    assert found.interval.lower == pytest.approx(found.naive - bound, abs=0.1)


def test_an_estimate_without_error_needs_no_correction() -> None:
    found = correct_winner(np.array([1.0, 2.0]), np.zeros((2, 9)), 0.95, np.random.default_rng(0))
    assert (found.corrected, found.interval.lower, found.interval.upper) == (2.0, 2.0, 2.0)


def test_one_contact_says_nothing() -> None:
    found = correct_winner(np.array([1.0, 2.0]), np.ones((2, 1)), 0.95, np.random.default_rng(0))
    assert (found.interval.lower, found.interval.upper) == (-np.inf, np.inf)


@pytest.mark.slow
def test_the_winner_of_equals_is_overstated_and_its_correction_is_not() -> None:
    """Ten policies all worth 0: the naive estimate is biased and its interval under-covers."""
    rng = np.random.default_rng(3)
    influences = influences_of(0.5 * np.eye(10) + 0.5, 400)
    root = np.linalg.cholesky(0.5 * np.eye(10) + 0.5)
    naive, median, covered, plain = [], [], 0, 0
    for _ in range(300):
        found = correct_winner(root @ rng.normal(size=10), influences, 0.9, rng)
        naive.append(found.naive)
        median.append(found.corrected)
        covered += found.interval.lower <= 0.0 <= found.interval.upper
        plain += abs(found.naive) <= 1.645
    assert np.mean(naive) > 0.9
    assert plain < 250
    # 270 and 150 are due; four binomial standard deviations are 21 and 35.
    assert 249 <= covered <= 291
    assert 115 <= (np.array(median) > 0.0).sum() <= 185


def test_values_without_their_influences_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"values must be \[k\] with influences"):
        correct_winner(np.zeros(2), np.zeros((3, 9)), 0.95, np.random.default_rng(0))


def test_a_twin_of_the_winner_changes_nothing() -> None:
    values, influences = np.array([2.0, 1.5, 0.0]), influences_of(np.eye(3), 400)
    alone = correct_winner(values, influences, 0.95, np.random.default_rng(0))
    for first in (True, False):
        dust = np.array([2.0 - 4e-16]) if first else np.array([2.0])
        twin = influences[:1] * (1.0 + 3e-16)
        order = [1, 0, 2, 3] if first else [0, 1, 2, 3]
        found = correct_winner(
            np.concatenate([values[:1], dust, values[1:]])[order],
            np.concatenate([influences[:1], twin, influences[1:]])[order],
            0.95,
            np.random.default_rng(0),
        )
        assert found.corrected == pytest.approx(alone.corrected, abs=0.02)
        assert found.interval.lower == pytest.approx(alone.interval.lower, abs=0.02)
        assert found.naive == 2.0


def test_an_error_of_rounding_is_none() -> None:
    values, influences = np.array([2.0, 1.0]), 1e-16 * influences_of(np.eye(2), 400)
    found = correct_winner(values, influences, 0.95, np.random.default_rng(0))
    assert (found.corrected, found.interval.lower, found.interval.upper) == (2.0, 2.0, 2.0)
