"""Logs of several policies read as one behaviour."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.errors import PropensityError, ShapeError
from nurture_rl.ope.pooled_logging import pooled_logging

FIRST, SECOND = np.array([0.8, 0.2]), np.array([0.1, 0.9])
SHARES = np.array([0.25, 0.75])


def both(rows: int) -> np.ndarray:
    return np.stack([np.tile(FIRST, (rows, 1)), np.tile(SECOND, (rows, 1))])


def test_a_first_decision_mixes_the_policies_by_their_shares() -> None:
    pooled = pooled_logging(both(2), np.array([0, 1]), np.array([0, 1]), SHARES)
    # 0.25 * 0.8 + 0.75 * 0.1 and 0.25 * 0.2 + 0.75 * 0.9
    assert pooled == pytest.approx(np.array([[0.275, 0.725]] * 2))


def test_what_was_done_tells_who_acts() -> None:
    pooled = pooled_logging(both(2), np.array([0, 1]), np.array([0, 0]), SHARES)
    # After action 0 the first policy acts with chance 0.25 * 0.8 / 0.275 = 8 / 11.
    assert pooled[1] == pytest.approx([8 / 11 * 0.8 + 3 / 11 * 0.1, 8 / 11 * 0.2 + 3 / 11 * 0.9])


def test_an_episode_is_as_likely_as_the_mixture_of_its_policies() -> None:
    rng = np.random.default_rng(0)
    tables = rng.dirichlet(np.ones(3), size=(4, 12))
    action, episode = rng.integers(0, 3, 12), np.repeat([0, 1, 2], [3, 5, 4])
    shares = rng.dirichlet(np.ones(4))
    pooled = pooled_logging(tables, action, episode, shares)
    assert pooled.sum(axis=1) == pytest.approx(np.ones(12))
    for one in range(3):
        rows = np.flatnonzero(episode == one)
        of_each = np.prod(tables[:, rows, action[rows]], axis=1)
        assert np.prod(pooled[rows, action[rows]]) == pytest.approx(shares @ of_each)


def test_what_all_policies_are_sure_of_is_exactly_sure() -> None:
    sure = np.zeros((3, 40, 2))
    sure[:, :, 0] = 1.0
    shares = np.array([0.1, 0.3, 0.6])
    pooled = pooled_logging(sure, np.zeros(40, int), np.zeros(40, int), shares)
    assert (pooled == [1.0, 0.0]).all()


def test_the_mean_under_a_target_is_found_and_no_episode_weighs_without_bound() -> None:
    """Two logs of three decisions; the target is the second policy, the reward counts action 1."""
    rng, each, bins = np.random.default_rng(1), 4000, 3
    shares, truth = np.array([0.5, 0.5]), bins * SECOND[1]
    chance = np.repeat([FIRST[1], SECOND[1]], each)
    action = (rng.random((2 * each, bins)) < chance[:, None]).astype(int)
    episode = np.repeat(np.arange(2 * each), bins)
    flat = action.reshape(-1)
    pooled = pooled_logging(both(flat.size), flat, episode, shares)
    target = SECOND[action].prod(axis=1)
    mixed = target / pooled[np.arange(flat.size), flat].reshape(-1, bins).prod(axis=1)
    own = target / np.where(chance[:, None] == FIRST[1], FIRST[action], SECOND[action]).prod(axis=1)
    value = mixed * action.sum(axis=1)
    error = value.std() / np.sqrt(value.size)
    assert abs(value.mean() - truth) < 4.0 * error
    assert mixed.max() <= 1.0 / shares[1] + 1e-9  # the second policy made half of the log
    assert own.max() > 90.0  # 4.5 ** 3: what the first policy's own propensity lets one weigh
    assert error < (own * action.sum(axis=1)).std() / np.sqrt(value.size)


@pytest.mark.parametrize(
    ("action", "episode", "shares"),
    [
        (np.zeros(3, int), np.zeros(2, int), SHARES),
        (np.zeros(2, int), np.array([1, 0]), SHARES),
        (np.zeros(2, int), np.array([0, 2]), SHARES),
        (np.zeros(2, int), np.zeros(2, int), np.ones(3) / 3.0),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    action: np.ndarray, episode: np.ndarray, shares: np.ndarray
) -> None:
    with pytest.raises(ShapeError, match="expected"):
        pooled_logging(both(2), action, episode, shares)


def test_an_action_that_nobody_takes_is_refused_by_its_row() -> None:
    tables = both(3)
    tables[:, 2] = [1.0, 0.0]
    with pytest.raises(PropensityError, match="row 2 has an action that none of the 2 policies"):
        pooled_logging(tables, np.array([0, 0, 1]), np.array([0, 1, 1]), SHARES)
