"""Trajectory weights fail as predicted, and the step that is feasible is the largest one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.checks.feasibility import (
    feasibility_findings,
    largest_step,
    least_second_moment,
    mixed_moments,
    predicted_ess,
)
from nurture_rl.ope.checks.findings import CheckThresholds, Severity
from nurture_rl.ope.estimators import cumulative_weights
from nurture_rl.ope.targets import TargetOnLog, on_logged_rows
from tests.unit.ope.log_makers import bandit_log, random_log

LIMITS = CheckThresholds()


# Million episodes under a uniform logger: greedy shares of the target, then ESS by horizon.
@pytest.mark.parametrize(
    ("actions", "greedy", "moment", "ess"),
    [
        (10, 0.5, 3.25, {1: 308e3, 5: 2.8e3, 10: 7.6, 20: 6e-5, 60: 2e-25}),
        (10, 0.1, 1.09, {1: 917e3, 5: 650e3, 10: 422e3, 20: 178e3, 60: 5.7e3}),
        (20, 0.1, 1.19, {1: 840e3, 5: 419e3, 10: 176e3, 20: 31e3, 60: 29}),
        (50, 0.05, 1.12, {1: 891e3, 5: 561e3, 10: 315e3, 20: 99e3, 60: 975}),
    ],
)
def test_ess_falls_by_the_second_moment_every_decision(
    actions: int, greedy: float, moment: float, ess: dict[int, float]
) -> None:
    mixed = mixed_moments(np.array([float(actions)]), np.ones(1), greedy)
    assert mixed[0] == pytest.approx(moment, abs=5e-3)
    for horizon, due in ess.items():
        found = predicted_ess(1_000_000, np.full(horizon, mixed[0]))
        assert found == pytest.approx(due, rel=0.13 if due < 1e-3 else 0.02)


def test_prediction_stays_within_the_log() -> None:
    assert predicted_ess(50, np.array([0.5, 0.5])) == 50.0
    assert predicted_ess(50, np.array([1.0, 0.0])) == 0.0
    assert predicted_ess(50, np.array([2.0, 1.25])) == pytest.approx(20.0)


def test_moments_of_a_mixture() -> None:
    # Logging (.5, .5), target (.9, .1): M = 1.64; with a third between, all by hand.
    found = mixed_moments(np.array([1.64]), np.ones(1), 0.25)
    assert found[0] == pytest.approx((0.6**2 + 0.4**2) / 0.5)
    part = mixed_moments(np.array([0.32]), np.array([0.4]), 0.5)
    # Target (.4, 0, .6) against (.5, .5, 0): (0.45^2 + 0.25^2) / 0.5.
    assert part[0] == pytest.approx((0.45**2 + 0.25**2) / 0.5)


def test_the_largest_step_keeps_the_predicted_ess() -> None:
    # (1 + 9 alpha^2)^20 = 1e6 / 100.
    step = largest_step(1_000_000, np.full(20, 10.0), np.ones(20), LIMITS)
    assert step.alpha == pytest.approx(np.sqrt((1e4 ** (1 / 20) - 1) / 9))
    assert step.predicted_ess == pytest.approx(100.0)
    assert step.full_ess == pytest.approx(1e6 * 10.0**-20)
    assert (step.min_ess, step.horizon) == (100.0, 20)


def test_a_feasible_target_is_the_whole_step() -> None:
    step = largest_step(1000, np.array([2.0, 2.0]), np.ones(2), LIMITS)
    assert step.alpha == 1.0
    assert step.predicted_ess == step.full_ess == pytest.approx(250.0)


def test_mass_without_a_chance_bounds_the_step() -> None:
    step = largest_step(1000, np.array([1.0, 1.0]), np.array([1.0, 0.8]), LIMITS)
    assert step.alpha == pytest.approx(0.01 / 0.2)


def test_too_short_a_log_allows_no_step() -> None:
    assert largest_step(99, np.full(2, 1.5), np.ones(2), LIMITS).alpha == 0.0


def chain(n: int, length: int, target: float) -> tuple[object, TargetOnLog, np.ndarray]:
    log = random_log(0, [length] * n, n_actions=2)
    rows = log.n_rows
    action = (np.arange(rows) // length >> np.arange(rows) % length) & 1
    log = replace(
        log,
        mask=np.ones((rows, 2), dtype=bool),
        action=action,
        propensity=np.full(rows, 0.5),
        logged_probabilities=np.full((rows, 2), 0.5),
    )
    chances = np.tile([1 - target, target], (rows, 1))
    moment = np.full(rows, 2 * (target**2 + (1 - target) ** 2))
    on_log = TargetOnLog(chances, chances[np.arange(rows), action], moment, np.zeros(rows))
    return log, on_log, cumulative_weights(log, on_log.taken)


def test_findings_of_a_target_that_goes_too_far() -> None:
    log, target, weights = chain(512, 4, 1.0)
    found, step = feasibility_findings(log, target, weights, LIMITS)  # type: ignore[arg-type]
    trajectory, by_horizon = found
    # M = 2: 512 / 2^4 = 32 episodes; after two decisions 128, after three 64.
    assert trajectory.severity is Severity.REFUSE
    assert trajectory.numbers["predicted_ess"] == pytest.approx(32.0)
    assert step.alpha == pytest.approx(np.sqrt(5.12**0.25 - 1))
    assert f"largest feasible step is {step.alpha:.1%}" in trajectory.advice
    assert by_horizon.severity is Severity.WARN
    assert by_horizon.numbers["reached"] == 2.0
    assert by_horizon.numbers["last"] == pytest.approx(32.0)
    assert "holds for 2 of 4 decisions" in by_horizon.sentence


def test_findings_of_a_target_that_is_carried() -> None:
    log, target, weights = chain(512, 4, 0.5)
    found, step = feasibility_findings(log, target, weights, LIMITS)  # type: ignore[arg-type]
    assert [one.severity for one in found] == [Severity.OK, Severity.OK]
    assert [one.advice for one in found] == ["", ""]
    assert found[1].numbers["reached"] == 4.0
    assert step.alpha == 1.0


def test_unsupported_mass_is_read_from_the_target() -> None:
    log, target, weights = chain(512, 2, 0.5)
    gap = replace(target, unsupported=np.full(1024, 0.25))
    _, step = feasibility_findings(log, gap, weights, LIMITS)  # type: ignore[arg-type]
    assert step.alpha == pytest.approx(0.04)
    unknown = replace(target, unsupported=None)
    _, step = feasibility_findings(log, unknown, weights, LIMITS)  # type: ignore[arg-type]
    assert step.alpha == 1.0


def test_a_weight_that_did_not_turn_up_counts_where_only_propensities_are_known() -> None:
    """1,500 decisions, half of them with a chance of 0.004 for what the target always does."""
    greedy = np.arange(1500) % 2
    log = bandit_log(greedy.tolist(), [0.996] * 1500, [1.0] * 1500)
    target = on_logged_rows(log, np.tile([1.0, 0.0], (1500, 1)))
    assert np.mean(target.second_moment) == pytest.approx(0.5 / 0.996**2)
    weights = cumulative_weights(log, target.taken)
    (trajectory, _), step = feasibility_findings(log, target, weights, LIMITS)
    # 1 / 0.996 in one half, 1 / 0.004 in the other.
    assert step.full_ess == pytest.approx(1500 / (0.5 / 0.996 + 0.5 / 0.004))
    assert trajectory.severity is Severity.REFUSE


def test_the_least_second_moment_by_hand() -> None:
    found = least_second_moment(np.array([0.5, 0.8, 1.0]), np.array([0.9, 0.8, 0.7]))
    assert found == pytest.approx([0.81 / 0.5 + 0.01 / 0.5, 1.0, 0.49])


def test_one_decision_is_told_as_one() -> None:
    log, target, weights = chain(512, 1, 0.5)
    (trajectory, by_horizon), _ = feasibility_findings(
        log,  # type: ignore[arg-type]
        target,
        weights,
        LIMITS,
    )
    assert trajectory.sentence.startswith("over 1 decision weights are predicted")
    assert by_horizon.sentence.endswith("holds for 1 of 1 decision")
