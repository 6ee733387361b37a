"""SNDR: numbers by hand, its limits, and an influence that is the derivative of the value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import dr, snips
from nurture_rl.ope.log import EvaluationLog, take_episodes
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.self_normalised import sndr
from tests.unit.ope.log_makers import bandit_log, random_log, two_episodes
from tests.unit.ope.weighting.makers import random_predictions, random_target


def test_by_hand() -> None:
    log = bandit_log([0, 1, 0], [0.2, 0.5, 0.25], [1.0, 4.0, 3.0])
    model = ValuePredictions(np.array([2.0, 3.0, 1.0]), np.array([1.0, 2.0, 5.0]))
    found = sndr(log, np.array([0.8, 0.25, 0.5]), model)
    # 8/3, and residuals -1, 1, 2 under weights 4, 1/2, 2: 0.5 / 6.5
    ratio = 0.5 / 6.5
    assert found.value == pytest.approx(8 / 3 + ratio)
    corrections = np.array([4 * (-1 - ratio), 0.5 * (1 - ratio), 2 * (2 - ratio)]) / 6.5
    assert found.influence == pytest.approx(corrections + np.array([-5, -2, 7]) / 9)
    assert found.ess == pytest.approx(6.5**2 / 20.25)


def test_two_steps_by_hand() -> None:
    log, taken = two_episodes()
    model = ValuePredictions(np.array([0.5, 3.0, 1.0]), np.array([3.0, 2.0, 1.0]))
    # Shares 2/2.5, 0.5/2.5 at the first step, 1/1.5 and the ended episode's 0.5/1.5 at the second.
    expected = 2.0 + 0.8 * 0.5 + 0.2 * 1.0 + 0.5 * (0.8 * 2.0 + 1 / 1.5 * 1.0)
    assert sndr(log, taken, model).value == pytest.approx(expected)


@pytest.mark.parametrize("lengths", [[1] * 9, [3, 1, 4, 2]])
def test_a_model_of_zeros_makes_it_snips(lengths: list[int]) -> None:
    log = random_log(1, lengths)
    taken, nothing = random_target(2, log).taken, np.zeros(log.n_rows)
    found, other = sndr(log, taken, ValuePredictions(nothing, nothing)), snips(log, taken)
    assert found.value == pytest.approx(other.value)
    assert found.influence == pytest.approx(other.influence)


def test_weights_of_one_make_it_dr() -> None:
    log = random_log(3, [3, 1, 4, 2])
    model = random_predictions(4, log.n_rows)
    found, other = sndr(log, log.propensity, model), dr(log, log.propensity, model)
    assert found.value == pytest.approx(other.value)
    assert found.stderr == pytest.approx(other.stderr)


def test_a_constant_on_reward_and_model_moves_nothing() -> None:
    """Residuals stay the same whatever the weights sum to; `dr` shares this only on average."""
    log = random_log(5, [1] * 20)
    taken, model = random_target(6, log).taken, random_predictions(7, 20)
    shifted = ValuePredictions(model.q_logged + 3.0, model.value + 3.0)
    found = sndr(replace(log, reward=log.reward + 3.0), taken, shifted)
    assert found.value == pytest.approx(sndr(log, taken, model).value + 3.0)
    # A model that is off by a constant is mended by the residuals.
    off = ValuePredictions(model.q_logged - 2.0, model.value - 2.0)
    assert sndr(log, taken, off).value == pytest.approx(sndr(log, taken, model).value)
    assert abs(dr(log, taken, off).value - dr(log, taken, model).value) > 0.01


def test_influence_is_the_derivative_of_the_value() -> None:
    log = random_log(8, [2, 1, 3, 2, 2])
    model, taken = random_predictions(9, log.n_rows), random_target(10, log).taken
    copies = 3000
    index = np.append(np.tile(np.arange(5), copies), 2)
    heavier, rows = take_episodes(log, index), rows_of(log, index)
    many = ValuePredictions(model.q_logged[rows], model.value[rows])
    own = sndr(log, taken, model)
    gain = sndr(heavier, taken[rows], many).value - own.value
    assert gain == pytest.approx(own.influence[2] / copies, rel=2e-3)


def test_no_overlap_is_refused_with_the_reason() -> None:
    log = bandit_log([0, 0], [0.5, 0.5], [1.0, 1.0])
    with pytest.raises(OverlapError, match="all 2 importance weights are 0 from decision 0"):
        sndr(log, np.zeros(2), random_predictions(0, 2))


def rows_of(log: EvaluationLog, episodes: np.ndarray) -> np.ndarray:
    """Rows of the given episodes, one after the other."""
    return np.concatenate([np.flatnonzero(log.episode == e) for e in episodes])
