"""Restricted mean times: against finished data, a hand calculation and known truth."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.lift.contrast import contrast
from nurture_rl.lift.velocity import StageTimes, velocity_contrast, watched_share


def _times(days: list[int], reached: list[bool]) -> StageTimes:
    return StageTimes(np.array(days), np.array(reached), np.arange(len(days)))


def test_without_censoring_it_is_the_mean_of_the_times_cut_at_the_horizon() -> None:
    rng = np.random.default_rng(0)
    came = rng.geometric(0.1, 400) - 1
    treated = rng.random(400) < 0.5
    reached = came < 20
    times = StageTimes(np.minimum(came, 20), reached, np.arange(400))
    found = velocity_contrast(treated, times, 20)
    plain = contrast(treated, np.minimum(came, 20).astype(float), np.ones(400))
    assert found.treated == pytest.approx(plain.treated)
    assert found.usual == pytest.approx(plain.usual)
    assert found.stderr == pytest.approx(plain.stderr)
    assert found.influence == pytest.approx(plain.influence)


def test_a_censored_contact_matches_a_hand_calculation() -> None:
    # Day 0: 4 at risk, 1 comes. One is watched for one day. Day 1: 2 at risk, 1 comes. Then none.
    # S = 3/4, 3/8, 3/8: mean of three days 1.5
    both = _times([0, 1, 1, 3] * 2, [True, False, True, False] * 2)
    found = velocity_contrast(np.arange(8) < 4, both, 3)
    assert found.treated == pytest.approx(1.5)
    assert found.difference == 0.0


def test_finished_ones_alone_would_mislead() -> None:
    """A programme that finishes its easy cases fast and the rest never is not faster."""
    slow = _times(
        [2] * 50 + [30] * 50 + [10] * 80 + [30] * 20,
        [True] * 50 + [False] * 50 + [True] * 80 + [False] * 20,
    )
    found = velocity_contrast(np.arange(200) < 100, slow, 30)
    assert found.treated == pytest.approx(0.5 * 2 + 0.5 * 30)
    assert found.usual == pytest.approx(0.8 * 10 + 0.2 * 30)
    assert found.difference > 0.0


def test_intervals_cover_the_truth_under_staggered_entry() -> None:
    """Contacts enter over 40 days, the log ends on day 40; hazards 0.06 and 0.09 a day."""
    rng = np.random.default_rng(1)
    horizon, hazards, covered, errors = 20, np.array([0.06, 0.09]), 0, []
    truth = [((1 - (1 - h) ** (horizon)) / h) * (1 - h) for h in hazards]
    for _ in range(400):
        treated = rng.random(300) < 0.5
        came = rng.geometric(hazards[treated.astype(int)]) - 1
        watched = rng.integers(1, 41, 300)
        reached = came < watched
        times = StageTimes(np.where(reached, came, watched), reached, np.arange(300))
        found = velocity_contrast(treated, times, horizon)
        errors.append(found.difference - (truth[1] - truth[0]))
        covered += abs(errors[-1]) <= 1.96 * found.stderr
    assert 0.92 <= covered / 400 <= 0.98
    assert abs(np.mean(errors)) < 3.0 * np.std(errors) / 20.0


def test_colleagues_count_as_one_unit() -> None:
    rng = np.random.default_rng(2)
    came = rng.geometric(0.1, 100) - 1
    alone = StageTimes(came, np.ones(100, bool), np.arange(100))
    doubled = StageTimes(np.repeat(came, 5), np.ones(500, bool), np.repeat(np.arange(100), 5))
    treated = np.arange(100) % 2 == 0
    one, many = velocity_contrast(treated, alone, 15), velocity_contrast(treated, doubled, 15)
    assert many.difference == pytest.approx(one.difference)
    assert many.stderr == pytest.approx(one.stderr)


def test_information_counts_whom_time_has_told() -> None:
    assert watched_share(_times([5, 10, 20, 3], [False, False, False, True]), 10, 4) == 3.5


def test_nobody_watched_is_refused() -> None:
    with pytest.raises(ShapeError, match="watched for a day in each arm"):
        velocity_contrast(np.array([True, True, False, False]), _times([0] * 4, [False] * 4), 5)
