"""Compiled loops give what the plain code gives, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.errors import SimulationError
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys, uniforms
from nurture_envs.worlds.reference import reference_journeys, reference_world

numba = pytest.importorskip("numba", reason="the extra `compiled` is not installed")


def trace(journey: str, compiled: bool, n: int = 300, bins: int = 40) -> list[NDArray[Any]]:
    """Everything that n contacts showed under one choice of actions."""
    env = ContactVectorEnv(reference_world(journey), n, block=128, compiled=compiled)
    rng = np.random.default_rng(4)
    observation, info = env.reset(seed=8)
    seen: list[NDArray[Any]] = []
    for _ in range(bins):
        seen += [observation.copy(), info["action_mask"].copy(), info["reasons"].copy()]
        draws = rng.random(info["action_mask"].shape) * info["action_mask"]
        observation, reward, ended, cut, info = env.step(draws.argmax(axis=1))
        seen += [reward, ended, cut]
        if "final_obs" in info:
            seen.append(info["final_obs"].copy())
    return seen


@pytest.mark.parametrize("journey", reference_journeys())
def test_an_environment_shows_the_same_compiled_or_not(journey: str) -> None:
    plain, compiled = trace(journey, False), trace(journey, True)
    assert len(plain) == len(compiled)
    for one, other in zip(plain, compiled, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_compiled_draws_are_the_same_draws(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from nurture_envs.compiled import fill_uniforms

    keys, bins = contact_keys(5, 3000), torch.arange(3000) % 50 - 1
    out = np.empty((count, 3000), np.float32)
    fill_uniforms(keys.numpy(), bins.numpy(), 13, out)
    monkeypatch.setattr("nurture_envs.worlds.draws._compiled", lambda: None)
    assert out.tobytes() == uniforms(keys, bins, 13, count).contiguous().numpy().tobytes()


def test_an_accelerator_cannot_take_compiled_loops() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    state = simulation.begin(contact_keys(0, 2))
    simulation.device = torch.device("meta")
    with pytest.raises(SimulationError, match="need numba and a CPU, got device meta"):
        simulation.packed(state)
