"""Risk: of two actions with nearly equal means, the bad end of what they bring decides."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.rl.qr_dqn import QRDQNConfig, drawn_quantiles, train_qr_dqn
from tests.unit.rl.two_step_shop import SEND, WAIT, silent
from tests.unit.rl.world_logs import training_log

X, LEGAL = np.zeros((1, 1), np.float32), np.array([[True, True, False]])


@cache
def judged_by(level: float) -> ScoredPolicy:
    """A send earns 11 or -9 EUR, waiting 0 or 1: means of 1 and 0.5."""
    rng = np.random.default_rng(0)
    n = 4000
    action = np.where(rng.random(n) < 0.5, SEND, WAIT)
    luck = rng.random(n) < 0.5
    reward = np.where(action == SEND, np.where(luck, 11.0, -9.0), np.where(luck, 0.0, 1.0))
    features = rng.normal(size=(n, 1)).astype(np.float32)
    mask = np.repeat(LEGAL, n, axis=0)
    log = training_log(features, mask, action, reward, np.arange(n), np.zeros(n, np.int64), 0.0)
    config = QRDQNConfig(hidden=(16,), steps=1000, learning_rate=5e-3, quantiles=10, level=level)
    return train_qr_dqn(log, config, 0, silent)


def score(level: float, action: int) -> float:
    return float(judged_by(level).module.scores(torch.zeros(1, 1))[0, action, 0])


@pytest.mark.slow
def test_the_mean_prefers_the_gamble() -> None:
    assert judged_by(1.0).action_probabilities(X, LEGAL)[0, SEND] == 1.0
    assert score(1.0, SEND) == pytest.approx(1.0, abs=0.5)
    assert score(1.0, WAIT) == pytest.approx(0.5, abs=0.2)


@pytest.mark.slow
def test_the_bad_end_prefers_what_is_safe() -> None:
    assert judged_by(0.3).action_probabilities(X, LEGAL)[0, WAIT] == 1.0
    assert score(0.3, SEND) == pytest.approx(-9.0, abs=0.5)
    assert score(0.3, WAIT) == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize(
    ("level", "quantiles", "lowest"),
    [(0.28, 25, 7), (0.07, 100, 7), (0.29, 25, 8), (1.0, 32, 32), (1e-12, 8, 1)],
)
def test_as_many_quantiles_are_judged_by_as_the_level_says(
    level: float, quantiles: int, lowest: int
) -> None:
    assert QRDQNConfig(level=level, quantiles=quantiles).lowest == lowest


def test_outcomes_of_a_mixture_are_drawn_in_its_shares() -> None:
    share = torch.tensor([[0.5, 0.0, 0.3, 0.2, 0.0]])
    quantiles = torch.arange(50.0).view(1, 5, 10)  # action times 10 and quantile
    luck, counts, draws = torch.Generator().manual_seed(0), torch.zeros(50), 4000
    for _ in range(draws):
        found = drawn_quantiles(share, quantiles, luck)[0]
        assert (found % 10).tolist() == list(range(10))  # each quantile once
        counts.index_add_(0, found.long(), torch.ones(10))
    expected = share.T.expand(5, 10).flatten() * draws
    # Six standard errors of a fair draw; the places are spread evenly, so it is less.
    assert counts.tolist() == pytest.approx(expected.tolist(), abs=6 * 0.5 * draws**0.5)
    assert counts[10:20].sum() == counts[40:].sum() == 0.0


def test_the_outcomes_of_one_action_are_all_its_quantiles() -> None:
    only = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    quantiles = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    found = drawn_quantiles(only, quantiles, torch.Generator())
    assert torch.equal(found, torch.stack([quantiles[0, 1], quantiles[1, 2]]))
