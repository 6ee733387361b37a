"""Interquartile means over seeds and their stratified bootstrap intervals."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from experiments.learners.seeds import interquartile_mean, summary


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_outer_quarters_do_not_count() -> None:
    assert interquartile_mean(np.array([-100.0, 1.0, 3.0, 100.0])) == 2.0
    assert interquartile_mean(np.array([9.0, 0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 50.0])) == 3.75


def test_of_fewer_than_four_scores_it_is_the_mean() -> None:
    assert interquartile_mean(np.array([0.0, 0.0, 9.0])) == 3.0


def test_equal_scores_are_known_exactly() -> None:
    found = summary([[0.4, 0.4, 0.4], [0.4, 0.4]], rng())
    assert found.value == pytest.approx(0.4)
    assert found.lower == pytest.approx(0.4)
    assert found.upper == pytest.approx(0.4)
    assert found.scores == 5


def test_one_seed_has_no_interval() -> None:
    found = summary([[0.2], [0.5, 0.6]], rng())
    assert found.value == pytest.approx(1.3 / 3.0)
    assert isnan(found.lower)
    assert isnan(found.upper)


def test_two_seeds_of_one_journey_are_drawn_from_three_means() -> None:
    # Draws of (0, 1) have the means 0, 1/2 and 1 with chances 1/4, 1/2 and 1/4.
    found = summary([[0.0, 1.0]], rng(), level=0.95)
    assert (found.value, found.lower, found.upper) == (0.5, 0.0, 1.0)
    assert summary([[0.0, 1.0]], rng(), level=0.4).lower == 0.5


def test_draws_stay_inside_their_journey() -> None:
    # Whatever is drawn, half of the scores are 0 and half are 1; pooled draws would differ.
    found = summary([[0.0, 0.0], [1.0, 1.0]], rng())
    assert (found.lower, found.upper) == (0.5, 0.5)


def test_without_scores_nothing_is_known() -> None:
    found = summary([[], []], rng())
    assert isnan(found.value)
    assert found.scores == 0
