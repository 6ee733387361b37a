"""Betting refutes what a fair game would refute, at once or day by day."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.bernstein import Range
from nurture_rl.ope.bounds.betting import betting_interval, betting_sequence
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.bounds.weighted import WeightedRewards, weighted_rewards

UNIT = Range(0.0, 1.0)


def batch(seed: int, n: int, chance: float = 0.3) -> WeightedRewards:
    """Weights 5 or 0 by chance 1/5, rewards 1 or 0."""
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random(n) < 0.2, 5.0, 0.0)
    reward = np.where(rng.random(n) < chance, 1.0, 0.0)
    return weighted_rewards(weight, reward, np.arange(n), UNIT)


def capital(values: np.ndarray, m: float, error: float, fixed: bool) -> np.ndarray:
    """Running log capital of one gambler against m, written out contact by contact."""
    path, total, square, log_capital = [], 0.0, 0.0, 0.0
    for t, x in enumerate(values, start=1):
        variance = (0.25 + square) / t
        spread = len(values) if fixed else t * np.log(1 + t)
        stake = np.sqrt(2 * np.log(1 / error) / (spread * variance))
        log_capital += np.log(1 + min(stake, 0.5 / m) * (x - m))
        total += x
        square += (x - (0.5 + total) / (t + 1)) ** 2
        path.append(log_capital)
    return np.array(path)


def test_the_ends_are_where_the_capital_reaches_the_threshold() -> None:
    seen = batch(0, 300)
    found = betting_interval(seen, UNIT, 0.9)
    for values, end in ((seen.earned, found.lower), (seen.missing, 1 - found.upper)):
        assert capital(values, end, 0.05, fixed=True)[-1] == pytest.approx(np.log(20), abs=1e-6)
    assert found.method == "betting"


def test_a_range_scales_and_shifts() -> None:
    seen = batch(1, 400)
    unit, found = betting_interval(seen, UNIT, 0.95), betting_interval(seen, Range(-3.0, 5.0), 0.95)
    assert found.lower == pytest.approx(-3 + 8 * unit.lower)
    assert found.upper == pytest.approx(-3 + 8 * unit.upper)
    sequence = betting_sequence(0.95).update(seen)
    unit, found = sequence.interval(UNIT), sequence.interval(Range(-3.0, 5.0))
    assert found.lower == pytest.approx(-3 + 8 * unit.lower)
    assert found.upper == pytest.approx(-3 + 8 * unit.upper)


def test_an_unweighted_share_is_bounded_half_again_as_wide_as_exactly() -> None:
    hits = np.random.default_rng(3).permutation(np.repeat([1.0, 0.0], [60, 940]))
    seen = weighted_rewards(np.ones(1000), hits, np.arange(1000), UNIT)
    found, exact = betting_interval(seen, UNIT, 0.95), binomial_interval(60, 1000, 0.95)
    assert found.lower < 0.06 < found.upper
    assert (found.upper - found.lower) < 1.5 * (exact.upper - exact.lower)


def test_it_covers_at_sizes_where_the_normal_interval_does_not() -> None:
    hits = 0
    for seed in range(300):
        found = betting_interval(batch(seed, 60, chance=0.1), UNIT, 0.9)
        hits += found.lower <= 0.1 <= found.upper
    assert hits >= 277


def test_a_sequence_refutes_what_its_gambler_ever_refuted() -> None:
    seen = batch(4, 700)
    sequence = betting_sequence(0.9, candidates=40).update(seen)
    found = sequence.interval(UNIT)
    threshold = np.log(20)
    for values, end in ((seen.earned, found.lower), (seen.missing, 1 - found.upper)):
        refuted = [
            m
            for m in sequence.candidates
            if capital(values, float(m), 0.05, fixed=False).max() >= threshold
        ]
        assert end == pytest.approx(max(refuted))
    assert found.method == "betting-sequence"
    assert sequence.earned.contacts == 700


def test_days_are_the_same_as_all_at_once() -> None:
    seen = batch(5, 1300)
    at_once = betting_sequence(0.95, candidates=50).update(seen)
    by_day = betting_sequence(0.95, candidates=50)
    for rows in np.split(np.arange(1300), [3, 400, 1000]):
        by_day = by_day.update(WeightedRewards(seen.earned[rows], seen.missing[rows]))
    assert by_day.interval(UNIT) == at_once.interval(UNIT)
    assert by_day.earned.capital == pytest.approx(at_once.earned.capital)
    assert by_day.missing.square == pytest.approx(at_once.missing.square)
    assert by_day.missing.total == pytest.approx(seen.missing.sum())


def test_a_sequence_never_widens() -> None:
    sequence, last = betting_sequence(0.95, candidates=50), Range(0.0, 1.0)
    for seed in range(12):
        sequence = sequence.update(batch(seed, 200, chance=0.5 if seed < 6 else 0.2))
        found = sequence.interval(UNIT)
        assert found.lower >= last.lower
        assert found.upper <= max(last.upper, found.lower)
        last = Range(found.lower, found.upper)


@pytest.mark.slow
def test_watching_every_contact_does_not_spoil_it() -> None:
    broken = 0
    for seed in range(150):
        found = betting_sequence(0.9, candidates=100).update(batch(seed, 600)).interval(UNIT)
        broken += not found.lower <= 0.3 <= found.upper
    assert broken <= 15


def test_before_any_contact_everything_is_possible() -> None:
    fresh = betting_sequence(0.95)
    assert (fresh.interval(UNIT).lower, fresh.interval(UNIT).upper) == (0.0, 1.0)
    assert fresh.candidates.size == 1500
    assert (np.diff(fresh.candidates) > 0).all()
    assert fresh.candidates[1] == pytest.approx(1e-4 * 1e4 ** (1 / 1000))
    assert fresh.candidates[0] == pytest.approx(1e-4)
    assert 0.99 < fresh.candidates[-1] < 1.0
    assert fresh.candidates[-1] == pytest.approx(1 - 1e-4)


def test_settings_without_meaning_are_refused() -> None:
    for candidates, finest in ((1, 0.1), (5, 0.0), (5, 1.0)):
        with pytest.raises(ShapeError, match="at least 2 candidates"):
            betting_sequence(0.95, candidates, finest)
    assert betting_sequence(0.95, 2, 0.5).candidates.size > 0
    with pytest.raises(ShapeError, match=r"95 % as 0\.95"):
        betting_interval(batch(0, 10), UNIT, 95.0)
