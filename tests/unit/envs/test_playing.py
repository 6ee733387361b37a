"""Whoever plays, the results are the same to the last bit; who cannot be compiled is told of."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs import compiling
from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.errors import SimulationError, SlowPathWarning
from nurture_envs.player_protocol import PlainPlayer, Player
from nurture_envs.playing import player
from nurture_envs.population import Population
from nurture_envs.rollout import Step, play, returns
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import PolicyInput
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.reference import REFERENCE_WORLDS, reference_world
from nurture_envs.worlds.world import World
from tests.unit.envs.scripted_world import ScriptedWorld
from tests.unit.envs.toy_journey import toy
from tests.unit.learned.test_learned_loops import WORLDS

N, BINS = 700, 25
LEARNED = ("three members", "linked heads", "values by their logarithm")


class Varied:
    """Probabilities that differ by contact, and legal."""

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        tilt = 1.0 + np.abs(features.sum(axis=1, keepdims=True)) % 3.0
        table = mask * (1.0 + tilt * np.arange(mask.shape[1]) % 5.0)
        return np.asarray(table / table.sum(axis=1, keepdims=True), np.float64)


def both(world: World, **given: Any) -> tuple[Simulation, Simulation]:
    """Played by plain torch, and by compiled loops."""
    plain, compiled = (Simulation(world, compiled=kind, **given) for kind in (False, True))
    return plain, compiled


def world_of(name: str) -> World:
    return WORLDS[name] if name in WORLDS else reference_world(name)


def same(one: Any, other: Any) -> bool:
    """Whether two records of tensors are equal to the last bit."""
    pairs = [(getattr(one, part.name), getattr(other, part.name)) for part in fields(one)]
    return all(
        torch.equal(a, b) and a.dtype == b.dtype if isinstance(a, torch.Tensor) else same(a, b)
        for a, b in pairs
        if a is not None or b is not None
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REFERENCE_WORLDS, *LEARNED])
def test_a_played_episode_is_the_same_compiled_or_not(name: str) -> None:
    plain, loops = (list(play(one, Varied(), contact_keys(3, N))) for one in both(world_of(name)))
    assert len(plain) == len(loops)
    assert all(same(*pair) for pair in zip(plain, loops, strict=True))
    assert len(plain[-1].contact) < N  # some episodes ended early


@pytest.mark.slow
@pytest.mark.parametrize("pessimism", [0.0, 0.7])
@pytest.mark.parametrize("name", [*REFERENCE_WORLDS, *LEARNED])
def test_episodes_that_begin_anew_are_the_same_compiled_or_not(name: str, pessimism: float) -> None:
    players = [player(one, True, 300) for one in both(world_of(name), pessimism=pessimism)]
    seen = [one.begin(contact_keys(5, N)) for one in players]
    luck, ended = np.random.default_rng(1), 0
    for _ in range(BINS):
        assert same(*seen)
        mask = seen[0].mask.numpy()
        action = torch.from_numpy((luck.random(mask.shape) * mask).argmax(axis=1))
        plain, loops = (one.step(action) for one in players)
        assert same(plain, loops)
        assert same(players[0].standing(), players[1].standing())
        seen = [plain.seen, loops.seen]
        ended += int((plain.terminated | plain.truncated).sum())
    assert ended > 30


@pytest.mark.slow
def test_a_population_is_the_same_compiled_or_not() -> None:
    shared = Population(account_size=3, seller_capacity=20.0, volume_growth=1.5)
    world = reference_world("stalled_opportunity")
    players = [player(one, True, N) for one in both(world, population=shared)]
    seen, refused = [one.begin(contact_keys(5, N)) for one in players], 0
    for _ in range(BINS):
        action = torch.arange(N) % seen[0].mask.shape[1]
        plain, loops = (one.step(action) for one in players)
        assert same(plain, loops)
        assert plain.refused is not None
        seen, refused = [plain.seen, loops.seen], refused + int((plain.refused != 0).sum())
    assert refused > 0


def test_any_world_on_a_cpu_is_played_by_loops() -> None:
    simulation = Simulation(ScriptedWorld(toy()), compiled=True)
    assert not isinstance(player(simulation, False, 4), PlainPlayer)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_was_played_never_changes(compiled: bool) -> None:
    simulation = Simulation(reference_world("inbound_lead"), compiled=compiled)
    kept: list[tuple[Step, Step]] = []
    for step in play(simulation, Varied(), contact_keys(0, 200)):
        parts = {
            part.name: getattr(step, part.name).clone()
            for part in fields(Step)
            if part.name != "state"
        }
        state = {part.name: getattr(step.state, part.name).clone() for part in fields(step.state)}
        kept.append((step, Step(state=replace(step.state, **state), **parts)))
    assert all(same(*pair) for pair in kept)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_an_environment_never_changes_what_it_has_shown(compiled: bool) -> None:
    env = ContactVectorEnv(reference_world("inbound_lead"), 40, compiled=compiled)
    observation, info = env.reset(seed=1)
    kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
    rng = np.random.default_rng(0)
    for _ in range(40):
        shown = [observation, info["action_mask"], info["reasons"], info.get("final_obs")]
        kept += [(one, one.copy()) for one in shown if one is not None]
        luck = rng.random(info["action_mask"].shape) * info["action_mask"]
        observation, reward, _, _, info = env.step(luck.argmax(axis=1))
        kept.append((reward, reward.copy()))
    assert len(kept) > 150
    for shown_then, copied in kept:
        np.testing.assert_array_equal(shown_then, copied)


@pytest.mark.parametrize("compiled", [False, True])
def test_contacts_of_several_blocks_cannot_be_dropped(compiled: bool) -> None:
    played = player(Simulation(reference_world("inbound_lead"), compiled=compiled), False, 2)
    played.begin(contact_keys(0, 5))
    with pytest.raises(SimulationError, match="where one block holds all, got 3 blocks"):
        played.keep(torch.tensor([0, 4]))


@pytest.mark.parametrize("compiled", [False, True])
def test_who_is_kept_goes_on_as_if_alone(compiled: bool) -> None:
    simulation = Simulation(reference_world("inbound_lead"), compiled=compiled)
    keys, rows = contact_keys(0, 40), torch.tensor([3, 4, 17, 39])
    alone, among = player(simulation, False, 40), player(simulation, False, 40)
    seen, all_seen = alone.begin(keys[rows]), among.begin(keys)
    seen = walked(alone, seen, 4)
    all_seen = walked(among, all_seen, 4)
    assert same(among.keep(rows), seen)
    assert same(walked(among, seen, 3), walked(alone, seen, 3))


def walked(played: Player, seen: PolicyInput, bins: int) -> PolicyInput:
    """What is shown after some bins of the last legal action."""
    for _ in range(bins):
        last = seen.mask.shape[1] - 1 - seen.mask.flip(1).to(torch.uint8).argmax(dim=1)
        seen = played.step(last).seen
    return seen


def test_a_population_whose_contacts_leave_is_played_by_torch_which_is_told_once() -> None:
    compiling.warn_of_slow_path.cache_clear()
    simulation = Simulation(reference_world("inbound_lead"), population=Population(account_size=2))
    with pytest.warns(SlowPathWarning, match="torch, .*: contacts of a population leave"):
        returns(simulation, Varied(), 6, seed=0)
    returns(simulation, Varied(), 6, seed=0)  # a second warning would be an error
    compiling.warn_of_slow_path.cache_clear()


def test_loops_that_are_insisted_on_must_be_possible() -> None:
    with pytest.raises(SimulationError, match="contacts live on meta, not on a CPU"):
        player(Simulation(reference_world("inbound_lead"), device="meta", compiled=True), False, 1)
