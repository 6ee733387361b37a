"""Contacts played side by side, each starting a new episode when its last one ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import SimulationState
from nurture_envs.worlds.draws import choose, next_episode, population_keys, uniforms
from nurture_rl.rl.actor import Actor, Critic

_EXPLORE_STREAM = 21


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """Where every contact stands between two rollouts."""

    state: SimulationState
    earned: Tensor  # [n], discounted reward of the open episode
    running: Tensor  # [n], reward accumulated with discount: its spread scales the rewards


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """T bins of n contacts."""

    after: Tensor  # [n], the critic after the last bin
    finished: Tensor  # [e], returns of the episodes that ended
    features: Tensor  # [T, n, d]
    mask: Tensor  # [T, n, a]
    action: Tensor  # [T, n]
    log_probability: Tensor  # [T, n], of the action
    value: Tensor  # [T, n], the critic before the decision
    reward: Tensor  # [T, n], the journey's unit
    done: Tensor  # [T, n] bool, terminated or at the horizon
    running: Tensor  # [T, n], see `Cursor`


def begin(simulation: Simulation, n: int, seed: int) -> Cursor:
    """n contacts before their first decision."""
    nothing = torch.zeros(n, device=simulation.device)
    state = simulation.begin(population_keys(seed, n, simulation.device))
    return Cursor(state, nothing, nothing)


@torch.no_grad()
def collect(
    simulation: Simulation,
    actor: Actor,
    critic: Critic,
    cursor: Cursor,
    length: int,
    discount: float,
) -> tuple[Rollout, Cursor]:
    """Play `length` bins with actions drawn from the actor; the same cursor gives the same luck."""
    columns: list[tuple[Tensor, ...]] = []
    finished: list[Tensor] = []
    for _ in range(length):
        state = cursor.state
        decision = simulation.decision(state)
        log_table = actor.log_probabilities(decision.features, decision.mask)
        luck = uniforms(state.keys, state.bins, _EXPLORE_STREAM, 1)[0]
        action = choose(log_table.exp(), luck)
        step = simulation.step(state, decision, action)
        done = step.terminated | step.truncated
        earned = cursor.earned + discount ** state.bins.to(step.reward.dtype) * step.reward
        running = discount * cursor.running + step.reward
        finished.append(earned[done])
        columns.append(
            (
                decision.features,
                decision.mask,
                action,
                log_table.gather(1, action[:, None])[:, 0],
                critic(decision.features),
                step.reward,
                done,
                running,
            )
        )
        cursor = Cursor(
            _renew(simulation, step.state, done),
            torch.where(done, 0.0, earned),
            torch.where(done, 0.0, running),
        )
    after = critic(simulation.decision(cursor.state).features)
    stacked = (torch.stack(column) for column in zip(*columns, strict=True))
    return Rollout(after, torch.cat(finished), *stacked), cursor


def _renew(simulation: Simulation, state: SimulationState, done: Tensor) -> SimulationState:
    """Start the next episode of the contacts that are done."""
    rows = torch.nonzero(done)[:, 0]
    if not len(rows):
        return state
    return simulation.renew(state, simulation.begin(next_episode(state.keys[rows])), rows)
