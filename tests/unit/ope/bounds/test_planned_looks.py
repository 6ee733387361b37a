"""Widths that hold at all looks together, against known values and simulated looks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.planned_looks import FIRST_READ, OVERRUN, looks_width


def test_widths_at_the_plan_are_near_those_of_a_single_read() -> None:
    assert looks_width(1.0, 0.95) / 1.96 == pytest.approx(1.289, abs=0.003)
    assert looks_width(0.5, 0.95) / 1.96 == pytest.approx(1.533, abs=0.004)


def test_a_few_units_more_than_planned_do_not_make_the_interval_wider() -> None:
    """Chance deals a pair of arms more than their share in every second experiment."""
    widths = [looks_width(t, 0.95) for t in (0.95, 1.0, 1.001, 1.05, OVERRUN)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] / 1.96 == pytest.approx(1.259, abs=0.003)


def test_after_the_plan_it_is_robbins_width() -> None:
    """2 (1 - Phi(a) + a phi(a)) = 0.2 * 0.05, and a grows as sqrt(a^2 + ln t)."""
    after = OVERRUN + 1e-12
    a = np.sqrt(looks_width(after, 0.95) ** 2 - np.log(after))
    assert 2.0 * (stats.norm.sf(a) + a * stats.norm.pdf(a)) == pytest.approx(0.01, rel=1e-6)
    assert looks_width(4.0, 0.95) ** 2 == pytest.approx(a**2 + np.log(4.0))


def test_nothing_is_said_before_a_twentieth_of_the_plan() -> None:
    assert looks_width(0.0, 0.95) == np.inf
    assert looks_width(FIRST_READ - 1e-9, 0.95) == np.inf
    assert looks_width(FIRST_READ, 0.95) < 6.0


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_looks_at_all_times_are_rarely_wrong(level: float) -> None:
    """2,000 walks without any effect, read 1,000 times within the plan and up to four plans."""
    rng = np.random.default_rng(0)
    times = np.concatenate([np.linspace(FIRST_READ, 1.0, 700), np.linspace(1.01, 4.0, 300)])
    steps = np.sqrt(np.diff(times, prepend=0.0))
    widths = np.array([looks_width(t, level) for t in times])
    wrong = 0
    for _ in range(20):
        walk = np.cumsum(rng.standard_normal((100, 1000)) * steps, axis=1)
        wrong += int((np.abs(walk) > widths * np.sqrt(times)).any(axis=1).sum())
    spread = 3.0 * np.sqrt(2000 * level * (1.0 - level))
    assert wrong <= 2000 * (1.0 - level) + spread
    assert wrong >= 0.5 * 2000 * (1.0 - level)  # a width that never errs is too wide to be of use


def test_a_fixed_width_would_be_wrong_far_too_often() -> None:  # the negative control
    rng = np.random.default_rng(1)
    times = np.linspace(FIRST_READ, 1.0, 84)
    walk = np.cumsum(rng.standard_normal((2000, 84)) * np.sqrt(np.diff(times, prepend=0.0)), axis=1)
    assert (np.abs(walk) > 1.96 * np.sqrt(times)).any(axis=1).mean() > 0.15


def test_strange_information_is_refused() -> None:
    with pytest.raises(ShapeError, match="information"):
        looks_width(float("nan"), 0.95)
    with pytest.raises(ShapeError, match="level"):
        looks_width(0.5, 95.0)
