from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.errors import BundleError
from nurture_rl.simulator.store import load_learned_world, save_world
from tests.unit.simulator.lamp_shop import fitted_lamps, lamp_shop


def two_bins(world: LearnedWorld) -> torch.Tensor:
    simulation = Simulation(world)
    state = simulation.begin(contact_keys(3, 200))
    parts = []
    for _ in range(2):
        step = simulation.step(state, simulation.decision(state), torch.arange(200) % 3)
        parts += [step.amounts, step.state.attributes]
        state = step.state
    return torch.cat(parts, dim=1)


def test_a_saved_world_answers_exactly_as_before(tmp_path: Path) -> None:
    world = fitted_lamps().world
    save_world(world, tmp_path / "world")
    again = load_learned_world(tmp_path / "world", lamp_shop())
    assert torch.equal(two_bins(world), two_bins(again))
    assert float(two_bins(world)[:, :8].sum()) > 0


def test_a_world_of_another_feature_spec_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    with pytest.raises(BundleError, match=r"was fitted with features .* fit the world again"):
        load_learned_world(tmp_path / "world", lamp_shop(periods=4))


def test_a_folder_without_its_tensors_is_refused(tmp_path: Path) -> None:
    save_world(fitted_lamps().world, tmp_path / "world")
    (tmp_path / "world" / "world.safetensors").unlink()
    with pytest.raises(BundleError, match=r"\['world.safetensors'\] missing"):
        load_learned_world(tmp_path / "world", lamp_shop())
