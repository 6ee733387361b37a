"""Playing a policy in a world: whole episodes of many contacts, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    return returns_of_seeds(simulation, policy, n, [seed], progress)[0]


def returns_of_seeds(
    simulation: Simulation,
    policy: ActsOnArrays,
    n: int,
    seeds: Sequence[int],
    progress: Callable[[int], None] | None = None,
) -> list[Returns]:
    """`returns` of each seed; as many seeds as fit into a block are played side by side.

    That is sooner than one after the other: a bin costs something however few play it. Contacts
    that share a population are played seed by seed.
    """
    together = 1 if simulation.population is not None else max(1, _BLOCK // n)
    found: list[Returns] = []
    for first in range(0, len(seeds), together):
        some = seeds[first : first + together]
        tallies = [_Tally(simulation, n) for _ in some]
        keys = torch.cat([population_keys(seed, n, simulation.device) for seed in some])
        for start in range(0, len(keys), _BLOCK):
            for step in play(simulation, policy, keys[start : start + _BLOCK], start):
                rows = step.contact.cpu().numpy()
                ends = np.searchsorted(rows, n * np.arange(len(some) + 1))
                for place, tally in enumerate(tallies):
                    part = slice(ends[place], ends[place + 1])
                    tally.add(step, rows[part] - place * n, part)
            if progress is not None:
                progress(len(found) * n + min(start + _BLOCK, len(keys)))
        found += [tally.returns() for tally in tallies]
    return found


class _Tally:
    """What the contacts of one seed brought so far."""

    def __init__(self, simulation: Simulation, n: int) -> None:
        horizon, actions = simulation.spec.clock.horizon, len(simulation.catalog)
        self._discount = simulation.journey.reward.discount
        self._value = np.zeros(n)
        self._amounts = np.zeros((n, len(simulation.journey.channels)))
        self._decisions = np.zeros(n, np.int64)
        self._mix, self._alive = np.zeros((horizon, actions)), np.zeros(horizon)
        self._reasons: dict[int, int] = {}

    def add(self, step: Step, contact: NDArray[np.int64], part: slice) -> None:
        """One bin.

        Args:
            step: of contacts of several seeds.
            contact: numbers of this seed's among them, [k].
            part: where they stand in the step.
        """
        if not len(contact):
            return
        bin_ = int(step.state.bins[0])
        self._value[contact] += self._discount**bin_ * step.reward[part].cpu().numpy()
        self._amounts[contact] += step.amounts[part].cpu().numpy()
        self._decisions[contact] += 1
        self._mix[bin_] += step.probabilities[part].sum(dim=0).cpu().numpy()
        self._alive[bin_] += len(contact)
        against = step.reasons[part].cpu().numpy()
        found, counts = np.unique(against[against != 0], return_counts=True)
        for bits, count in zip(found.tolist(), counts.tolist(), strict=True):
            self._reasons[bits] = self._reasons.get(bits, 0) + count

    def returns(self) -> Returns:
        """All of it."""
        mix = self._mix / np.maximum(self._alive, 1.0)[:, None]
        return Returns(self._value, self._amounts, self._decisions, mix, self._reasons)
