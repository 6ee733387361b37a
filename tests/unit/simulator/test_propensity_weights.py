"""Weights undo what the logging policy knew and say what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.errors import FitError
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.weights import (
    fitted_propensities,
    legal_shares,
    propensity_weights,
)
from tests.unit.simulator.lamp_shop import EXIT, SEND, WAIT, lamp_log, lamp_shop

BOUGHT = lamp_shop().channel_index("bought")


def hand_picked(n: int, seed: int) -> tuple[WorldData, NDArray[np.float64]]:
    """Sends go to the eager, who buy more; a send adds 0.1 to anybody's chance."""
    rng = np.random.default_rng(seed)
    data = lamp_log(n // 6, seed)
    rows = len(data.action)
    eager = rng.random(rows) < 0.5
    chance = np.where(eager, 0.8, 0.2)
    sent = rng.random(rows) < chance
    action = np.where(sent, SEND, WAIT)
    bought = rng.random(rows) < 0.1 + 0.4 * eager + 0.1 * sent
    amounts = data.amounts.copy()
    amounts[:, BOUGHT] = bought
    propensity = np.where(sent, chance, 1.0 - chance)
    return replace(data, action=action, amounts=amounts, propensity=propensity), chance


def effect(data: WorldData, weight: NDArray[np.float64]) -> float:
    """Weighted share of buyers among those sent to, less that among the others."""
    bought, sent = data.amounts[:, BOUGHT], data.action == SEND
    means = [np.average(bought[rows], weights=weight[rows]) for rows in (sent, ~sent)]
    return float(means[0] - means[1])


def test_shares_match_hand_calculation() -> None:
    # Action 0 is taken in 2 of 4 rows, action 1 in 1 of the 2 where it is legal, action 2 in 1.
    legal = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1]], bool)
    shares = legal_shares(np.array([0, 1, 0, 2]), legal)
    np.testing.assert_allclose(shares[0], np.array([0.5, 0.5, 0.25]) / 1.25)
    np.testing.assert_allclose(shares[2], np.array([0.5, 0.0, 0.25]) / 0.75)


def test_weights_match_hand_calculation() -> None:
    data = lamp_log(20, seed=0)
    action = np.tile([SEND, WAIT], 60)
    legal = np.zeros((120, 4), bool)
    legal[:, [SEND, WAIT]] = True
    propensity = np.tile([0.25, 0.5], 60)  # shares are a half each: 2 and 1, on average 1.5
    found = propensity_weights(replace(data, action=action, mask=legal, propensity=propensity))
    np.testing.assert_allclose(found.weight, np.tile([2 / 1.5, 1 / 1.5], 60))
    assert found.effective_rows == pytest.approx(120 * 9 / 10)  # (2 + 1)^2 / (2 (4 + 1))
    assert (found.clipped, found.guessed, found.warnings) == (0.0, 0.0, ())


def test_a_policy_that_looks_at_nothing_gives_equal_weights() -> None:
    data = lamp_log(2000, seed=1)
    shares = np.bincount(data.action, minlength=4) / len(data.action)
    found = propensity_weights(replace(data, propensity=shares[data.action]))
    np.testing.assert_allclose(found.weight, 1.0)
    assert found.effective_rows == pytest.approx(len(data.action))


def test_a_forced_action_weighs_no_more_than_a_free_one() -> None:
    data = lamp_log(100, seed=2)
    legal = np.zeros((600, 4), bool)
    legal[:, WAIT] = True
    data = replace(data, action=np.full(600, WAIT), mask=legal, propensity=np.ones(600))
    np.testing.assert_array_equal(propensity_weights(data).weight, np.ones(600))


def test_the_effect_of_a_hand_picked_send_is_right_with_weights_and_wrong_without() -> None:
    data, _ = hand_picked(60_000, seed=3)
    assert effect(data, propensity_weights(data).weight) == pytest.approx(0.1, abs=0.015)
    assert effect(data, np.ones(len(data.action))) > 0.3  # 0.1 + 0.4 (0.8 - 0.2) = 0.34


def test_fitted_propensities_cannot_undo_what_the_features_do_not_carry() -> None:
    data, _ = hand_picked(30_000, seed=4)
    found = propensity_weights(replace(data, propensity=np.full(30_000, np.nan)))
    assert effect(data, found.weight) > 0.3
    assert found.guessed == 1.0
    assert "100% of the decisions have no logged propensity" in found.warnings[0]


def test_fitted_propensities_undo_what_the_features_do_carry() -> None:
    data, chance = hand_picked(30_000, seed=5)
    features = data.features.copy()
    features[:, 1] = chance
    data = replace(data, features=features)
    found = propensity_weights(replace(data, propensity=np.full(30_000, np.nan)))
    assert effect(data, found.weight) == pytest.approx(0.1, abs=0.02)


def test_a_fitted_propensity_recovers_a_planted_logit_on_legal_actions() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(40_000, 1)).astype(np.float32)
    legal = np.ones((40_000, 3), bool)
    legal[:, 2] = rng.random(40_000) < 0.5
    logits = np.where(legal, np.stack([0 * x, 1.0 + 0.8 * x, -0.5 * x], 1)[:, :, 0], -np.inf)
    planted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    action = (planted.cumsum(1) < rng.random((40_000, 1))).sum(1)
    found = fitted_propensities(x, action, legal)
    assert np.abs(found - planted).max() < 0.05
    assert (found[~legal] == 0.0).all()


def test_fitted_propensities_hear_of_every_decision() -> None:
    # Features that say nothing: each action's chance is its share, that of the last one too.
    found = fitted_propensities(
        np.zeros((8, 1), np.float32), np.array([1, 0, 0, 0, 0, 0, 0, 2]), np.ones((8, 3), bool)
    )
    assert found == pytest.approx(np.tile([0.75, 0.125, 0.125], (8, 1)), abs=1e-3)


def test_a_weight_beyond_the_limit_is_cut_and_counted() -> None:
    data = lamp_log(100, seed=7)
    propensity = np.full(600, 0.5)
    propensity[:6] = 1e-6
    data = replace(data, action=np.tile([SEND, WAIT], 300), propensity=propensity)
    found = propensity_weights(data, largest=3.0)
    assert found.clipped == pytest.approx(0.01)
    assert found.weight.mean() == pytest.approx(1.0)
    assert found.effective_rows < 20


def test_a_log_without_exploration_is_named() -> None:
    data = lamp_log(100, seed=8)
    propensity = np.where(np.arange(600) < 30, 0.01, 0.99)
    found = propensity_weights(replace(data, propensity=propensity), largest=100.0)
    assert "explore more" in found.warnings[-1]


@pytest.mark.parametrize("wrong", [0.0, -0.5, 1.5])
def test_a_logged_action_without_any_chance_is_refused(wrong: float) -> None:
    data = lamp_log(20, seed=0)
    propensity = np.full(120, 0.5)
    propensity[7] = wrong
    with pytest.raises(FitError, match=rf"in \(0, 1\], got {wrong:g} in row 7 of 120"):
        propensity_weights(replace(data, propensity=propensity))


def test_exits_are_weighted_like_any_other_action() -> None:
    data = lamp_log(2000, seed=9)
    given = np.array([0.4, 0.5, 0.05, 0.05])
    found = propensity_weights(replace(data, propensity=given[data.action]))
    assert found.weight[data.action == EXIT].mean() == pytest.approx(1.0, abs=0.05)
