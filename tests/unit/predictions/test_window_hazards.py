"""Hazards against closed forms and planted truth, with windows that are still open."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.predictions.window_hazards import Watched, days_in, fit_window_hazards

ONE_PART = np.array([0.0, np.inf])


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Watched]:
    """Features, hazards a day, and what was watched of each for 1 to 14 days."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    hazard = 0.03 * np.exp(0.9 * x[:, 0].astype(np.float64))
    until, days = rng.exponential(1.0 / hazard), rng.uniform(1.0, 14.0, n)
    return x, hazard, Watched(np.zeros(n), np.where(until <= days, until, np.inf), days)


def test_days_of_a_window_fall_into_the_parts_of_its_episode() -> None:
    edges = np.array([0.0, 2.0, 5.0, np.inf])
    begin, end = np.array([1.0, 6.0]), np.array([8.0, 7.5])
    assert days_in(begin, end, edges).tolist() == [[1.0, 3.0, 3.0], [0.0, 0.0, 1.5]]


def test_without_features_the_chance_is_that_of_outcomes_per_day_watched() -> None:
    x, _, watched = drawn(4000)
    none = np.zeros_like(x)
    fitted = fit_window_hazards(
        none, watched, np.arange(4000), np.arange(4000) % 3 == 0, ONE_PART, (14.0,)
    )
    came = np.isfinite(watched.days_until)
    rate = came.sum() / np.minimum(watched.days, watched.days_until).sum()
    told = fitted.chance(none[:1], np.zeros(1), 7.0)[0]
    assert told == pytest.approx(1.0 - np.exp(-7.0 * rate), rel=1e-6)


def test_open_windows_leave_planted_chances_right_where_counting_them_as_no_would_not() -> None:
    x, hazard, watched = drawn(12000)
    ends = (7.0, 14.0)
    aside = np.arange(12000) % 4 == 0
    fitted = fit_window_hazards(x, watched, np.arange(12000), aside, ONE_PART, ends)
    for horizon in ends:
        truth = 1.0 - np.exp(-hazard * horizon)
        told = fitted.chance(x, np.zeros(12000), horizon)
        assert np.abs(told - truth).mean() < 0.012
        assert told.mean() == pytest.approx(truth.mean(), abs=0.008)
        naive = (watched.days_until <= horizon).mean()
        assert truth.mean() - naive > 0.03  # negative control


def test_rates_follow_the_day_of_the_episode_as_a_programme_mails_by_it() -> None:
    rng = np.random.default_rng(3)
    n = 9000
    age = rng.integers(0, 7, n).astype(np.float64)
    until = np.where(rng.random(n) < 0.2, 7.5 - age, np.inf)  # answers to the mail of day 7
    watched = Watched(age, np.where(until <= 7.0, until, np.inf), np.full(n, 7.0))
    edges = np.array([*range(15), np.inf], np.float64)
    x = np.zeros((n, 1), np.float32)
    fitted = fit_window_hazards(x, watched, np.arange(n), np.arange(n) % 3 == 0, edges, (7.0,))
    told = fitted.chance(np.zeros((2, 1), np.float32), np.array([0.0, 3.0]), 7.0)
    assert told[0] < 0.02  # its seven days end before
    assert told[1] == pytest.approx(0.2, abs=0.03)


def test_what_a_feature_says_may_depend_on_how_old_the_episode_is() -> None:
    rng = np.random.default_rng(5)
    n = 9000
    x = rng.normal(size=(n, 1)).astype(np.float32)
    age = rng.integers(0, 10, n).astype(np.float64)  # on its first day the feature says nothing
    slope = np.log1p(age) / np.log(10.0)
    hazard = 0.04 * np.exp(slope * x[:, 0])
    until = rng.exponential(1.0 / hazard)
    watched = Watched(age, np.where(until <= 7.0, until, np.inf), np.full(n, 7.0))
    fitted = fit_window_hazards(x, watched, np.arange(n), np.arange(n) % 3 == 0, ONE_PART, (7.0,))
    told, truth = fitted.chance(x, age, 7.0), 1.0 - np.exp(-7.0 * hazard)
    for of in (age == 0.0, age == 9.0):
        assert np.abs(told - truth)[of].mean() < 0.05
    assert fitted.chance(x, age + 100.0, 7.0).max() <= 1.0  # an age that nobody had is the oldest


def test_features_that_say_nothing_new_are_not_believed() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(600, 30)).astype(np.float32)
    until = rng.exponential(40.0, 600)
    watched = Watched(np.zeros(600), np.where(until <= 7.0, until, np.inf), np.full(600, 7.0))
    aside = np.arange(600) % 2 == 0
    fitted = fit_window_hazards(x, watched, np.arange(600), aside, ONE_PART, (7.0,))
    assert fitted.chance(x, np.zeros(600), 7.0).std() < 0.05


def test_an_outcome_that_never_came_is_refused() -> None:
    x, _, watched = drawn(50)
    nothing = Watched(watched.age, np.full(50, np.inf), watched.days)
    with pytest.raises(FitError, match="never came while it was watched"):
        fit_window_hazards(x, nothing, np.arange(50), np.zeros(50, bool), ONE_PART, (7.0,))


def test_a_horizon_beyond_what_was_watched_is_refused() -> None:
    x, _, watched = drawn(500)
    fitted = fit_window_hazards(
        x, watched, np.arange(500), np.arange(500) % 3 == 0, ONE_PART, (7.0, 90.0)
    )
    assert fitted.longest == 7.0  # nobody was watched for half of the second segment
    with pytest.raises(ShapeError, match="at most 7 days, got 90"):
        fitted.chance(x, np.zeros(500), 90.0)
