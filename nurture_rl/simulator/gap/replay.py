"""The logging policy played in a world, from the starting states of the held-out contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.rollout import ActsOnArrays, play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.learned import LearnedWorld, StartTable
from nurture_envs.worlds.world import World
from nurture_rl.simulator.gap.trajectories import Trajectories

_BLOCK = 4096


def started_from(world: World, starts: StartTable | None) -> tuple[World, bool]:
    """The world with the given starting states, and whether it could take them.

    Worlds that make contacts of their own keep doing so.
    """
    if isinstance(world, LearnedWorld) and starts is not None:
        return replace(world, starts=starts), True
    return world, False


def replay(simulation: Simulation, policy: ActsOnArrays, n: int, seed: int) -> Trajectories:
    """Play n whole episodes.

    Args:
        simulation: the world, compiled.
        policy: chooses in every bin.
        n: episodes, each a contact of its own.
        seed: of contacts and luck.
    """
    keys = population_keys(seed, n)
    columns: dict[str, list[NDArray[np.generic]]] = {}
    for start in range(0, n, _BLOCK):
        for bin_, step in enumerate(play(simulation, policy, keys[start : start + _BLOCK], start)):
            rows = {
                "features": step.features.cpu().numpy(),
                "mask": step.mask.cpu().numpy(),
                "action": step.action.cpu().numpy(),
                "probabilities": step.probabilities.cpu().numpy(),
                "amounts": step.amounts.cpu().numpy().astype(np.float64),
                "episode": step.contact.cpu().numpy(),
                "step": np.full(len(step.action), bin_, np.int64),
            }
            for name, values in rows.items():
                columns.setdefault(name, []).append(values)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return _assembled(joined, simulation.world, n, seed)


def _assembled(
    table: dict[str, NDArray[np.generic]], world: World, n: int, seed: int
) -> Trajectories:
    order = np.argsort(table["episode"], kind="stable")  # bins stay in their order
    rows = {name: values[order] for name, values in table.items()}
    action, episode = rows["action"].astype(np.int64), rows["episode"].astype(np.int64)
    step, probabilities = rows["step"].astype(np.int64), rows["probabilities"].astype(np.float64)
    anchor = world.start(population_keys(seed, n)).anchor_us.cpu().numpy()
    clock = world.journey.clock
    started = anchor[episode] + clock.start_us(step)
    return Trajectories(
        features=rows["features"].astype(np.float32),
        mask=rows["mask"].astype(np.bool_),
        action=action,
        propensity=probabilities[np.arange(len(action)), action],
        probabilities=probabilities,
        amounts=rows["amounts"].astype(np.float64),
        event_delay=None,
        step=step,
        episode=episode,
        contact=episode,
        when=np.asarray(started // DAY_US, np.int64),
        weight=np.ones(len(action)),
    )
