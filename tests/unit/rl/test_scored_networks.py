"""Policies made of trained networks score as the networks did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nurture_envs.actions import ActionCatalog
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredModule, split_network
from nurture_rl.learned.scored_files import load_scored, save_scored
from nurture_rl.policies.policy import PolicyError
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.rl.actor import perceptron
from nurture_rl.rl.bcq import BCQConfig, train_bcq
from nurture_rl.rl.dqn import DQNConfig, train_dqn
from nurture_rl.rl.scored_networks import Dueling, folded, policy_of, score_network, side_by_side
from nurture_rl.rl.transitions import Transitions
from tests.unit.rl.two_step_shop import silent, two_step_shop
from tests.unit.rl.world_logs import process_log

LOG = process_log(100)
DATA = Transitions.of(LOG)


def network(seed: int, outputs: int = 3, hidden: tuple[int, ...] = (5, 4)) -> nn.Sequential:
    return score_network(DATA, outputs, hidden, torch.Generator().manual_seed(seed))


def scores_of(parts: object) -> torch.Tensor:
    policy = policy_of(LOG, DATA, parts, Greedy(), {})  # type: ignore[arg-type]
    return policy.module.scores(torch.from_numpy(LOG.features)).float()


def test_a_plain_network_keeps_its_scores() -> None:
    one = network(0)
    torch.testing.assert_close(scores_of(folded(one))[:, :, 0], one(DATA.features).detach())


def test_a_dueling_network_folds_into_a_plain_one() -> None:
    dueling = Dueling(network(0, outputs=4))
    found, expected = scores_of(folded(dueling))[:, :, 0], dueling(DATA.features).detach()
    torch.testing.assert_close(found, expected)
    # What the actions add is counted from their mean: the state alone decides the mean value.
    state = dueling.layers(DATA.features)[:, 0].detach()
    torch.testing.assert_close(expected.mean(dim=1), state, atol=1e-6, rtol=1e-4)


def test_two_networks_become_one_with_two_scores() -> None:
    one, other = network(0), network(1, hidden=(6, 3))
    found = scores_of(side_by_side(one, other))
    torch.testing.assert_close(found[:, :, 0], one(DATA.features).detach())
    torch.testing.assert_close(found[:, :, 1], other(DATA.features).detach())


@pytest.mark.parametrize("unit", [nn.Tanh, nn.ReLU])
def test_each_unit_scores_as_its_network(unit: type[nn.Module]) -> None:
    one = perceptron((2, 4, 3), 1.0, torch.Generator().manual_seed(0), unit)
    layers, maps = split_network(one)
    moments, name = (np.zeros(2), np.ones(2)), unit.__name__.lower()
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    found = ScoredModule(moments, layers, maps, Greedy(), unit=name).scores(x)[:, :, 0]
    torch.testing.assert_close(found.float(), one(x).detach())


def test_an_unknown_unit_is_refused() -> None:
    layers, maps = split_network(network(0))
    with pytest.raises(PolicyError, match="expected a unit of relu, tanh, got 'gelu'"):
        ScoredModule(DATA.moments, layers, maps, Greedy(), unit="gelu")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bcq", "dueling"])
def test_what_was_learned_is_saved_and_exported_as_it_decides(name: str, tmp_path: Path) -> None:
    if name == "bcq":
        policy = train_bcq(LOG, BCQConfig(hidden=(8,), steps=200), 0, silent)
    else:
        policy = train_dqn(LOG, DQNConfig(hidden=(8,), steps=200, dueling=True), 0, silent)
    save_scored(policy, tmp_path)
    again = load_scored(tmp_path, LOG.catalog.hash)
    expected = policy.action_probabilities(LOG.features, LOG.mask)
    assert np.array_equal(again.action_probabilities(LOG.features, LOG.mask), expected)
    catalog = ActionCatalog.of(two_step_shop())
    worst = export_onnx(policy, tmp_path / "core.onnx", catalog, np.random.default_rng(0))
    assert worst < 1e-5
