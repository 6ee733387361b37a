"""Calibration error and Brier skill against hand calculations and known truth."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ShapeError
from nurture_rl.predictions.judged_chances import judged_chances


def test_scores_match_a_hand_calculation() -> None:
    chance = np.array([0.1, 0.3, 0.8, 0.6])
    happened = np.array([False, False, True, True])
    found = judged_chances(chance, happened, np.arange(4))
    brier = (0.01 + 0.09 + 0.04 + 0.16) / 4
    assert found.brier == pytest.approx(brier)
    assert found.brier_skill == pytest.approx(1 - brier / 0.25)
    # Each decision is a bin of its own.
    assert found.ece == pytest.approx((0.1 + 0.3 + 0.2 + 0.4) / 4)


def test_the_base_rate_has_no_skill_and_wrong_rates_are_off_by_their_error() -> None:
    happened = np.arange(1000) % 5 == 0
    assert judged_chances(np.full(1000, 0.2), happened, np.arange(1000)).brier_skill == 0.0
    assert judged_chances(np.full(1000, 0.25), happened, np.arange(1000)).ece == pytest.approx(0.05)


def test_right_chances_err_by_luck_alone() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.0, 0.4, 20000)
    found = judged_chances(chance, rng.random(20000) < chance, np.arange(20000))
    assert found.ece < 2.0 * found.ece_by_chance
    assert found.skill_low > 0.0


def test_the_interval_covers_the_skill_where_clusters_hold_several_decisions() -> None:
    rng = np.random.default_rng(1)
    covered, alone = 0, 0
    for _ in range(300):
        chance = np.repeat(rng.uniform(0.05, 0.6, 120), 6)
        happened = np.repeat(rng.random(120), 6) < chance  # all six share their luck
        who = np.repeat(np.arange(120), 6)
        truth = 1.0 - (chance * (1 - chance)).mean() / (0.325 * 0.675)
        found = judged_chances(chance, happened, who)
        covered += found.skill_low <= truth <= found.skill_high
        naive = judged_chances(chance, happened, np.arange(720))
        alone += naive.skill_low <= truth <= naive.skill_high
    assert covered >= 270  # 285 expected; four standard deviations are 15
    assert alone < 240  # negative control: decisions taken for independent


def test_outcomes_of_one_kind_alone_are_refused() -> None:
    with pytest.raises(ShapeError, match="with the outcome and without"):
        judged_chances(np.full(5, 0.1), np.zeros(5, bool), np.arange(5))


def test_few_accounts_make_long_intervals_and_one_makes_none() -> None:
    chance, happened = np.tile([0.1, 0.3, 0.8, 0.6], 3), np.tile([0, 0, 1, 1], 3).astype(bool)
    chance[0] = 0.2
    two = np.repeat([0, 1], 6)
    found = judged_chances(chance, happened, two)
    error, constant = (chance - happened) ** 2, np.full(12, 0.25)
    ratio = error.sum() / constant.sum()
    psi = np.bincount(two, error - ratio * constant) / constant.sum()
    half = 12.7062 * np.sqrt(2.0 * (psi @ psi))  # Student's t, one degree of freedom
    assert found.skill_high - found.brier_skill == pytest.approx(half, rel=1e-4)
    with pytest.raises(ShapeError, match="two clusters or more"):
        judged_chances(chance, happened, np.zeros(12, int))
