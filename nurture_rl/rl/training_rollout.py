"""Contacts played side by side, each starting a new episode when its last one ends."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from nurture_envs.player_protocol import Player
from nurture_envs.playing import player
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import PolicyInput
from nurture_envs.worlds.draws import choose, population_keys, uniforms
from nurture_rl.policies.composition import Region
from nurture_rl.rl.actor import Actor, Critic
from nurture_rl.rl.held_actor import anchored, held

_EXPLORE_STREAM = 21


@dataclass(slots=True, eq=False)
class Cursor:
    """Contacts between two rollouts; the next one changes it."""

    player: Player
    decision: PolicyInput  # what the contacts are shown now
    earned: Tensor  # [n], discounted reward of the open episode
    running: Tensor  # [n], reward accumulated with discount: its spread scales the rewards


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """T bins of n contacts."""

    after: Tensor  # [n], the critic after the last bin
    finished: Tensor  # [e], returns of the episodes that ended
    features: Tensor  # [T, n, d]
    mask: Tensor  # [T, n, a]
    anchor: Tensor  # probabilities of the region's anchor, [T, n, a]; [T, n, 0] without a region
    action: Tensor  # [T, n]
    log_probability: Tensor  # [T, n], of the action
    value: Tensor  # [T, n], the critic before the decision
    reward: Tensor  # [T, n], the journey's unit
    done: Tensor  # [T, n] bool, terminated or at the horizon
    running: Tensor  # [T, n], see `Cursor`


def begin(simulation: Simulation, n: int, seed: int) -> Cursor:
    """n contacts before their first decision."""
    nothing = torch.zeros(n, device=simulation.device)
    played = player(simulation, autoreset=True, block=n)
    decision = played.begin(population_keys(seed, n, simulation.device))
    return Cursor(played, decision, nothing, nothing)


class _WithoutSimulation(pickle.Pickler):
    """Leaves out the simulation, which is the same for whoever reads."""

    def __init__(self, file: BytesIO, simulation: Simulation) -> None:
        super().__init__(file)
        self._simulation = simulation

    def persistent_id(self, thing: Any) -> str | None:
        """The simulation's name, in its place."""
        return "simulation" if thing is self._simulation else None


class _WithSimulation(pickle.Unpickler):
    """Puts a simulation where one was left out."""

    def __init__(self, file: BytesIO, simulation: Simulation) -> None:
        super().__init__(file)
        self._simulation = simulation

    def persistent_load(self, name: str) -> Simulation:
        """The simulation, where its name stands."""
        return self._simulation


def put_aside(cursor: Cursor, simulation: Simulation) -> bytes:
    """The contacts as they stand between two rollouts, without what they are played in."""
    file = BytesIO()
    _WithoutSimulation(file, simulation).dump(cursor)
    return file.getvalue()


def taken_up(contacts: bytes, simulation: Simulation) -> Cursor:
    """Contacts that were put aside, in the same simulation; they go on as if they never were."""
    cursor = _WithSimulation(BytesIO(contacts), simulation).load()
    assert isinstance(cursor, Cursor)
    return cursor


@torch.no_grad()
def collect(
    actor: Actor,
    critic: Critic,
    cursor: Cursor,
    length: int,
    discount: float,
    region: Region | None = None,
) -> Rollout:
    """Play `length` bins from where the cursor stands.

    Args:
        actor: actions are drawn from it, held inside the region.
        critic: says what it expects before each decision.
        cursor: the contacts; they are moved on.
        length: bins.
        discount: per bin.
        region: how the policy will be held near the log at its release; None: not at all.
    """
    columns: list[tuple[Tensor, ...]] = []
    finished: list[Tensor] = []
    for _ in range(length):
        state, decision = cursor.player.standing(), cursor.decision
        log_table = actor.log_probabilities(decision.features, decision.mask)
        anchor = anchored(region, decision.features, decision.mask)
        if region is not None:
            log_table = held(log_table, anchor, region)
        luck = uniforms(state.keys, state.bins, _EXPLORE_STREAM, 1)[0]
        action = choose(log_table.exp() * decision.mask, luck)
        step = cursor.player.step(action)
        done = step.terminated | step.truncated
        earned = cursor.earned + discount ** state.bins.to(step.reward.dtype) * step.reward
        running = discount * cursor.running + step.reward
        finished.append(earned[done])
        columns.append(
            (
                decision.features,
                decision.mask,
                anchor,
                action,
                log_table.gather(1, action[:, None])[:, 0],
                critic(decision.features),
                step.reward,
                done,
                running,
            )
        )
        cursor.decision = step.seen
        cursor.earned = torch.where(done, 0.0, earned)
        cursor.running = torch.where(done, 0.0, running)
    after = critic(cursor.decision.features)
    stacked = (torch.stack(column) for column in zip(*columns, strict=True))
    return Rollout(after, torch.cat(finished), *stacked)
