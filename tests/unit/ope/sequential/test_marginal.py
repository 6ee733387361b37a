"""Marginal ratios and what is built on them, by hand, in their limits and by their derivative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, OverlapError, ShapeError
from nurture_rl.ope.estimators import dm, dr, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.sequential.abstraction import Cells, state_cells
from nurture_rl.ope.sequential.marginal import (
    drl,
    effective_episodes,
    marginal_ratios,
    smis,
)
from nurture_rl.ope.sequential.weighted_dr import value_ahead
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.small_logs import (
    random_predictions,
    random_taken,
    repeated,
)
from tests.unit.ope.sequential.worlds import draw, everywhere, exact_value, graph, model_fail


def four_episodes() -> tuple[EvaluationLog, FloatArray, Cells]:
    """From one first cell to cells 1 or 2; ratios of the first decisions are 3/2, 3/2, 1/2, 1/2."""
    log = evaluation_log(
        features=np.zeros((7, 1)),
        mask=np.ones((7, 2)),
        action=[0, 0, 0, 0, 1, 1, 0],
        propensity=[0.5] * 7,
        reward=[1.0, 4.0, 0.0, 8.0, 2.0, 6.0, 10.0],
        episode=[0, 0, 1, 1, 2, 2, 3],
        step=[0, 1, 0, 1, 0, 1, 0],
        cluster=[0, 1, 2, 3],
        terminal=np.zeros(7),
        action_factors=np.eye(2),
        discount=0.5,
        unit="EUR",
    )
    taken = np.array([0.75, 0.5, 0.75, 0.25, 0.25, 0.75, 0.25])
    return log, taken, state_cells(log, np.array([0, 1, 0, 2, 0, 2, 0]))


def test_ratios_by_hand() -> None:
    log, taken, cells = four_episodes()
    found = marginal_ratios(log, taken / log.propensity, cells, np.ones(4, dtype=bool))
    # One start a row in cell 0. Half of 3/2 reaches cell 1, half of 3/2 + 1/2 cell 2's two rows.
    assert found.omega == pytest.approx([1.0, 0.75, 0.5])
    assert found.mean_ratio == pytest.approx([1.0, 1.0, 1.0])
    assert found.lost == 0.0


def test_the_estimate_by_hand() -> None:
    log, taken, cells = four_episodes()
    # (1.5*1 + 0 + 0.5*2 + 0.5*10) / 4, then 0.75*1*4 and 0.5*(0.5*8 + 1.5*6), over 4
    first, second = 7.5 / 4, (3.0 + 6.5) / 4
    found = smis(log, taken, cells)
    assert found.value == pytest.approx(first + second)
    # Values: v_1 = 4, v_2 = 6.5, v_0 = first + second. Errors of episodes 0 and 3:
    v_0 = first + second
    whole = 1.5 * (1.0 + 2.0 - v_0) + 0.75 * (4.0 - 4.0)
    assert found.influence[0] == pytest.approx(whole / 4)
    assert found.influence[1] == pytest.approx((1.5 * (3.25 - v_0) + 0.5 * 0.5 * (8.0 - 6.5)) / 4)
    assert found.influence[3] == pytest.approx(0.5 * (10.0 - v_0) / 4)


def test_ratios_inside_a_cell_are_brought_to_mean_one() -> None:
    log, taken, cells = four_episodes()
    doubled = marginal_ratios(log, 2.0 * taken / log.propensity, cells, np.ones(4, dtype=bool))
    assert doubled.omega == pytest.approx([1.0, 0.75, 0.5])
    assert doubled.mean_ratio == pytest.approx([2.0, 2.0, 2.0])
    assert smis(log, 0.5 * taken, cells).value == pytest.approx(smis(log, taken, cells).value)


def test_only_the_used_episodes_are_learned_from() -> None:
    log, taken, cells = four_episodes()
    used = np.array([True, False, True, False])
    found = marginal_ratios(log, taken / log.propensity, cells, used)
    # Two starts, two rows; ratios 3/2 and 1/2 keep their mean of 1.
    assert found.omega == pytest.approx([1.0, 0.75, 0.25])
    none = marginal_ratios(log, taken / log.propensity, cells, np.array([False, True, True, False]))
    assert none.omega == pytest.approx([1.0, 0.0, 0.5])


def test_effective_rows_by_hand() -> None:
    log, taken, cells = four_episodes()
    # Without the discount the weights are 1.5, 1.5, 1.5, 0.5, 0.5, 1.5, 0.5 with omega 1.5 and 1.
    weights = np.array([1.5, 1.5, 1.5, 0.5, 0.5, 1.5, 0.5])
    share = weights.sum() ** 2 / (weights**2).sum() / 7
    assert smis(log, taken, cells).ess == pytest.approx(4 * share)
    assert effective_episodes(log, np.array([1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0])) == pytest.approx(
        4
    )


def test_one_cell_and_one_decision_is_snips() -> None:
    log = random_log(0, [1] * 12)
    taken = random_taken(1, log)
    one, other = smis(log, taken, state_cells(log, np.zeros(12, dtype=np.int64))), snips(log, taken)
    assert one.value == pytest.approx(other.value)
    assert one.influence == pytest.approx(other.influence)
    assert one.ess == pytest.approx(other.ess)


def test_target_equal_to_logging_gives_the_mean_return() -> None:
    log = random_log(2, [3, 1, 4, 2, 4, 4])
    cells = state_cells(log, np.zeros(log.n_rows, dtype=np.int64))
    worth = log.discount**log.step * log.reward
    assert smis(log, log.propensity, cells).value == pytest.approx(worth.sum() / 6)


def test_influence_is_the_derivative_of_the_value() -> None:
    log = random_log(3, [2, 1, 3, 2, 2, 3, 3])
    taken = random_taken(4, log)
    state = np.random.default_rng(5).integers(2, size=log.n_rows)
    heavier, rows = repeated(log, episode=2, copies=4000)
    before = smis(log, taken, state_cells(log, state))
    after = smis(heavier, taken[rows], state_cells(heavier, state[rows]))
    assert after.value - before.value == pytest.approx(before.influence[2] / 4000, rel=2e-3)


def test_irregular_bins_discount_by_the_bins_between() -> None:
    log, taken, cells = four_episodes()
    wide = replace(log, step=np.array([0, 3, 0, 3, 0, 3, 0]))
    assert smis(wide, taken, cells).value == pytest.approx(7.5 / 4 + 0.25 * (3.0 + 6.5) / 4)


def test_a_target_that_leaves_the_log_is_refused() -> None:
    log, taken, cells = four_episodes()
    lost = np.where(cells.cell == 1, 0.0, taken)
    # 0.75 of the 4 + 0.75 + 1 visits end in cell 1
    with pytest.raises(OverlapError, match=r"13\.0% of the target's visits"):
        smis(log, lost, cells)
    with pytest.raises(OverlapError, match=r"100\.0%"):
        smis(log, np.zeros(7), cells)


def test_a_cell_that_is_hardly_visited_may_be_lost() -> None:
    log = random_log(6, [2] * 60)
    state = np.where(np.arange(120) == 1, 1, 0)
    taken = np.where(state == 1, 0.0, random_taken(7, log))
    assert np.isfinite(smis(log, taken, state_cells(log, state)).value)


def test_one_decision_makes_drl_dr() -> None:
    log = random_log(8, [1] * 12)
    taken, model = random_taken(9, log), random_predictions(10, 12)
    found = drl(log, taken, model, state_cells(log, np.zeros(12, dtype=np.int64)))
    assert found.value == pytest.approx(dr(log, taken, model).value)
    assert found.influence == pytest.approx(dr(log, taken, model).influence)


def test_drl_by_hand() -> None:
    log, taken, cells = four_episodes()
    model = ValuePredictions(
        q_logged=np.array([1.0, 3.0, 2.0, 5.0, 1.0, 4.0, 9.0]),
        value=np.array([2.0, 3.0, 1.0, 4.0, 3.0, 5.0, 8.0]),
    )
    # Two folds: contacts 0 and 2 learn from 1 and 3, and the other way round. From 1 and 3 ratios
    # are 3/2 and 1/2: cell 1 is never reached, cell 2's row gets 0.75. From 0 and 2: 0.75 and 0.25.
    weights = np.array([1.5, 0.0, 1.5, 0.25 * 0.5, 0.5, 0.75 * 1.5, 0.5])
    surprise = log.reward + value_ahead(log, model.value) - model.q_logged
    found = drl(log, taken, model, cells, n_folds=2)
    expected = (2.0 + 1.0 + 3.0 + 8.0 + weights @ surprise) / 4
    assert found.value == pytest.approx(expected)
    assert found.ess == pytest.approx(effective_episodes(log, weights))


def test_a_perfect_model_leaves_drl_the_direct_method() -> None:
    log = random_log(11, [2, 3, 1, 2])
    model = random_predictions(12, log.n_rows)
    exact = replace(model, q_logged=log.reward + value_ahead(log, model.value))
    cells = state_cells(log, np.zeros(log.n_rows, dtype=np.int64))
    found = drl(log, random_taken(13, log), exact, cells)
    assert found.influence == pytest.approx(dm(log, exact).influence)


def test_a_contact_never_shapes_its_own_ratio() -> None:
    log, taken, cells = four_episodes()
    model = random_predictions(14, 7)
    both = replace(log, cluster=np.array([0, 0, 1, 1]))
    # The first row's ratio moves the omega of the other contact alone.
    moved = np.where(np.arange(7) == 0, 0.1, taken)
    before = drl(both, taken, replace(model, q_logged=np.zeros(7)), cells)
    silent = replace(model, value=np.zeros(7), q_logged=both.reward)
    assert drl(both, moved, silent, cells).value == pytest.approx(0.0)
    assert before.n_clusters == 2


def test_known_values_and_the_bias_of_hidden_states() -> None:
    """On the graph cells are Markov; where states look alike marginal weights are wrong."""
    rng = np.random.default_rng(15)
    world = graph(slip=0.25)
    target = everywhere(world, [0.2, 0.8])
    log, state = draw(world, everywhere(world, [0.6, 0.4]), 8000, rng)
    taken = target[state, log.action]
    found = smis(log, taken, state_cells(log, state))
    assert abs(found.value - exact_value(world, target)) < 4 * found.stderr
    hidden = model_fail()
    target = everywhere(hidden, [0.2, 0.8])
    log, state = draw(hidden, everywhere(hidden, [0.5, 0.5]), 8000, rng)
    taken = target[state, log.action]
    blind = smis(log, taken, state_cells(log, hidden.observed[state]))
    seeing = smis(log, taken, state_cells(log, state))
    assert abs(blind.value - 0.6) > 20 * blind.stderr
    assert abs(seeing.value - 0.6) < 4 * seeing.stderr


def test_what_cannot_be_weighed_is_refused() -> None:
    log, taken, cells = four_episodes()
    model = random_predictions(16, 7)
    with pytest.raises(ShapeError, match=r"taken must be \[7\]"):
        smis(log, taken[:3], cells)
    with pytest.raises(FitError, match="at least 2 folds and 2 contacts"):
        drl(log, taken, model, cells, n_folds=1)
    with pytest.raises(FitError, match="needed, got 5 and 1"):
        drl(replace(log, cluster=np.zeros(4, dtype=np.int64)), taken, model, cells)
