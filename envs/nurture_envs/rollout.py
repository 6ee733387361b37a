"""Playing a policy in a world: whole episodes of many contacts, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nurture_envs.playing import player
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import Standing
from nurture_envs.worlds.draws import choose, population_keys, uniforms

_POLICY_STREAM = 7
_BLOCK = 4096


class ActsOnArrays(Protocol):
    """Anything that gives action probabilities."""

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Probabilities of each action, [n, a]; 0 where masked."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """One bin of the contacts whose episode is still open."""

    contact: Tensor  # [m] i64: row of the contact among all that were started
    state: Standing  # at the start of the bin
    features: Tensor  # [m, d]
    mask: Tensor  # [m, a]
    reasons: Tensor  # [m, a]
    probabilities: Tensor  # [m, a] f64
    action: Tensor  # [m]
    amounts: Tensor  # [m, c]
    reward: Tensor  # [m]
    terminated: Tensor  # [m]


@dataclass(frozen=True, slots=True)
class Returns:
    """What each contact brought, and what happened to it."""

    value: NDArray[np.float64]  # [n] discounted return of the episode
    amounts: NDArray[np.float64]  # [n, c] channel sums of the episode
    decisions: NDArray[np.int64]  # [n] decisions taken
    action_mix: NDArray[np.float64]  # [bins, a] mean probability among open episodes
    reasons: dict[int, int]  # reason bits -> how often an action was forbidden for them


def play(
    simulation: Simulation, policy: ActsOnArrays, keys: Tensor, offset: int = 0
) -> Iterator[Step]:
    """Play whole episodes, yielding one `Step` a bin.

    Args:
        simulation: the compiled world.
        policy: chooses.
        keys: one per contact, [n]; the draws of contacts and policy follow from them.
        offset: added to the contact rows that the steps name.
    """
    played = player(simulation, autoreset=False, block=max(1, len(keys)))
    decision = played.begin(keys)
    contact = torch.arange(len(keys), device=keys.device) + offset
    while len(contact):
        state = played.standing()
        features, mask = decision.features.contiguous(), decision.mask.contiguous()
        table = policy.action_probabilities(features.cpu().numpy(), mask.cpu().numpy())
        probabilities = torch.as_tensor(table, device=keys.device)
        luck = uniforms(state.keys, state.bins, _POLICY_STREAM, 1)[0]
        after = played.step(choose(probabilities, luck))
        assert after.amounts is not None, "worlds answer in torch here"
        yield Step(
            contact,
            state,
            features,
            mask,
            decision.reasons,
            probabilities,
            after.action,
            after.amounts.contiguous(),
            after.reward,
            after.terminated,
        )
        alive = torch.nonzero(~(after.terminated | after.truncated))[:, 0]
        decision, contact = played.keep(alive), contact[alive]


def returns(
    simulation: Simulation,
    policy: ActsOnArrays,
    n: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Returns:
    """Play n contacts to their end.

    The same seed gives every policy the same contacts and luck; two seeds share no contact.
    """
    discount = simulation.journey.reward.discount
    horizon, actions = simulation.spec.clock.horizon, len(simulation.catalog)
    value = np.zeros(n)
    amounts = np.zeros((n, len(simulation.journey.channels)))
    decisions = np.zeros(n, np.int64)
    mix, alive = np.zeros((horizon, actions)), np.zeros(horizon)
    reasons: dict[int, int] = {}
    keys = population_keys(seed, n, simulation.device)
    for start in range(0, n, _BLOCK):
        for step in play(simulation, policy, keys[start : start + _BLOCK], start):
            rows = step.contact.cpu().numpy()
            bin_ = int(step.state.bins[0])
            value[rows] += discount**bin_ * step.reward.cpu().numpy()
            amounts[rows] += step.amounts.cpu().numpy()
            decisions[rows] += 1
            mix[bin_] += step.probabilities.sum(dim=0).cpu().numpy()
            alive[bin_] += len(rows)
            bits, counts = torch.unique(step.reasons, return_counts=True)
            for bit, count in zip(bits.tolist(), counts.tolist(), strict=True):
                if bit:
                    reasons[bit] = reasons.get(bit, 0) + count
        if progress is not None:
            progress(min(start + _BLOCK, n))
    return Returns(value, amounts, decisions, mix / np.maximum(alive, 1.0)[:, None], reasons)
