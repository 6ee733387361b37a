"""Corrected visits: both passes agree, by hand and with a tabular model, without propensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.sequential.abstraction import Cells, state_cells
from nurture_rl.ope.sequential.dice import correction, dice
from nurture_rl.ope.sequential.marginal import effective_episodes
from nurture_rl.ope.sequential.weighted_dr import value_ahead
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import random_target, repeated
from tests.unit.ope.sequential.worlds import draw, everywhere, exact_value, graph


def three_episodes() -> tuple[EvaluationLog, FloatArray, Cells]:
    """One cell, then cells 1 and 2; cell 2 shows action 1 alone."""
    log = evaluation_log(
        features=np.zeros((5, 1)),
        mask=np.ones((5, 2)),
        action=[0, 0, 1, 1, 1],
        propensity=[0.5] * 5,
        reward=[1.0, 4.0, 2.0, 8.0, 6.0],
        episode=[0, 0, 1, 1, 2],
        step=[0, 1, 0, 1, 0],
        cluster=[0, 1, 2],
        terminal=np.zeros(5),
        action_factors=np.eye(2),
        discount=0.5,
        unit="EUR",
    )
    target = np.array([[0.4, 0.6], [1.0, 0.0], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    return log, target, state_cells(log, np.array([0, 1, 0, 2, 0]))


def test_both_passes_by_hand() -> None:
    log, target, cells = three_episodes()
    found = correction(log, target, cells)
    # Cell 1 is worth 4 and cell 2 is worth 8, unseen action included. q_00 = 1 + 4/2 = 3 from one
    # row, q_01 = ((2 + 8/2) + 6) / 2 = 6.
    assert found.q == pytest.approx(
        np.array([[3.0, 6.0], [4.0, np.nan], [np.nan, 8.0]]), nan_ok=True
    )
    assert found.mean == pytest.approx([5.0, 4.0, 8.0])
    assert found.value == pytest.approx([4.8, 4.0, 4.8, 8.0, 5.7])
    # Visits: action 0 0.4 + 0.4 + 0.1 = 0.9 on one row, action 1 2.1 on two.
    assert found.zeta == pytest.approx([0.9, 0.45, 1.05, 0.525 * 0.9, 1.05])
    assert found.lent == pytest.approx([0.0, 0.0, 0.0, 0.525 * 0.1, 0.0])


def test_visits_times_rewards_is_the_model_value() -> None:
    log, target, cells = three_episodes()
    found = correction(log, target, cells)
    assert ((found.zeta + found.lent) @ log.reward) / 3 == pytest.approx((4.8 + 4.8 + 5.7) / 3)
    log = random_log(0, [3, 1, 4, 2, 4, 4, 3])
    target = random_target(1, log)
    cells = state_cells(log, np.random.default_rng(2).integers(2, size=log.n_rows))
    both = correction(log, target, cells)
    first = both.value[log.step == 0].mean()
    assert ((both.zeta + both.lent) @ log.reward) / 7 == pytest.approx(first)


def test_the_estimate_and_its_error_by_hand() -> None:
    log, target, cells = three_episodes()
    # 0.0525 of 4.5 visits are to what no row shows: 1.3 %.
    visits = 3.0 + 0.45 + 0.525
    assert 0.0525 / visits < 0.02
    found = dice(log, target, cells)
    assert found.value == pytest.approx(5.1)
    # 4.8 - 5.1 and nothing learned from single rows; 4.8 - 5.1 + 1.05 * (6 - 6); 5.7 - 5.1 + 0.
    assert found.influence == pytest.approx([-0.1, -0.1, 0.2])
    weights = np.array([0.9, 0.45, 1.05, 0.525, 1.05])
    assert found.ess == pytest.approx(effective_episodes(log, weights))


def test_lent_visits_have_their_part_in_the_error() -> None:
    log = random_log(6, [2] * 40 + [1] * 40)
    rng = np.random.default_rng(7)
    action = np.where(np.arange(log.n_rows) == 5, 1, np.where(log.step == 0, log.action, 0))
    log = replace(log, action=action, mask=np.ones_like(log.mask), reward=rng.normal(size=120))
    # Of the second decisions one shows action 1 and none action 2, which the target hardly takes.
    target = np.tile([0.55, 0.43, 0.02], (log.n_rows, 1))
    cells = state_cells(log, np.zeros(log.n_rows, dtype=np.int64))
    found = correction(log, target, cells)
    assert 0.0 < found.lent.sum() < 0.02 * (found.zeta + found.lent).sum()
    outcome = log.reward + value_ahead(log, found.value)
    error = found.zeta * (outcome - found.q[cells.cell, log.action])
    error += found.lent * (outcome - found.mean[cells.cell])
    whole = found.value[log.step == 0] + np.bincount(log.episode, weights=error)
    estimate = dice(log, target, cells)
    assert estimate.value == pytest.approx(whole.mean())
    assert estimate.influence == pytest.approx((whole - whole.mean()) / 80)


def test_influence_is_the_derivative_of_the_value() -> None:
    log = random_log(3, [2, 1, 3, 2, 2, 3, 3, 3, 2, 3])
    log = replace(log, mask=np.ones_like(log.mask))
    target = random_target(4, log)
    state = np.zeros(log.n_rows, dtype=np.int64)
    heavier, rows = repeated(log, episode=2, copies=4000)
    before = correction(log, target, state_cells(log, state))
    # Some pairs are unseen, so ask the passes and not the gate of the estimate.
    after = correction(heavier, target[rows], state_cells(heavier, state[rows]))
    gain = after.value[heavier.step == 0].mean() - before.value[log.step == 0].mean()
    cells = state_cells(log, state)
    outcome = log.reward + value_ahead(log, before.value)
    error = before.zeta * (outcome - before.q[cells.cell, log.action])
    error += before.lent * (outcome - before.mean[cells.cell])
    own = log.episode == 2
    slope = (before.value[own][0] - before.value[log.step == 0].mean() + error[own].sum()) / 10
    assert gain == pytest.approx(slope / 4000, rel=2e-3)


def test_propensities_change_nothing() -> None:
    world = graph(slip=0.25)
    target = everywhere(world, [0.2, 0.8])
    log, state = draw(world, everywhere(world, [0.6, 0.4]), 8000, np.random.default_rng(5))
    cells = state_cells(log, state)
    found = dice(log, target[state], cells)
    assert abs(found.value - exact_value(world, target)) < 4 * found.stderr
    wrong = replace(log, propensity=np.full(log.n_rows, 0.01))
    assert dice(wrong, target[state], cells).value == found.value


def test_a_target_that_goes_where_no_row_is_is_refused() -> None:
    log, target, cells = three_episodes()
    target = np.where(np.arange(5)[:, None] == 3, [[0.9, 0.1]], target)
    with pytest.raises(OverlapError, match=r"11\.9% of the target's visits"):
        dice(log, target, cells)


def test_a_target_of_another_log_is_refused() -> None:
    log, target, cells = three_episodes()
    with pytest.raises(ShapeError, match=r"target must be \(5, 2\)"):
        dice(log, target[:4], cells)
