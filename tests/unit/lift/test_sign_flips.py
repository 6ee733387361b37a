"""Intervals from a few pairs: exact, whatever is in the pairs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nurture_rl.lift.sign_flips import flipped_interval


def test_six_pairs_give_their_smallest_and_their_largest() -> None:
    """Of 64 flips one is as extreme on either side: 62 of 64 are covered, which is 97 %."""
    found = np.array([0.3, -0.1, 0.8, 0.2, 0.5, 0.4])
    assert flipped_interval(found, 0.95) == (-0.1, 0.8)
    assert flipped_interval(found[:5], 0.95) == (-np.inf, np.inf)
    assert flipped_interval(found[:0], 0.95) == (-np.inf, np.inf)


def test_the_ends_are_where_a_test_by_hand_begins_to_reject() -> None:
    rng = np.random.default_rng(3)
    found = rng.normal(0.4, 1.0, 8)
    flips = np.array(list(product((1.0, -1.0), repeat=8)))
    lower, upper = flipped_interval(found, 0.9)

    def rejected(theta: float) -> bool:
        sums = flips @ (found - theta)
        seen = (found - theta).sum()
        sides = np.mean(sums >= seen - 1e-12), np.mean(sums <= seen + 1e-12)
        return bool(min(sides) <= 0.05)

    for end, out in ((lower, -1.0), (upper, 1.0)):
        assert not rejected(end - out * 1e-6)
        assert rejected(end + out * 1e-6)


@pytest.mark.parametrize("pairs", [6, 10, 20])
def test_stated_coverage_holds_under_trend_dependence_and_heavy_tails(pairs: int) -> None:
    """A series of heavy-tailed, dependent blocks; only the order within pairs is random."""
    rng = np.random.default_rng(pairs)
    inside, runs, truth = 0, 600, 0.7
    for _ in range(runs):
        shocks = rng.standard_t(2, 2 * pairs)
        series = np.convolve(shocks, 0.8 ** np.arange(8))[: 2 * pairs] + 0.3 * np.arange(2 * pairs)
        first = rng.integers(0, 2, pairs)
        treated, usual = 2 * np.arange(pairs) + first, 2 * np.arange(pairs) + 1 - first
        lower, upper = flipped_interval(series[treated] + truth - series[usual], 0.9)
        inside += lower <= truth <= upper
    # 540 to 544 expected; four standard deviations of 600 draws are 29, and a little more
    assert 511 <= inside <= 576
