"""What the arms are truly worth: many fresh contacts who all live in one arm, then in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.served_weeks.lives import arrivals
from experiments.served_weeks.programme import SHARES, WORLDS, served_journey
from nurture_envs.rollout import ActsOnArrays
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import SimulationState, select
from nurture_envs.worlds.draws import choose, uniforms
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.layers import arm_layers
from nurture_rl.workflow.collect import reference_simulation

CONTACTS, _BLOCK = 200_000, 4_000
_SEED = 900_000  # of fresh contacts; runs have others
_LUCK = 7  # stream of the policy's draws


@dataclass(frozen=True, slots=True)
class Truth:
    """A key figure of an arm, less that of business as usual."""

    world: str
    arm: str
    figure: str
    usual: float  # the figure where everybody has business as usual
    difference: float
    stderr: float  # of the difference: the same contacts live in both arms


def truths(world: str, bundle: Bundle, contacts: int = CONTACTS) -> list[Truth]:
    """The lift of each arm in each key figure, and in the days to the stage.

    Args:
        world: one of WORLDS.
        bundle: its programs of the arms are played.
        contacts: fresh ones, a multiple of the block's 4,000.
    """
    torch.set_num_threads(1)
    journey = served_journey(world)
    simulation = reference_simulation(replace(journey, experiment=None))
    programs = arm_layers(bundle)
    lived: dict[str, list[Mapping[str, NDArray[np.float64]]]] = {}
    for block in range(contacts // _BLOCK):
        start = arrivals(simulation, _SEED + block, _BLOCK)
        for arm in SHARES:
            found = figures_of(simulation, start, programs[arm][0].policy, WORLDS[world].stage)
            lived.setdefault(arm, []).append(found)
    out = []
    for arm in (name for name in SHARES if name != "usual"):
        for figure in lived[arm][0]:
            mine, usual = (
                np.concatenate([part[figure] for part in lived[name]]) for name in (arm, "usual")
            )
            gain = mine - usual
            error = float(gain.std(ddof=1) / np.sqrt(gain.size))
            known = (float(usual.mean()), float(gain.mean()), error)
            out.append(Truth(world, arm, figure, *known))
    return out


def figures_of(
    simulation: Simulation, start: SimulationState, policy: ActsOnArrays, stage: str
) -> dict[str, NDArray[np.float64]]:
    """Each key figure of each contact, and its days to the stage, [n].

    Args:
        simulation: the world.
        start: contacts at the start of their first day, [n].
        policy: decides for them all.
        stage: signal that is timed; who never has it counts with all days.
    """
    journey, horizon = simulation.journey, simulation.spec.clock.horizon
    channel = journey.channel_index(stage)
    amounts = np.zeros((len(start.keys), len(journey.channels)))
    days = np.full(len(start.keys), float(horizon))
    state, who = start, np.arange(len(start.keys))
    while who.size:
        decision = simulation.decision(state)
        table = policy.action_probabilities(decision.features.numpy(), decision.mask.numpy())
        luck = uniforms(state.keys, state.bins, _LUCK, 1)[0]
        after = simulation.step(state, decision, choose(torch.as_tensor(table), luck))
        brought = after.amounts.numpy()
        amounts[who] += brought
        bins = np.where(brought[:, channel] > 0, state.bins.numpy(), horizon)
        days[who] = np.minimum(days[who], bins)
        alive = torch.nonzero(~(after.terminated | after.truncated))[:, 0]
        state, who = select(after.state, alive), who[alive.numpy()]
    figures = (journey.north_star, *journey.supporting)
    found = {one.name: amounts[:, _places(simulation, one.of)].sum(axis=1) for one in figures}
    return {**found, f"days to {stage}": days}


def _places(simulation: Simulation, names: tuple[str, ...]) -> list[int]:
    return [simulation.journey.channel_index(name) for name in names]
