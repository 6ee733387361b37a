"""Cells keep bins apart, hold enough rows, and put like with like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.named_estimators import ESTIMATORS, Question
from nurture_rl.ope.sequential.abstraction import (
    CellConfig,
    bins_of,
    state_cells,
    value_cells,
)
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, ValuePredictions, fit_value, value_design
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.sequential.worlds import World, draw, everywhere, exact_value


def test_states_are_told_apart_by_bin() -> None:
    log = random_log(0, [3, 2])
    cells = state_cells(log, np.array([7, 7, 5, 5, 7]))
    # by bin, then state: bin 0 has 5 and 7, bin 1 has 7, bin 2 has 5
    assert cells.cell.tolist() == [1, 2, 3, 0, 2]
    assert cells.count == 4
    found = [(rows.tolist(), inside) for rows, inside in bins_of(cells)]
    assert found == [([0, 3], slice(0, 2)), ([1, 4], slice(2, 3)), ([2], slice(3, 4))]


def test_bins_follow_the_clock_and_not_the_place_in_the_episode() -> None:
    log = replace(random_log(1, [2, 2]), step=np.array([0, 5, 5, 9]))
    assert state_cells(log, np.zeros(4, dtype=np.int64)).cell.tolist() == [0, 1, 1, 2]


def test_value_cells_cut_each_bin_into_equal_parts_by_value() -> None:
    log = random_log(2, [2] * 6)
    value = np.array([9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0, 5.0, 4.0, 6.0])
    model = ValuePredictions(q_logged=np.zeros(12), value=value)
    cells = value_cells(log, model, CellConfig(groups=3, min_rows=1))
    # bin 0 holds 9..4, its lowest third first; bin 1 holds 1..6
    assert cells.cell[::2].tolist() == [2, 2, 1, 1, 0, 0]
    assert cells.cell[1::2].tolist() == [3, 3, 4, 4, 5, 5]


def test_thin_bins_get_fewer_groups() -> None:
    log = random_log(3, [2] * 10 + [1] * 30)
    model = ValuePredictions(np.zeros(50), np.random.default_rng(4).normal(size=50))
    cells = value_cells(log, model, CellConfig(groups=20, min_rows=10))
    assert np.bincount(cells.cell).tolist() == [10, 10, 10, 10, 10]
    assert value_cells(log, model).count == 2


def test_what_makes_no_cells_is_refused() -> None:
    log = random_log(13, [1, 1])
    with pytest.raises(ShapeError, match=r"state must be \[2\]"):
        state_cells(log, np.zeros(3, dtype=np.int64))
    for config in (CellConfig(groups=0), CellConfig(min_rows=0)):
        with pytest.raises(FitError, match="at least one group and one row"):
            value_cells(log, ValuePredictions(np.zeros(2), np.zeros(2)), config)


def test_few_contexts_are_cells_of_their_own() -> None:
    """Three contexts of unequal size: thirds of equally many rows would mix them."""
    log = random_log(8, [1] * 100)
    kind = np.repeat([0, 1, 2], [60, 30, 10])
    log = replace(log, features=kind[:, None].astype(np.float32), mask=np.ones_like(log.mask))
    model = ValuePredictions(np.zeros(100), kind + 0.01 * np.random.default_rng(0).random(100))
    cells = value_cells(log, model, CellConfig(groups=3, min_rows=10))
    assert [np.unique(cells.cell[kind == k]).size for k in range(3)] == [1, 1, 1]
    assert cells.count == 3
    # 34 rows a context are asked for, 33 are there: lumped by value, in thirds.
    lumped = value_cells(log, model, CellConfig(groups=3, min_rows=10, whole_rows=34))
    assert sorted(np.bincount(lumped.cell).tolist()) == [33, 33, 34]
    assert value_cells(log, model, CellConfig(3, 10, 33)).cell.tolist() == cells.cell.tolist()


def test_the_suite_finds_a_tabular_truth_that_groups_of_equal_size_missed() -> None:
    """A walk on six places that pays at one end, the place being the whole state."""
    size, length = 6, 10
    transition, reward = np.zeros((size, 2, size)), np.zeros((size, 2, size))
    for place in range(size):
        up, down = min(place + 1, size - 1), max(place - 1, 0)
        for action, there, back in ((1, up, down), (0, down, up)):
            transition[place, action, there] += 0.9
            transition[place, action, back] += 0.1
    reward[:, :, size - 1], reward[:, :, 0] = 1.0, -0.5
    world = World(transition, reward, size // 2, frozenset(), np.arange(size), length, 1.0)
    target = everywhere(world, [0.2, 0.8])
    truth = exact_value(world, target)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        log, state = draw(world, everywhere(world, [0.6, 0.4]), 3000, rng)
        chosen = target[state]
        model = fit_value(value_design(log, rng, ValueModelConfig()), chosen)
        found = ESTIMATORS["smis"](Question(log, on_logged_rows(log, chosen), model))
        assert abs(found.value - truth) < 2.5 * found.stderr
