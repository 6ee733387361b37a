"""Tuned estimators choose anew on every log, among the candidates they are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.estimators import dr, ips
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr
from nurture_rl.ope.weighting.tuning import (
    LARGEST_WEIGHTS,
    SHRINKAGES,
    tuned_clipped_ips,
    tuned_dros,
    tuned_mips,
    tuned_switch_dr,
)
from tests.unit.ope.log_makers import random_log
from tests.unit.ope.weighting.makers import random_predictions, random_target


def heavy_log(n: int, gains: bool) -> tuple[EvaluationLog, FloatArray]:
    """Every fiftieth decision took a rare action of weight 45; others pay 1.

    The rare one pays 1 and -1 in turn, so that clipping loses nothing, or always 1.
    """
    rare = np.arange(n) % 50 == 0
    paid = np.where(gains | (np.arange(n) % 100 == 0), 1.0, -1.0)
    log = evaluation_log(
        features=np.zeros((n, 1)),
        mask=np.ones((n, 2)),
        action=rare,
        propensity=np.where(rare, 0.02, 0.98),
        reward=np.where(rare, paid, 1.0),
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n),
        terminal=np.ones(n),
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )
    return log, np.where(rare, 0.9, 0.1)


def test_grids_are_eight_values_from_no_shrinkage_on() -> None:
    assert len(LARGEST_WEIGHTS) == len(SHRINKAGES) == 8
    assert LARGEST_WEIGHTS[0] == np.inf
    assert list(LARGEST_WEIGHTS) == sorted(LARGEST_WEIGHTS, reverse=True)
    assert pytest.approx(np.array(LARGEST_WEIGHTS[1:]) ** 2) == SHRINKAGES[1:]


def test_a_choice_on_one_log_is_not_carried_to_another() -> None:
    harmless, taken = heavy_log(1000, gains=False)
    paying, _ = heavy_log(1000, gains=True)
    assert tuned_clipped_ips(harmless, taken).parameter == 1.0
    assert tuned_clipped_ips(paying, taken).parameter > 1.0
    assert tuned_clipped_ips(harmless, taken).parameter == 1.0


def test_every_candidate_is_the_estimator_with_that_parameter() -> None:
    log = random_log(1, [1] * 60)
    taken, model = random_target(2, log).taken, random_predictions(3, 60)
    clipped, weighted = tuned_clipped_ips(log, taken), ips(log, taken)
    assert clipped.chosen.value == clipped_ips(log, taken, clipped.parameter).value
    assert clipped.least_biased.value == pytest.approx(weighted.value)
    switched, robust = tuned_switch_dr(log, taken, model), dr(log, taken, model)
    assert switched.chosen.value == switch_dr(log, taken, model, switched.parameter).value
    assert switched.least_biased.value == pytest.approx(robust.value)
    shrunken = tuned_dros(log, taken, model)
    assert shrunken.chosen.value == dros(log, taken, model, shrunken.parameter).value
    assert shrunken.least_biased.value == pytest.approx(robust.value)
    assert clipped.considered == switched.considered == LARGEST_WEIGHTS
    assert shrunken.considered == SHRINKAGES


def test_one_value_leaves_no_choice() -> None:
    log = random_log(4, [2, 1, 3])
    taken, nothing = random_target(5, log).taken, np.zeros(log.n_rows)
    model = ValuePredictions(nothing, nothing)
    assert (
        tuned_clipped_ips(log, taken, (2.0,)).estimate.value == clipped_ips(log, taken, 2.0).value
    )
    assert tuned_switch_dr(log, taken, model, (2.0,)).parameter == 2.0
    assert tuned_dros(log, taken, model, (2.0,)).parameter == 2.0


def test_groupings_are_tried_from_single_actions_on() -> None:
    log = random_log(6, [1] * 40)
    log = replace(log, action_factors=np.array([[1.0, 0], [1, 0], [0, 1]]))
    found = tuned_mips(log, random_target(7, log).probabilities)
    assert found.considered == (3.0, 2.0, 1.0)
    assert found.least_biased.value == pytest.approx(ips(log, random_target(7, log).taken).value)
    assert tuned_mips(log, random_target(7, log).probabilities, most=2).considered == (3.0, 1.0)
