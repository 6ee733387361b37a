"""The decision transformer: its loss, its wish, and what only memory can know."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from nurture_envs.rollout import returns
from nurture_rl.errors import FitError
from nurture_rl.learned.remembering import MemoryShape, memory_places
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.policies.policy import sample_actions
from nurture_rl.rl.bc import Cloning
from nurture_rl.rl.decision_transformer import (
    DecisionTransformerConfig,
    Wishing,
    memory_verdict,
    train_decision_transformer,
)
from nurture_rl.rl.return_conditioned import asked_height, with_heights, within_bins
from nurture_rl.rl.transitions import Transitions
from nurture_rl.workflow.learners import LEARNERS
from tests.unit.rl.remembered_cue import BEST, BLIND, SEND, WAIT, cue_simulation
from tests.unit.rl.two_step_shop import silent
from tests.unit.rl.world_logs import Even, logged, process_log

SETTINGS: dict[str, dict[str, Any]] = {
    "decision_transformer": {"hidden": (16,), "width": 8, "steps": 800, "quantile": 0.9},
    "dqn": {"hidden": (16,), "steps": 800},
}
QUICK = DecisionTransformerConfig(hidden=(8,), width=4, steps=60, batch=32, refresh=10)


def cue_log(memory: bool, n: int = 2000) -> TrainingLog:
    """What n contacts show who are sent to by the toss of a coin."""
    simulation = cue_simulation(memory)
    return replace(logged(simulation, Even(), n, 1), columns=simulation.spec.columns)


@cache
def learned(name: str, memory: bool) -> ScoredPolicy:
    learner = LEARNERS[name]
    policy: ScoredPolicy = learner.learn(
        cue_log(memory), learner.settings(**SETTINGS[name]), 0, silent
    )
    return policy


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_memory_solves_what_its_memoryless_twin_cannot(name: str) -> None:
    # The same world, log, learner and seed; the twin's contexts tell the last day alone.
    for memory, value in ((True, BEST), (False, BLIND)):
        earned = returns(cue_simulation(memory), learned(name, memory), 4000, seed=9).value
        assert earned.mean() == pytest.approx(value, abs=0.4), memory  # an error is 0.08 EUR


@pytest.mark.slow
def test_the_last_decision_follows_the_first_day() -> None:
    last = np.array([[2, 0, 1, 0], [2, 0, 0, 0]], np.float32)  # clicked two days ago, or never
    table = learned("decision_transformer", True).action_probabilities(last, np.ones((2, 2), bool))
    assert table[0, SEND] > 0.9
    assert table[1, WAIT] > 0.9


def wishing(log: TrainingLog, seed: int = 0) -> tuple[Wishing, Cloning]:
    """An untrained network in float64, and its loss."""
    data = Transitions.of(log)
    shape = MemoryShape(data.shape[0], memory_places(log.columns), 4, 2, (3, 3))
    network = Wishing(shape, data.shape[1], torch.Generator().manual_seed(seed)).double()
    torch.nn.init.normal_(network.wish.bias, generator=torch.Generator().manual_seed(seed))
    told = with_heights(log, data).double()
    return network, Cloning(network, told, data.mask, data.action, torch.ones(len(data)).double())


def test_the_gradient_of_the_loss_is_that_of_finite_differences() -> None:
    network, cloning = wishing(cue_log(True, 8))
    rows = torch.arange(12)
    loss = cloning.loss(rows, cloning.goals(rows))
    torch.autograd.backward([loss])
    luck, step = torch.Generator().manual_seed(1), 1e-6
    for name, parameter in network.named_parameters():
        if name == "trunk.opening":  # set after training
            assert parameter.grad is None
            continue
        assert parameter.grad is not None
        way = torch.randn(parameter.shape, generator=luck, dtype=torch.float64)
        with torch.no_grad():
            parameter.add_(step * way)
            above = cloning.loss(rows, cloning.goals(rows))
            parameter.sub_(2.0 * step * way)
            below = cloning.loss(rows, cloning.goals(rows))
            parameter.add_(step * way)
        slope = float((above - below) / (2.0 * step))
        assert float((parameter.grad * way).sum()) == pytest.approx(slope, abs=1e-7), name


def test_the_loss_is_what_the_logged_action_is_told_to_be_among_legal_ones() -> None:
    log = process_log(20)
    network, cloning = wishing(log)
    rows = torch.arange(len(log.action))
    logits = network(cloning.features).detach().numpy()
    likely = []
    for row, action in enumerate(log.action):
        legal = np.flatnonzero(log.mask[row])
        likely.append(logits[row, action] - np.log(np.exp(logits[row, legal]).sum()))
    loss = float(cloning.loss(rows, cloning.goals(rows)).detach())
    assert loss == pytest.approx(-np.mean(likely), rel=1e-9)
    assert loss > 0.0


def test_training_makes_logged_actions_likelier() -> None:
    losses: list[float] = []
    train_decision_transformer(
        cue_log(True, 300),
        replace(QUICK, steps=300, learning_rate=1e-2, batch=64),
        0,
        lambda look, told: losses.append(told["held_out_loss"]),
    )
    assert min(losses) < losses[0] < np.log(2.0) + 0.1
    assert min(losses) < 0.6  # a coin, told by how high the return turned out


def test_a_policy_asks_for_its_height_whatever_comes() -> None:
    log = cue_log(True, 50)
    network, cloning = wishing(log)
    network.float()
    told = cloning.features.float()
    asked = told.clone()
    asked[:, -1] = 1.5
    hidden = network.asking(1.5)(told[:, :-1])
    assert torch.allclose(network.head(hidden), network(asked), atol=1e-6)
    assert not torch.allclose(network.head(network.asking(0.0)(told[:, :-1])), network(asked))


def test_what_is_asked_for_is_a_quantile_of_heights() -> None:
    log = cue_log(True, 200)
    heights = within_bins(log.step, log.returns)
    assert asked_height(log, 0.5) == np.quantile(heights, 0.5)
    fit = train_decision_transformer(log, QUICK, 0, silent).fit
    assert fit["asked"] == np.quantile(heights, 0.95)
    assert (fit["bins"], fit["tracks"]) == (3.0, 1.0)


def test_draws_come_as_often_as_their_stated_probabilities_and_masked_ones_never() -> None:
    rng = np.random.default_rng(5)
    policy = train_decision_transformer(process_log(100), QUICK, 0, silent)
    mask = np.array([[True, True, True], [True, True, False], [False, True, True]])
    table = policy.action_probabilities(np.eye(3, dtype=np.float32), mask)
    assert (table[~mask] == 0.0).all()
    for row, legal in zip(table, mask, strict=True):
        drawn = sample_actions(np.tile(row, (400_000, 1)), rng.random(400_000))
        counts = np.bincount(drawn, minlength=3)
        assert counts[~legal].sum() == 0
        assert stats.chisquare(counts[legal], 400_000 * row[legal]).pvalue > 1e-4


def test_it_says_how_far_back_it_looks() -> None:
    remembering = train_decision_transformer(cue_log(True, 60), QUICK, 0, silent)
    assert memory_verdict(remembering.fit) == "reads each of the last 3 bins in 1 memory"
    plain = train_decision_transformer(process_log(60), QUICK, 0, silent)
    assert "the journey remembers none" in memory_verdict(plain.fit)
    assert "return_conditioned" in memory_verdict(plain.fit)


def test_heads_that_do_not_divide_the_width_and_divergence_are_refused() -> None:
    with pytest.raises(FitError, match="width of DecisionTransformer must be a multiple of its 3"):
        DecisionTransformerConfig(width=32, heads=3)
    with pytest.raises(FitError, match="the training diverges; lower the learning rate"):
        train_decision_transformer(cue_log(True, 60), replace(QUICK, learning_rate=1e30), 0, silent)
