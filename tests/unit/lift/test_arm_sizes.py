"""Sample ratio mismatch that may be read every day."""

from __future__ import annotations

import numpy as np

from nurture_rl.lift.arm_sizes import arm_sizes

PLAN = {"policy": 0.6, "usual": 0.3, "holdout": 0.1}


def test_counts_as_planned_pass() -> None:
    assert arm_sizes({"policy": 600, "usual": 300, "holdout": 100}, PLAN).as_planned


def test_a_lost_tenth_of_an_arm_is_found() -> None:
    found = arm_sizes({"policy": 6000, "usual": 3000, "holdout": 700}, PLAN)
    assert not found.as_planned
    assert found.chance < 1e-6


def test_an_arm_without_anybody_is_found() -> None:
    assert not arm_sizes({"policy": 600, "usual": 400}, PLAN).as_planned


def test_daily_reads_raise_few_false_alarms() -> None:
    """300 experiments that are dealt as planned, read after each of 60 days."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        counts = rng.multinomial(40, list(PLAN.values()), size=60).cumsum(axis=0)
        reads = [arm_sizes(dict(zip(PLAN, day, strict=True)), PLAN) for day in counts]
        alarms += any(not read.as_planned for read in reads)
    assert alarms <= 9  # 3 are expected at most; P(more than 9) is below 0.2 %
