"""Shrunken weights: numbers by hand, the limits that are other estimators, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import ProbabilityError, ShapeError
from nurture_rl.ope.estimators import dm, dr, ips
from nurture_rl.ope.log import evaluation_log
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr
from tests.unit.ope.log_makers import bandit_log, random_log
from tests.unit.ope.weighting.makers import random_predictions, random_target

# Weights 4, 1/2, 2; rewards 1, 4, 3; model says 2, 3, 1 of what was logged, 1, 2, 5 of the target.
LOG = bandit_log([0, 1, 0], [0.2, 0.5, 0.25], [1.0, 4.0, 3.0])
TAKEN = np.array([0.8, 0.25, 0.5])
MODEL = ValuePredictions(np.array([2.0, 3.0, 1.0]), np.array([1.0, 2.0, 5.0]))


def test_clipped_ips_by_hand() -> None:
    found = clipped_ips(LOG, TAKEN, 3.0)
    assert found.value == pytest.approx((3 * 1 + 0.5 * 4 + 2 * 3) / 3)
    # Scores 3, 2, 6 around 11/3, divided by 3 episodes.
    assert found.influence == pytest.approx([-2 / 9, -5 / 9, 7 / 9])
    assert found.ess == pytest.approx(6.5**2 / 20.25)


def test_switch_by_hand() -> None:
    # Weight 4 is left to the model: 1; then 2 + 0.5 * (4 - 3) and 5 + 2 * (3 - 1).
    assert switch_dr(LOG, TAKEN, MODEL, 2.0).value == pytest.approx((1 + 2.5 + 9) / 3)


def test_dros_by_hand() -> None:
    # With lam 4 the weights 4, 1/2, 2 become 16/20, 2/4.25, 8/8.
    expected = (1 + 0.8 * -1 + 2 + 2 / 4.25 * 1 + 5 + 1 * 2) / 3
    assert dros(LOG, TAKEN, MODEL, 4.0).value == pytest.approx(expected)


def test_published_three_row_page() -> None:
    log = bandit_log([0, 0, 0], [0.2, 0.5, 0.4], [4.0, 5.0, 7.0])
    taken, model = np.array([0.0, 1.0, 0.0]), np.array([1.0, 4.0, 5.0])
    predictions = ValuePredictions(model, model)
    assert switch_dr(log, taken, predictions, np.inf).value == pytest.approx(4.0)
    assert switch_dr(log, taken, predictions, 0.0).value == pytest.approx(10 / 3)


def test_clipping_bounds_the_product_of_an_episode() -> None:
    log = evaluation_log(
        features=np.zeros((2, 1)),
        mask=np.ones((2, 2)),
        action=[0, 0],
        propensity=[0.25, 0.25],
        reward=[1.0, 10.0],
        episode=[0, 0],
        step=[0, 2],
        cluster=[0],
        terminal=[False, True],
        action_factors=np.eye(2),
        discount=0.5,
        unit="EUR",
    )
    # Weights 2 and 4, the second reward two bins later: 2 * 1 + 0.25 * 3 * 10.
    assert clipped_ips(log, np.array([0.5, 0.5]), 3.0).value == pytest.approx(9.5)


@pytest.mark.parametrize("lengths", [[1] * 9, [3, 1, 4, 2]])
def test_no_shrinkage_is_the_plain_estimator_and_full_shrinkage_the_model(
    lengths: list[int],
) -> None:
    log = random_log(1, lengths)
    taken, model = random_target(2, log).taken, random_predictions(3, log.n_rows)
    weighted, robust, modelled = ips(log, taken), dr(log, taken, model), dm(log, model)
    assert clipped_ips(log, taken, np.inf).influence == pytest.approx(weighted.influence)
    for whole in (switch_dr(log, taken, model, np.inf), dros(log, taken, model, np.inf)):
        assert whole.value == pytest.approx(robust.value)
        assert whole.influence == pytest.approx(robust.influence)
        assert whole.ess == pytest.approx(robust.ess)
    for none in (switch_dr(log, taken, model, 0.0), dros(log, taken, model, 0.0)):
        assert none.value == pytest.approx(modelled.value)
        assert none.influence == pytest.approx(modelled.influence)


def test_shrinkage_moves_gradually_between_its_limits() -> None:
    log = random_log(4, [1] * 30)
    taken, model = random_target(5, log).taken, random_predictions(6, 30)
    assert dros(log, taken, model, 1e-12).value == pytest.approx(dm(log, model).value)
    assert dros(log, taken, model, 1e12).value == pytest.approx(dr(log, taken, model).value)


def test_a_ratio_equal_to_the_threshold_is_used() -> None:
    assert switch_dr(LOG, TAKEN, MODEL, 4.0).value == dr(LOG, TAKEN, MODEL).value


@pytest.mark.parametrize("clip", [0.0, -1.0, np.nan])
def test_a_clip_must_be_above_zero(clip: float) -> None:
    with pytest.raises(ShapeError, match="clip must be above 0"):
        clipped_ips(LOG, TAKEN, clip)


@pytest.mark.parametrize("parameter", [-1e-9, np.nan])
def test_thresholds_and_shrinkages_must_not_be_negative(parameter: float) -> None:
    with pytest.raises(ShapeError, match="tau must be 0 or more"):
        switch_dr(LOG, TAKEN, MODEL, parameter)
    with pytest.raises(ShapeError, match="lam must be 0 or more"):
        dros(LOG, TAKEN, MODEL, parameter)


def test_weights_are_checked_even_where_the_model_answers_alone() -> None:
    with pytest.raises(ProbabilityError, match="not their logarithms"):
        dros(LOG, -TAKEN, MODEL, 0.0)
