"""Compiled loops give what the plain code gives; curved functions to their last digit."""

from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.clock import DAY_US
from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.errors import SimulationError
from nurture_envs.features import FeatureSpec, History
from nurture_envs.population import Population
from nurture_envs.worlds.draws import contact_keys, uniforms
from nurture_envs.worlds.reference import REFERENCE_WORLDS, reference_world
from nurture_envs.worlds.world import Outcome, Start, View
from tests.unit.envs.scripted_world import ScriptedWorld
from tests.unit.envs.toy_journey import toy

TOGETHER = Population(account_size=3, seller_capacity=20.0, volume_growth=1.5)
N, BINS = 300, 40


def differences(
    journey: str, population: Population | None
) -> tuple[NDArray[np.bool_], float, int]:
    """Which contacts ever differ, by how much latents do, and how many episodes ended."""
    world = reference_world(journey)
    envs = [
        ContactVectorEnv(world, N, population=population, block=129, compiled=compiled)
        for compiled in (False, True)
    ]
    infos: list[dict[str, Any]] = []
    shown = [env.reset(seed=8) for env in envs]
    infos = [info for _, info in shown]
    differs = (shown[0][0] != shown[1][0]).any(axis=1)
    rng, ended = np.random.default_rng(4), 0
    for _ in range(BINS):
        draws = rng.random(infos[0]["action_mask"].shape) * infos[0]["action_mask"]
        action = draws.argmax(axis=1)
        steps: list[list[Any]] = [[*env.step(action)] for env in envs]
        plain, loops = steps
        infos = [plain[-1], loops[-1]]
        assert infos[0].keys() == infos[1].keys()
        for one, other in zip(_parts(plain), _parts(loops), strict=True):
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            differs |= (one != other).reshape(N, -1).any(axis=1)
        ended += int((plain[2] | plain[3]).sum())
    return differs, _latent_gap(envs[0]._player, envs[1]._player, differs), ended


def _parts(step: list[Any]) -> list[NDArray[Any]]:
    info = step[-1]
    parts = [*step[:-1], *(info[k] for k in sorted(info) if k != "final_info" and k[0] != "_")]
    if "final_obs" in info:
        parts += [info["_final_obs"], *info["final_info"].values()]
    return parts


def _latent_gap(plain: Any, loops: Any, differs: NDArray[np.bool_]) -> float:
    """The largest difference between latent floats of contacts that showed the same."""
    most = 0.0
    for (state, _), block in zip(plain._blocks, loops._blocks, strict=True):
        floats = [part for part in state.latent.values() if part.dtype == torch.float32]
        same = ~differs[block.column : block.column + block.n]
        for row, part in enumerate(floats):
            gap = np.abs(block.state.floats[row, : block.n] - part.numpy())
            most = max(most, float(gap[same].max()))
    return most


@pytest.mark.slow
@pytest.mark.parametrize("population", [None, TOGETHER], ids=["alone", "together"])
@pytest.mark.parametrize("journey", REFERENCE_WORLDS)
def test_an_environment_shows_the_same_compiled_or_not(
    journey: str, population: Population | None
) -> None:
    differs, latent_gap, ended = differences(journey, population)
    assert differs.sum() <= 1  # of 300 contacts in 40 bins: a chance within rounding of its draw
    assert latent_gap < 1e-5
    assert ended > 30


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_compiled_draws_are_the_same_draws(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from nurture_envs.worlds.draw_loops import draw, fill_uniforms, next_key
    from nurture_envs.worlds.draws import next_episode

    keys, bins = contact_keys(5, 3000), torch.arange(3000) % 50 - 1
    out = np.empty((count, 3000), np.float32)
    fill_uniforms(keys.numpy(), bins.numpy(), 13, out)
    monkeypatch.setattr("nurture_envs.worlds.draws._compiled", lambda: None)
    assert out.tobytes() == uniforms(keys, bins, 13, count).contiguous().numpy().tobytes()
    assert draw(int(keys[9]), int(bins[9]), 13, count - 1) == out[count - 1, 9]
    assert next_key(int(keys[9])) == int(next_episode(keys)[9])


@pytest.mark.filterwarnings("ignore::nurture_envs.errors.SlowPathWarning")
def test_a_world_that_is_no_loop_is_played_by_torch_unless_loops_are_insisted_on() -> None:
    world = ScriptedWorld(toy())
    assert ContactVectorEnv(world, 3).player.startswith("torch: cannot be written as a loop")
    with pytest.raises(SimulationError, match="cannot be written as a loop"):
        ContactVectorEnv(world, 3, compiled=True)


def test_an_accelerator_cannot_take_compiled_loops() -> None:
    with pytest.raises(SimulationError, match="contacts live on meta, not on a CPU"):
        ContactVectorEnv(reference_world("inbound_lead"), 3, device="meta", compiled=True)


@dataclass(frozen=True)
class CountedWorld(ScriptedWorld):
    """Every second contact of a call is worth more: a trace of one contact cannot know that."""

    def start(self, keys: Tensor) -> Start:
        """Contacts whose consent depends on how many there are."""
        n = keys.shape[0]
        nobody = torch.zeros(n, dtype=torch.bool)
        columns = len(FeatureSpec.of(self.journey).attribute_columns)
        return Start(
            attributes=torch.zeros((columns, n)),
            past=History.of_bin(torch.zeros((len(self.journey.channels), n))),
            anchor_us=torch.full((n,), 20_549 * DAY_US),
            zone_known=~nobody,
            consent=torch.ones(n).cumsum(0) % 2 == 1,
            available=~nobody,
            latent={"steps": torch.zeros(n, dtype=torch.int64)},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Nothing."""
        nothing = torch.zeros((len(self.journey.channels), keys.shape[0]))
        return Outcome(nothing, torch.ones(keys.shape[0], dtype=torch.bool), view.latent)


@pytest.mark.filterwarnings("ignore::nurture_envs.errors.SlowPathWarning")
def test_a_world_that_does_not_treat_contacts_alike_is_found_out() -> None:
    world = CountedWorld(toy())
    with pytest.raises(SimulationError, match="168 of 200 contacts show something else by loops"):
        ContactVectorEnv(world, 3, compiled=True)
    assert ContactVectorEnv(world, 3).player.startswith("torch: 168 of 200 contacts")


@dataclass(frozen=True)
class LateWorld(CountedWorld):
    """Contacts are treated alike at first; from the third bin on every second one leaves."""

    def start(self, keys: Tensor) -> Start:
        """All contacts alike."""
        start = CountedWorld.start(self, keys)
        return replace(start, consent=start.zone_known)

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Depends on how many contacts there are, late."""
        outcome = CountedWorld.respond(self, view, keys)
        row = [torch.zeros(keys.shape[0]) for _ in self.journey.channels]
        many = 1.0 if keys.shape[0] > 1 else 0.0
        row[self.journey.channel_index("clicked")] = (view.bins >= 2).float() * many
        return replace(outcome, amounts=torch.stack(row))


def test_a_world_that_differs_only_later_is_found_out() -> None:
    with pytest.raises(SimulationError, match="193 of 200 contacts show something else by loops"):
        ContactVectorEnv(LateWorld(toy()), 3, compiled=True)


@dataclass(frozen=True)
class MarkingWorld(CountedWorld):
    """Writes into the latents that it is handed."""

    def start(self, keys: Tensor) -> Start:
        """All contacts alike."""
        start = CountedWorld.start(self, keys)
        return replace(start, consent=start.zone_known)

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Clicks count the bins."""
        steps = view.latent["steps"]
        row = [torch.zeros(keys.shape[0]) for _ in self.journey.channels]
        row[self.journey.channel_index("clicked")] = steps.float()
        steps[:] = steps + 1
        return Outcome(torch.stack(row), ~torch.zeros_like(keys).bool(), view.latent)


def test_latents_that_are_set_in_place_are_remembered() -> None:
    env = ContactVectorEnv(MarkingWorld(toy()), 3, compiled=True)
    env.reset(seed=0)
    wait = np.full(3, env.action_ids.index("pause:1"))
    for _ in range(2):
        env.step(wait)
    block: Any = env._player
    np.testing.assert_array_equal(block._blocks[0].state.wholes[0, :3], 2)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_copied_environment_goes_on_by_itself(compiled: bool, threads: int) -> None:
    world = reference_world("inbound_lead")
    env = ContactVectorEnv(world, 6, block=3, threads=threads, compiled=compiled)
    env.reset(seed=2)
    copies = [deepcopy(env), pickle.loads(pickle.dumps(env))]
    wait = np.full(6, env.action_ids.index("pause:1"))
    for _ in range(4):
        observation = env.step(wait)[0]
        for one in copies:
            np.testing.assert_array_equal(one.step(wait)[0], observation)
