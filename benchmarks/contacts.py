"""Our environment under the clock: full steps of many contacts, actions drawn before the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.timing import Work
from nurture_envs.compiling import against_numba
from nurture_envs.contact_env import BLOCK, ContactVectorEnv
from nurture_envs.population import Population
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys, next_episode
from nurture_envs.worlds.reference import reference_world
from nurture_envs.worlds.world import World

BURN_IN = 20  # steps before the clock runs: contacts are then spread over their episodes
# A seller answers two calls a bin per 1,000 contacts; mail may double against its weekly mean.
SHARED = Population(account_size=4, seller_capacity=2.0, volume_growth=2.0)


def known_world(journey: str, device: str = "cpu") -> World:
    """The reference world of a shipped journey."""
    return reference_world(journey, device)


def legal_actions(mask: NDArray[np.bool_], luck: np.random.Generator) -> NDArray[np.int64]:
    """One legal action per row, uniformly, [n]; the mask is stored column by column."""
    draws = luck.random(mask.T.shape, dtype=np.float32)
    return np.asarray((draws * mask.T).argmax(axis=0), np.int64)


def contact_steps(
    world: World,
    n: int,
    steps: int,
    population: Population | None = SHARED,
    threads: int = 1,
    compiled: bool | None = None,
) -> Callable[[], Work]:
    """Timed runs of `steps` full environment steps of n contacts, restarts included.

    Contacts are played in as many blocks as there are threads, or more where they are many.
    """
    block = min(BLOCK, -(-n // threads))
    env = ContactVectorEnv(
        world, n, population=population, block=block, threads=threads, compiled=compiled
    )
    luck = np.random.default_rng(0)

    def run() -> Work:
        _, info = env.reset(seed=1)
        seconds = 0.0
        for step in range(BURN_IN + steps):
            action = legal_actions(info["action_mask"], luck)
            began = time.perf_counter()
            _, _, _, _, info = env.step(action)
            seconds += (time.perf_counter() - began) if step >= BURN_IN else 0.0
        return Work(n * steps, seconds)

    return run


def player_of(
    world: World, population: Population | None = SHARED, compiled: bool | None = None
) -> str:
    """Who plays such contacts: compiled loops, or torch and why."""
    return ContactVectorEnv(world, 1, population=population, compiled=compiled).player


def restart_share(world: World, n: int, steps: int) -> float:
    """Share of the timed contact-steps after which a new contact begins."""
    env, luck = ContactVectorEnv(world, n, population=SHARED), np.random.default_rng(0)
    _, info = env.reset(seed=1)
    restarted = 0
    for step in range(BURN_IN + steps):
        _, _, ended, cut, info = env.step(legal_actions(info["action_mask"], luck))
        restarted += int((ended | cut).sum()) if step >= BURN_IN else 0
    return restarted / (n * steps)


def device_steps(world: World, n: int, steps: int, device: str) -> Callable[[], Work]:
    """The same bins where nothing leaves the device: actions are drawn there, outside the clock."""
    simulation = Simulation(world, device)

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    def run() -> Work:
        state = simulation.begin(contact_keys(1, n, device))
        decision = simulation.decision(state)
        seconds = 0.0
        for step in range(BURN_IN + steps):
            action = (torch.rand(decision.mask.T.shape, device=device) * decision.mask.T).argmax(0)
            wait()
            began = time.perf_counter()
            after = simulation.step(state, decision, action)
            state = after.state
            rows = torch.nonzero(after.terminated | after.truncated)[:, 0]
            if len(rows):
                fresh = simulation.begin(next_episode(state.keys[rows]))
                state = simulation.renew(state, fresh, rows)
            decision = simulation.decision(state)
            wait()
            seconds += (time.perf_counter() - began) if step >= BURN_IN else 0.0
        return Work(n * steps, seconds)

    return run


def state_bytes(world: World, n: int) -> int:
    """Bytes of everything that n contacts carry from bin to bin, where the world's arrays lie."""
    device = world_device(world)
    simulation = Simulation(world, device, SHARED)
    if device == "cpu" and not against_numba():
        from nurture_envs.loops.block import Loops

        return sum(part.nbytes for part in _leaves(Loops(simulation, answers=True).state(n)))
    found = {
        part.untyped_storage().data_ptr(): part.untyped_storage().nbytes()
        for part in _leaves(simulation.begin(contact_keys(1, n, device)))
    }
    return sum(found.values())


def world_device(world: World) -> str:
    """Where the world's delays, and so its arrays, lie."""
    return str(world.delays.device)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Tensor | np.ndarray):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _leaves(part)
