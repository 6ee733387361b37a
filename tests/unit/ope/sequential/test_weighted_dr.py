"""The weighted doubly robust sum, by hand, in its limits and against its published form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import as_panel, cumulative_weights, dm, snips
from nurture_rl.ope.log import discount_from_start, first_rows
from nurture_rl.ope.sequential.weighted_dr import (
    partial_horizons,
    temporal_differences,
    value_ahead,
    wdr,
)
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.self_normalised import sndr
from tests.unit.ope.log_makers import random_log, two_episodes
from tests.unit.ope.sequential.small_logs import (
    random_predictions,
    random_taken,
    repeated,
)

MODEL = ValuePredictions(q_logged=np.array([1.0, 3.0, 2.0]), value=np.array([3.0, 2.0, 1.0]))


def test_value_ahead_and_surprise_by_hand() -> None:
    log, _ = two_episodes()
    assert value_ahead(log, MODEL.value) == pytest.approx([1.0, 0.0, 0.0])
    # 1 + 0.5*2 - 1, then 4 - 3, then 2 - 2
    assert temporal_differences(log, MODEL) == pytest.approx([1.0, 1.0, 0.0])


def test_partial_horizons_by_hand() -> None:
    log, taken = two_episodes()
    found = partial_horizons(log, taken, MODEL)
    # (3 + 1) / 2 = 2; then (2*1 + 0.5*0) / 2.5 = 0.8; then 0.5*1*1 / (1 + 0.5) = 1/3
    assert found.values == pytest.approx([2.0, 2.8, 2.8 + 1 / 3])
    assert wdr(log, taken, MODEL).value == pytest.approx(2.8 + 1 / 3)
    assert found.ess == pytest.approx(1.5**2 / 1.25)


def test_errors_by_hand() -> None:
    log, taken = two_episodes()
    first, second = 2.0 / 2.5 * (1.0 - 0.8), 1.0 / 1.5 * (0.5 - 1 / 3)
    found = partial_horizons(log, taken, MODEL).influence
    assert found[0] == pytest.approx([0.5, 0.5 + first, 0.5 + first + second])
    assert found.sum(axis=0) == pytest.approx(0.0, abs=1e-12)


def test_it_is_the_published_sum_of_normalised_weights() -> None:
    log = random_log(0, [3, 1, 4, 2, 4])
    taken, model = random_taken(1, log), random_predictions(2, log.n_rows)
    weights = cumulative_weights(log, taken)
    weights /= weights.sum(axis=0)
    before = np.hstack([np.full((5, 1), 0.2), weights[:, :-1]])
    worth = as_panel(log, discount_from_start(log), 0.0)
    reward, q, v = (as_panel(log, x, 0.0) for x in (log.reward, model.q_logged, model.value))
    published = (worth * (weights * reward - (weights * q - before * v))).sum()
    assert wdr(log, taken, model).value == pytest.approx(published)


@pytest.mark.parametrize("lengths", [[1] * 8, [3, 1, 4, 2]])
def test_a_model_of_zeros_makes_it_snips(lengths: list[int]) -> None:
    log = random_log(3, lengths)
    taken = random_taken(4, log)
    zeros = ValuePredictions(np.zeros(log.n_rows), np.zeros(log.n_rows))
    one, other = wdr(log, taken, zeros), snips(log, taken)
    assert one.value == pytest.approx(other.value)
    assert one.influence == pytest.approx(other.influence)
    assert one.ess == pytest.approx(other.ess)


def test_horizon_one_is_the_self_normalised_bandit_form() -> None:
    log = random_log(5, [1] * 12)
    taken, model = random_taken(6, log), random_predictions(7, 12)
    beyond = np.average(log.reward - model.q_logged, weights=taken / log.propensity)
    assert wdr(log, taken, model).value == pytest.approx(model.value.mean() + beyond)


def test_two_ways_to_the_same_sum_agree() -> None:
    log = random_log(17, [3, 1, 4, 2, 4])
    taken, model = random_taken(18, log), random_predictions(19, log.n_rows)
    one, other = wdr(log, taken, model), sndr(log, taken, model)
    assert one.value == pytest.approx(other.value)
    assert one.influence == pytest.approx(other.influence)


def test_the_first_partial_horizon_is_the_direct_method() -> None:
    log = random_log(8, [2, 3, 1])
    model = random_predictions(9, log.n_rows)
    found = partial_horizons(log, random_taken(10, log), model)
    assert found.values[0] == pytest.approx(dm(log, model).value)
    assert found.influence[:, 0] == pytest.approx(dm(log, model).influence)


def test_a_perfect_model_needs_no_weights() -> None:
    log = random_log(11, [2, 3, 1, 2])
    model = random_predictions(12, log.n_rows)
    exact = replace(model, q_logged=log.reward + value_ahead(log, model.value))
    assert wdr(log, random_taken(13, log), exact).value == pytest.approx(
        model.value[first_rows(log)].mean()
    )


def test_influence_is_the_derivative_of_the_value() -> None:
    log = random_log(14, [2, 1, 3, 2, 2])
    taken, model = random_taken(15, log), random_predictions(16, log.n_rows)
    heavier, rows = repeated(log, episode=2, copies=4000)
    again = ValuePredictions(model.q_logged[rows], model.value[rows])
    gain = wdr(heavier, taken[rows], again).value - wdr(log, taken, model).value
    assert gain == pytest.approx(wdr(log, taken, model).influence[2] / 4000, rel=2e-3)


def test_no_overlap_is_refused_with_the_place() -> None:
    log, _ = two_episodes()
    with pytest.raises(OverlapError, match="all 2 importance weights are 0 from decision 1"):
        wdr(log, np.array([0.5, 0.0, 0.0]), MODEL)
