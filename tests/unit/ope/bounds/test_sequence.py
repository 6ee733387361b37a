"""The Bernstein sequence meets its oracle, forgets nothing, and holds while being watched."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.sequence import (
    RunningSums,
    observe,
    sequence_interval,
    stitched_boundary,
)
from nurture_rl.ope.bounds.weighted_rewards import Range, WeightedRewards, weighted_rewards

UNIT = Range(0.0, 1.0)


def seen(weight: np.ndarray, reward: np.ndarray, limits: Range = UNIT) -> WeightedRewards:
    return weighted_rewards(weight, reward, np.arange(weight.size), limits)


def test_published_sequence_of_weighted_rewards_is_met() -> None:
    """Vowpal Wabbit's reference: w = r in (.5, .6, .7, .8), a thousand times, alpha .05."""
    r = np.tile([0.5, 0.6, 0.7, 0.8], 1000)
    found = sequence_interval(observe(RunningSums(), seen(r, r)), UNIT, 0.95)
    assert found.lower == pytest.approx(0.4215480, abs=5e-7)
    assert found.upper == pytest.approx(0.7907692, abs=5e-7)
    assert found.method == "bernstein-sequence"


def test_the_boundary_is_the_stitched_one() -> None:
    v, error = 50.0, 0.03
    k1 = (1.1**0.25 + 1.1**-0.25) / np.sqrt(2)
    k2 = (np.sqrt(1.1) + 1) / 2
    late = 1.1 * np.log(np.log(1.1 * v) / np.log(1.1) + 1) + np.log(special.zeta(1.1) / error)
    due = np.sqrt(k1**2 * v * late + k2**2 * late**2) + k2 * late
    assert stitched_boundary(v, error) == pytest.approx(due)
    assert stitched_boundary(0.2, error) == stitched_boundary(1.0, error)


def test_contacts_in_pieces_are_the_contacts_at_once() -> None:
    rng = np.random.default_rng(0)
    weight, reward = rng.exponential(size=90), rng.uniform(size=90)
    at_once = observe(RunningSums(), seen(weight, reward))
    sums = RunningSums()
    for rows in np.split(np.arange(90), [1, 7, 50]):
        sums = observe(sums, seen(weight[rows], reward[rows]))
    assert sums.contacts == 90
    for name in ("earned", "earned_square", "missing", "missing_square"):
        assert getattr(sums, name) == pytest.approx(getattr(at_once, name))


def test_predictions_are_the_means_before_at_most_one() -> None:
    sums = observe(RunningSums(), WeightedRewards(np.array([3.0, 1.0]), np.array([0.5, 0.25])))
    # Predictions: 1/2, then (3 + 1/2) / 2 cut to 1; missing 1/2, then (1/2 + 1/2) / 2.
    assert sums.earned_square == pytest.approx(2.5**2 + 0.0)
    assert sums.missing_square == pytest.approx(0.0 + 0.25**2)
    assert (sums.earned, sums.missing) == (4.0, 0.75)


def test_before_any_contact_everything_is_possible() -> None:
    found = sequence_interval(RunningSums(), Range(-2.0, 6.0), 0.95)
    assert (found.lower, found.upper) == (-2.0, 6.0)
    early = sequence_interval(RunningSums(2, 1.0, 0.1, 1.0, 0.1), Range(-2.0, 6.0), 0.95)
    assert (early.lower, early.upper) == (-2.0, 6.0)


def test_a_range_scales_and_shifts() -> None:
    rng = np.random.default_rng(1)
    weight, reward = rng.exponential(size=3000), rng.uniform(size=3000)
    unit = sequence_interval(observe(RunningSums(), seen(weight, reward)), UNIT, 0.9)
    limits = Range(-3.0, 5.0)
    moved = observe(RunningSums(), seen(weight, reward * 8 - 3, limits))
    found = sequence_interval(moved, limits, 0.9)
    assert (found.lower, found.upper) == pytest.approx((unit.lower * 8 - 3, unit.upper * 8 - 3))
    stricter = sequence_interval(moved, limits, 0.99)
    assert stricter.lower < found.lower
    assert stricter.upper > found.upper


def test_bounds_stay_inside_the_range_and_do_not_cross() -> None:
    heavy = RunningSums(10_000, 30_000.0, 1.0, 30_000.0, 1.0)
    found = sequence_interval(heavy, UNIT, 0.95)
    assert found.lower <= found.upper <= 1.0
    assert found.lower == 1.0


def test_watching_every_contact_does_not_spoil_it() -> None:
    """Of 150 logs watched for 1,000 contacts, fewer than 5 % ever exclude the value."""
    rng = np.random.default_rng(2)
    broken = 0
    for _ in range(150):
        matched = rng.random(1000) < 0.2
        reward = rng.random(1000) < 0.3
        batch = seen(5.0 * matched, reward.astype(float))
        sums, wrong = RunningSums(), False
        for day in range(0, 1000, 20):
            part = slice(day, day + 20)
            sums = observe(sums, WeightedRewards(batch.earned[part], batch.missing[part]))
            found = sequence_interval(sums, UNIT, 0.95)
            wrong |= not found.lower <= 0.3 <= found.upper
        broken += wrong
    assert broken <= 8


def test_a_level_of_95_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"95 % as 0\.95"):
        sequence_interval(RunningSums(), UNIT, 95.0)
