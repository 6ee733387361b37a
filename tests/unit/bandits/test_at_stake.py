"""What depends on a decision, by a model of the returns of a log."""

from __future__ import annotations

import numpy as np

from nurture_rl.bandits.at_stake import Stakes
from tests.unit.bandits.planted_log import FOUR, crossing, planted


def test_most_is_at_stake_where_the_planted_returns_lie_furthest_apart() -> None:
    log = planted(4000, 0, crossing).log
    stakes = Stakes(log, np.random.default_rng(0))
    features = np.zeros((3, log.features.shape[1]), np.float32)
    features[:, 1] = [-2.0, 0.0, 2.0]  # the first two actions are then 16, 0 and 16 apart
    mask = np.ones((3, len(FOUR)), np.bool_)
    found = stakes.of(features, mask)
    assert np.allclose(found, [16.0, 1.0, 16.0], atol=1.5)


def test_actions_that_are_forbidden_put_nothing_at_stake() -> None:
    log = planted(4000, 0, crossing).log
    stakes = Stakes(log, np.random.default_rng(0))
    features = np.full((2, log.features.shape[1]), 2.0, np.float32)
    mask = np.ones((2, len(FOUR)), np.bool_)
    mask[1, :2] = False
    mask[1, 3] = False
    found = stakes.of(features, mask)
    assert found[0] > 10.0
    assert found[1] == 0.0
