"""Sequential estimators against tabular worlds: exact values, coverage, and who is fooled."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.intervals import interval_of
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.sequential.abstraction import state_cells, value_cells
from nurture_rl.ope.sequential.dice import dice
from nurture_rl.ope.sequential.magic import magic
from nurture_rl.ope.sequential.marginal import drl, smis
from nurture_rl.ope.sequential.weighted_dr import wdr
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design
from tests.unit.ope.sequential.worlds import (
    World,
    draw,
    everywhere,
    exact_value,
    frozen_lake,
    graph,
    model_fail,
    model_win,
)

MODEL = ValueModelConfig(n_folds=3, penalties=(1e-3,))
HISTORIES = ("ips", "snips", "dr", "wdr")
CELLS = ("smis", "drl", "dice", "smis by value", "drl by value")


def estimates(
    world: World, logging: FloatArray, target: FloatArray, episodes: int, rng: np.random.Generator
) -> Mapping[str, ValueEstimate]:
    """Every estimator on one fresh log, policies over states, [S, a]."""
    log, state = draw(world, logging, episodes, rng)
    chosen = target[state]
    taken = np.asarray(chosen[np.arange(log.n_rows), log.action])
    model = fit_value(value_design(log, rng, MODEL), chosen)
    known, by_value = state_cells(log, world.observed[state]), value_cells(log, model)
    return {
        "ips": ips(log, taken),
        "snips": snips(log, taken),
        "dr": dr(log, taken, model),
        "wdr": wdr(log, taken, model),
        "magic": magic(log, taken, model),
        "dm": dm(log, model),
        "smis": smis(log, taken, known),
        "drl": drl(log, taken, model, known),
        "dice": dice(log, chosen, known),
        "smis by value": smis(log, taken, by_value),
        "drl by value": drl(log, taken, model, by_value),
    }


@pytest.mark.parametrize(
    ("world", "value"),
    [
        (graph(slip=0.25), 1.1644776),
        (graph(slip=0.25, sparse=True), 0.2823576),
        (graph(slip=0.0), 2.3289552),
    ],
)
def test_the_graph_has_its_published_values(world: World, value: float) -> None:
    assert exact_value(world, everywhere(world, [0.2, 0.8])) == pytest.approx(value)
    assert exact_value(world, everywhere(world, [0.8, 0.2])) == pytest.approx(-value)
    rng = np.random.default_rng(0)
    found = estimates(
        world, everywhere(world, [0.6, 0.4]), everywhere(world, [0.2, 0.8]), 8000, rng
    )
    for name in (*HISTORIES, *CELLS):
        assert abs(found[name].value - value) < 4 * found[name].stderr + 1e-9, name


@pytest.mark.parametrize("length", [4, 5])
def test_model_win_has_its_published_value_and_models_win(length: int) -> None:
    world, target = model_win(length), np.array([0.3, 0.7])
    value = exact_value(world, everywhere(world, target))
    assert value == pytest.approx(np.ceil(length / 2) * 0.2 * 0.4)
    rng = np.random.default_rng(length)
    found = estimates(world, everywhere(world, [0.5, 0.5]), everywhere(world, target), 8000, rng)
    for name in (*HISTORIES, *CELLS):
        assert abs(found[name].value - value) < 4 * found[name].stderr, name
    assert found["drl"].stderr < found["ips"].stderr


def test_where_states_look_alike_markov_models_are_fooled_and_histories_are_not() -> None:
    world, target = model_fail(), np.array([0.2, 0.8])
    value = exact_value(world, everywhere(world, target))
    assert value == pytest.approx(0.6)
    rng = np.random.default_rng(1)
    found = estimates(world, everywhere(world, [0.5, 0.5]), everywhere(world, target), 8000, rng)
    for name in (*HISTORIES, "magic"):
        assert abs(found[name].value - value) < 4 * found[name].stderr, name
    for name in (*CELLS, "dm"):
        assert abs(found[name].value - value) > 0.3, name


@pytest.mark.parametrize(("discount", "value"), [(1.0, 0.0139397962), (0.99, 0.0123561373)])
def test_frozen_lake_has_its_published_values(discount: float, value: float) -> None:
    endless = frozen_lake(3000, discount)
    assert exact_value(endless, everywhere(endless, [0.25] * 4)) == pytest.approx(value, rel=1e-8)
    world = frozen_lake(60, discount)
    even = everywhere(world, [0.25] * 4)
    rng = np.random.default_rng(2)
    found = estimates(world, everywhere(world, [0.2, 0.3, 0.3, 0.2]), even, 12_000, rng)
    for name in (*HISTORIES, "smis", "drl", "dice"):
        assert abs(found[name].value - exact_value(world, even)) < 4 * found[name].stderr, name


def test_intervals_of_every_sequential_estimator_cover_the_exact_value() -> None:
    redraws = 400
    # 380 expected; four binomial standard deviations is 17.
    fewest, most = 363, 397
    world = graph(slip=0.25)
    logging, target = everywhere(world, [0.55, 0.45]), everywhere(world, [0.4, 0.6])
    truth, rng = exact_value(world, target), np.random.default_rng(3)
    hits = dict.fromkeys((*HISTORIES, *CELLS, "dm"), 0)
    for _ in range(redraws):
        found = estimates(world, logging, target, 500, rng)
        for name in hits:
            interval = interval_of(found[name], 0.95)
            hits[name] += interval.lower <= truth <= interval.upper
    for name in (*HISTORIES, *CELLS):
        assert fewest <= hits[name] <= most, (name, hits[name])
    # Negative control: the model's own interval only knows which contacts were drawn.
    assert hits["dm"] < redraws // 2
