"""What a policy's log would hold, as arrays and without files: played in any world."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.clock import DAY_US
from nurture_envs.rollout import ActsOnArrays, play
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.simulation_state import PolicyInput, SimulationState
from nurture_envs.worlds.draws import choose, population_keys, uniforms
from nurture_envs.worlds.learned import StartTable
from nurture_envs.worlds.world import Start
from nurture_rl.decisions import BoolArray, FloatArray
from nurture_rl.simulator.data import WorldData

LONG_AGO = 1_000_000  # bins: the age of decisions of which all is known
_BLOCK = 4096
_INSIDER_STREAM = 17


@runtime_checkable
class Insider(Protocol):
    """A logging policy that knows what no log holds, such as a salesperson who knows the leads."""

    def informed_probabilities(
        self,
        features: NDArray[np.float32],
        mask: BoolArray,
        latent: Mapping[str, NDArray[Any]],
    ) -> FloatArray:
        """Probabilities of each action, [n, a]; `latent` is the world's hidden state, each [n]."""
        ...


@dataclass(frozen=True, slots=True)
class InformedStep:
    """One bin of all contacts, those whose episode has ended included."""

    alive: Tensor  # [n] bool
    state: SimulationState  # at the start of the bin
    decision: PolicyInput
    probabilities: Tensor  # [n, a]
    after: Transition


@dataclass(frozen=True, slots=True)
class _Bin:
    """One bin of the contacts whose episode is still open."""

    contact: Tensor  # [m]
    step: Tensor  # [m]
    anchor_us: Tensor  # [m]
    features: Tensor  # [m, d]
    mask: Tensor  # [m, a]
    probabilities: Tensor  # [m, a]
    action: Tensor  # [m]
    amounts: Tensor  # [m, c]
    delays: Tensor  # [m, c] i64: bins until what happened is known


def played_data(
    simulation: Simulation,
    policy: ActsOnArrays | Insider,
    n: int,
    seed: int,
    until_day: int | None = None,
) -> WorldData:
    """Let `policy` nurture n contacts and read the log as ingestion would.

    Args:
        simulation: the world, compiled.
        policy: the logging policy; one that sees the hidden state makes a confounded log.
        n: contacts.
        seed: fixes contacts, answers and choices, as in `write_reference_log`.
        until_day: local day, days since 1970, at whose midnight the log is read: later decisions
            and what was not recorded yet are missing. None: long after the last event.

    Returns:
        Decisions sorted by contact and bin; `cluster` is the contact's row among the n. Rewards are
        not told.
    """
    keys = population_keys(seed, n, simulation.device)
    blocks = range(0, n, _BLOCK)
    bins = [one for at in blocks for one in _bins(simulation, policy, keys[at : at + _BLOCK], at)]
    rows = {
        name: torch.cat([getattr(one, name) for one in bins]).cpu().numpy()
        for name in _Bin.__slots__
    }
    order = np.lexsort((rows["step"], rows["contact"]))
    began_us = rows["anchor_us"] + simulation.spec.clock.start_us(rows["step"])
    if until_day is not None:
        order = order[began_us[order] < until_day * DAY_US]
    rows = {name: column[order] for name, column in rows.items()}
    available = _available(simulation, rows["mask"])
    seen, first = np.unique(rows["contact"], return_index=True)
    n, alone = len(rows["step"]), rows["contact"]
    return WorldData(
        features=rows["features"],
        action=rows["action"],
        reward=np.zeros(n),
        contact=alone,
        cluster=alone,
        episode=alone,
        step=rows["step"],
        terminal=np.append(alone[1:] != alone[:-1], True),
        held_out=np.zeros(n, bool),
        available=available,
        starts=_starts(simulation, keys[torch.as_tensor(seen)], available[first]),
        mask=rows["mask"],
        propensity=np.take_along_axis(rows["probabilities"], rows["action"][:, None], 1)[:, 0],
        probabilities=rows["probabilities"],
        when=began_us[order] // DAY_US,
        **_followed(simulation, rows, until_day),
    )


def _bins(
    simulation: Simulation, policy: ActsOnArrays | Insider, keys: Tensor, offset: int
) -> Iterator[_Bin]:
    if isinstance(policy, Insider):
        yield from _informed(simulation, policy, keys, offset)
        return
    for step in play(simulation, policy, keys, offset):
        yield _Bin(
            step.contact,
            step.state.bins,
            step.state.anchor_us,
            step.features,
            step.mask,
            step.probabilities,
            step.action,
            step.amounts,
            simulation.delays(step.state.keys, step.state.bins),
        )


def play_informed(simulation: Simulation, policy: Insider, keys: Tensor) -> Iterator[InformedStep]:
    """As `play`, with the hidden state shown to the policy; ended episodes idle along unseen."""
    state = simulation.begin(keys)
    alive = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
    while bool(alive.any()):
        decision = simulation.decision(state)
        table = policy.informed_probabilities(
            decision.features.cpu().numpy(),
            decision.mask.cpu().numpy(),
            {name: value.cpu().numpy() for name, value in state.latent.items()},
        )
        probabilities = torch.as_tensor(table, device=keys.device)
        luck = uniforms(keys, state.bins, _INSIDER_STREAM, 1)[0]
        after = simulation.step(state, decision, choose(probabilities, luck))
        yield InformedStep(alive, state, decision, probabilities, after)
        alive = alive & ~(after.terminated | after.truncated)
        state = after.state


def _informed(simulation: Simulation, policy: Insider, keys: Tensor, offset: int) -> Iterator[_Bin]:
    contact = torch.arange(len(keys), device=keys.device) + offset
    for one in play_informed(simulation, policy, keys):
        after, decision = one.after, one.decision
        late = simulation.delays(keys, one.state.bins)
        known = (contact, one.state.bins, one.state.anchor_us, decision.features, decision.mask)
        made = (one.probabilities, after.action, after.amounts, late)
        yield _Bin(*(part[one.alive] for part in (*known, *made)))


def _followed(
    simulation: Simulation, rows: dict[str, NDArray[Any]], until_day: int | None
) -> dict[str, Any]:
    """What of the bins' events the log holds, and how long it has waited for them."""
    amounts = rows["amounts"].astype(np.float64)
    delay = np.where(amounts != 0.0, rows["delays"], -1)
    if until_day is None:
        old, known = np.full(len(delay), LONG_AGO), np.ones(len(delay), bool)
        told = {"amounts": amounts, "event_delay": delay, "age": old}
        return {**told, "matured": known, "complete": known}
    clock = simulation.spec.clock
    midnight = np.full(len(delay), until_day * DAY_US)
    age = clock.bin_of(midnight, rows["anchor_us"]) - rows["step"] - 1
    known = delay <= age[:, None]
    return {
        "amounts": np.where(known, amounts, 0.0),
        "event_delay": np.where(known, delay, -1),
        "age": age,
        "matured": age >= max(simulation.journey.delays),
        "complete": age + rows["step"] >= clock.horizon - 1 + max(simulation.journey.delays),
    }


def _available(simulation: Simulation, mask: BoolArray) -> BoolArray:
    """Whether a send was open; journeys without availability always reach."""
    if not simulation.journey.guardrails.availability:
        return np.ones(len(mask), bool)
    return np.asarray((mask & simulation.catalog.routed("send")).any(axis=1))


def _starts(simulation: Simulation, keys: Tensor, available: BoolArray) -> StartTable:
    start: Start = simulation.world.start(keys)
    ring = start.past.ring.permute(2, 0, 1).cpu()
    missing = ring.new_zeros((len(ring), simulation.spec.window - ring.shape[1], ring.shape[2]))
    return StartTable(
        attributes=start.attributes.T.contiguous().cpu(),
        ring=torch.cat([ring, missing], dim=1),
        last=start.past.last.T.contiguous().cpu(),
        anchor_us=start.anchor_us.cpu(),
        zone_known=start.zone_known.cpu(),
        consent=start.consent.cpu(),
        available=torch.as_tensor(available),
    )
