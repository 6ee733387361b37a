"""Bounded-range intervals have the width of their papers; the range is known, not sampled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.rare_outcomes.bernstein import empirical_bernstein, hoeffding
from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.weighted_rewards import Range

TABLE = [(1_000, 25.0, 86.0), (10_000, 3.9, 27.0), (100_000, 0.80, 8.6)]
VALUE, K = 0.01, 10


def rare(n: int, matched: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    totals = np.zeros(n)
    totals[:matched] = K
    return totals


@pytest.mark.parametrize(("n", "bernstein", "hoeffding_width"), TABLE)
def test_widths_at_rare_rewards_are_the_known_ones(
    n: int, bernstein: float, hoeffding_width: float
) -> None:
    """Uniform logger over 10 actions, deterministic target, 1 % reward; mean width over the value.

    The known widths are of intervals that were not cut to the range, so twice the upper half.
    """
    counts = np.arange(stats.binom.ppf(1 - 1e-6, n, 0.001) + 1).astype(int)
    chance = stats.binom.pmf(counts, n, 0.001)
    half: dict[str, list[float]] = {"empirical-bernstein": [], "hoeffding": []}
    for totals in (rare(n, int(matched)) for matched in counts):
        for make in (empirical_bernstein, hoeffding):
            found = make(totals, Range(0.0, K), 0.95)
            half[found.method].append(found.upper - totals.mean())
    widths = {name: 2 * chance @ np.array(own) / VALUE for name, own in half.items()}
    assert widths["empirical-bernstein"] == pytest.approx(bernstein, rel=0.02)
    assert widths["hoeffding"] == pytest.approx(hoeffding_width, rel=0.01)


def test_the_bound_is_the_papers() -> None:
    totals = np.array([0.1, 0.4, 0.7, 0.2] * 500)
    found = empirical_bernstein(totals, Range(-1.0, 2.0), 0.9)
    surprise = np.log(4 / 0.1)
    half = np.sqrt(2 * totals.var(ddof=1) * surprise / 2000) + 7 * 3.0 * surprise / (3 * 1999)
    assert found.lower == pytest.approx(0.35 - half)
    assert found.upper == pytest.approx(0.35 + half)


def test_the_range_bounds_what_it_is_given() -> None:
    found = empirical_bernstein(np.array([0.9, 1.0, 1.0]), Range(0.0, 1.0), 0.95)
    assert (found.lower, found.upper) == (0.0, 1.0)
    one = empirical_bernstein(np.array([0.5]), Range(0.0, 2.0), 0.95)
    assert (one.lower, one.upper) == (0.0, 2.0)
    two = empirical_bernstein(np.array([0.5, 0.5]), Range(-1000.0, 1000.0), 0.95)
    assert two.upper == 1000.0
    assert (hoeffding(np.array([0.9]), Range(0.0, 1.0), 0.95).upper) == 1.0


def test_hoeffding_shrinks_with_the_number_of_contacts() -> None:
    # The known slip multiplies by n: 135.8 instead of 0.0136 at n = 10,000 and a range of 1.
    found = hoeffding(np.full(10_000, 0.5), Range(0.0, 1.0), 0.95)
    assert found.upper - 0.5 == pytest.approx(0.01358, abs=1e-5)
    assert 0.5 - found.lower == pytest.approx(0.01358, abs=1e-5)
    wide = hoeffding(np.full(10_000, 0.5), Range(-1.0, 3.0), 0.95)
    assert wide.upper - 0.5 == pytest.approx(4 * 0.01358, abs=1e-4)
    assert wide.method == "hoeffding"


@pytest.mark.parametrize("make", [empirical_bernstein, hoeffding])
def test_numbers_outside_the_range_are_refused(make: object) -> None:
    assert callable(make)
    for totals in ([-0.1, 0.5], [0.5, 1.1]):
        with pytest.raises(ShapeError, match=r"must lie in \[0, 1\]"):
            make(np.array(totals), Range(0.0, 1.0), 0.95)
    with pytest.raises(ShapeError, match="got none"):
        make(np.zeros(0), Range(0.0, 1.0), 0.95)
    edge = make(np.array([0.0, 1.0]), Range(0.0, 1.0), 0.95)
    assert (edge.lower, edge.upper) == (0.0, 1.0)
