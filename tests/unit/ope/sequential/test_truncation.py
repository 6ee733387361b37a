"""How far weights reach, and the bounds on what lies behind."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.diagnostics import OverlapThresholds, overlap
from nurture_rl.ope.estimators import ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.sequential.truncation import (
    effective_by_horizon,
    max_feasible_horizon,
    mixed_second_moment,
    truncated_ips,
    truncated_snips,
)
from nurture_rl.ope.targets import TargetOnLog
from tests.unit.ope.log_makers import random_log, two_episodes
from tests.unit.ope.sequential.small_logs import random_taken
from tests.unit.ope.sequential.worlds import World, draw, everywhere


def with_moment(log: EvaluationLog, moment: FloatArray | float) -> TargetOnLog:
    return TargetOnLog(
        probabilities=np.zeros(log.mask.shape),
        taken=np.zeros(log.n_rows),
        second_moment=np.broadcast_to(moment, (log.n_rows,)).astype(np.float64),
        unsupported=None,
    )


@pytest.mark.parametrize(
    ("n_actions", "greedy", "moment", "effective"),
    [
        (10, 0.5, 3.25, {1: "3.08e+05", 5: "2.76e+03", 10: "7.61", 20: "5.79e-05", 60: "1.94e-25"}),
        (
            10,
            0.1,
            1.09,
            {1: "9.17e+05", 5: "6.5e+05", 10: "4.22e+05", 20: "1.78e+05", 60: "5.68e+03"},
        ),
        (20, 0.1, 1.19, {1: "8.4e+05", 5: "4.19e+05", 10: "1.76e+05", 20: "3.08e+04", 60: "29.3"}),
        (
            50,
            0.05,
            1.1225,
            {1: "8.91e+05", 5: "5.61e+05", 10: "3.15e+05", 20: "9.91e+04", 60: "975"},
        ),
    ],
)
def test_published_table_of_trajectory_weights(
    n_actions: int, greedy: float, moment: float, effective: dict[int, str]
) -> None:
    assert mixed_second_moment(n_actions, greedy) == pytest.approx(moment)
    found = {h: f"{effective_by_horizon(1e6, moment, h):.3g}" for h in effective}
    assert found == effective


def test_a_chained_bandit_loses_its_sample_by_a_constant_factor() -> None:
    """Steps alike and independent: E[w^2] = M^H, so the ESS falls like M^-H."""
    once = np.ones((1, 3, 1))
    world = World(once, np.zeros((1, 3, 1)), 0, frozenset(), np.zeros(1, dtype=np.int64), 6, 1.0)
    logging, target = np.full(3, 1 / 3), np.array([0.5, 0.3, 0.2])
    log, _ = draw(world, everywhere(world, logging), 40_000, np.random.default_rng(0))
    moment = float((target**2 / logging).sum())
    asked = replace(with_moment(log, moment), taken=target[log.action])
    found = overlap(log, asked, OverlapThresholds())
    for h, ess in enumerate(found.ess_by_step, start=1):
        assert ess == pytest.approx(effective_by_horizon(40_000, moment, h), rel=0.05)


@pytest.mark.parametrize(
    ("min_ess", "expected"), [(9.0, 0), (7.9, 0), (4.1, 0), (3.9, 1), (2.1, 1), (1.9, 2), (0.4, 4)]
)
def test_feasible_horizon_by_hand(min_ess: float, expected: int) -> None:
    log = random_log(1, [4] * 8)
    # 8 episodes halve at each decision: 4, 2, 1, 0.5
    assert max_feasible_horizon(log, with_moment(log, 2.0), min_ess) == expected


def test_moments_are_averaged_place_by_place() -> None:
    log = random_log(2, [3, 3])
    # mean moments 1, 2, 1: 2, then 1, 1 episodes
    moment = np.array([0.5, 3.0, 1.0, 1.5, 1.0, 1.0])
    assert max_feasible_horizon(log, with_moment(log, moment), 1.5) == 1
    assert max_feasible_horizon(log, with_moment(log, moment), 0.9) == 3


def test_nothing_is_left_behind_a_decision_the_target_never_takes() -> None:
    log = random_log(3, [3, 3])
    moment = np.array([1.0, 0.0, 1.0] * 2)
    assert max_feasible_horizon(log, with_moment(log, moment), 0.1) == 1


def test_a_threshold_must_be_positive() -> None:
    log = random_log(4, [1])
    with pytest.raises(ShapeError, match="positive effective sample size, got 0"):
        max_feasible_horizon(log, with_moment(log, 1.0), 0.0)


def test_first_decisions_by_hand() -> None:
    log, taken = two_episodes()
    # (2*1 + 0.5*2)/2 and (2*1 + 0.5*2)/2.5; who goes on: weight 2 of 2.5
    one, other = truncated_ips(log, taken, 1), truncated_snips(log, taken, 1)
    assert one.estimate.value == pytest.approx(1.5)
    assert other.estimate.value == pytest.approx(1.2)
    for found in (one, other):
        assert (found.kept, found.horizon) == (1, 2)
        assert found.reaching == pytest.approx(0.8)
        # rewards in [1, 4], half a decision's worth at bin 1
        assert found.least == 0.0
        assert found.most == pytest.approx(0.8 * 0.5 * 4.0)
    signed = truncated_ips(replace(log, reward=np.array([1.0, 4.0, -2.0])), taken, 1)
    assert signed.least == pytest.approx(0.8 * 0.5 * -2.0)
    assert signed.most == pytest.approx(0.8 * 0.5 * 4.0)
    ranged = truncated_ips(log, taken, 1, reward_range=(-10.0, -2.0))
    assert ranged.least == pytest.approx(-4.0)
    assert ranged.most == 0.0


def test_the_rest_counts_bins_up_to_the_last_of_the_log() -> None:
    log, taken = two_episodes()
    late: IntArray = np.array([7, 10, 2])
    found = truncated_ips(replace(log, step=late), taken, 1)
    assert found.most == pytest.approx(0.8 * 4.0 * (0.5 + 0.25 + 0.125))


def test_all_decisions_leave_nothing_open() -> None:
    log = random_log(5, [3, 1, 2])
    taken = random_taken(6, log)
    for found, whole in (
        (truncated_ips(log, taken, 3), ips(log, taken)),
        (truncated_snips(log, taken, 3), snips(log, taken)),
    ):
        assert found.estimate.value == whole.value
        assert found.estimate.influence == pytest.approx(whole.influence)
        assert (found.reaching, found.least, found.most) == (0.0, 0.0, 0.0)


def test_the_bounds_hold_the_exact_rest() -> None:
    log = random_log(7, [4] * 50 + [2] * 20)
    kept = truncated_ips(log, log.propensity, 2)
    rest = ips(log, log.propensity).value - kept.estimate.value
    assert kept.least <= rest <= kept.most
    assert kept.reaching == pytest.approx(50 / 70)


@pytest.mark.parametrize("kept", [0, 3])
def test_a_number_of_decisions_the_log_does_not_have_is_refused(kept: int) -> None:
    log, taken = two_episodes()
    with pytest.raises(ShapeError, match=f"keep 1 to 2 decisions of an episode, got {kept}"):
        truncated_snips(log, taken, kept)


def test_dead_weights_cannot_say_who_goes_on() -> None:
    log, _ = two_episodes()
    with pytest.raises(OverlapError, match="all weights are 0 at decision 0"):
        truncated_ips(log, np.zeros(3), 1)


def test_the_documented_table_is_computed() -> None:
    page = (Path(__file__).parents[4] / "docs" / "ope-sequential.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if re.match(r"\| \d+, ", line)]
    assert len(lines) == 4
    shares = (0.5, 0.1, 0.1, 0.05)
    for line, share in zip(lines, shares, strict=True):
        name, *numbers = (cell.strip() for cell in line.strip("|").split("|"))
        moment = mixed_second_moment(int(name.split(",")[0]), share)
        left = [effective_by_horizon(1e6, moment, h) for h in (1, 5, 10, 20, 60)]
        assert numbers == [f"{moment:.4g}", *(f"{ess:.3g}" for ess in left)]
