"""Contacts that are played while values are learned, and the memory of what they met."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_envs.playing import player
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import choose, population_keys, uniforms
from nurture_rl.learned.scored import REACH
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import FloatArray
from nurture_rl.rl.best_inside import Limits, best_released
from nurture_rl.rl.held_actor import anchored
from nurture_rl.rl.transitions import Transitions

_EXPLORE_STREAM = 21


@dataclass(frozen=True, slots=True, eq=False)
class PlayedDecisions:
    """Decisions whose next one has come, or whose episode has ended."""

    features: Tensor  # raw contexts, [k, d]
    action: Tensor  # [k]
    reward: Tensor  # of all bins until the next one, discounted to the decision, [k]
    onward: Tensor  # discount^(bins to the next one), 0 where the episode has ended, [k]
    next_features: Tensor  # raw contexts; those of a new episode where the old one ended, [k, d]
    next_mask: Tensor  # [k, a]
    next_anchor: Tensor  # what the region's anchor does there, [k, a]; [k, 0] without a region
    returns: Tensor  # of the episodes that ended, from their first bin on, [e]


class PlayedContacts:
    """Contacts side by side, each starting a new episode when its last one ends.

    A bin with one legal action is no decision: what it brings counts for the decision before it. So
    a pause of three bins is one decision whose next one is three bins away.
    """

    def __init__(
        self, simulation: Simulation, n: int, seed: int, discount: float, region: Region | None
    ) -> None:
        """Begin n contacts.

        Args:
            simulation: the compiled world.
            n: contacts played side by side.
            seed: of the contacts and their luck.
            discount: per bin.
            region: its anchor is asked at every decision; None: nothing is asked.
        """
        self._player = player(simulation, autoreset=True, block=n)
        self._discount, self.region = discount, region
        self.decision = self._player.begin(population_keys(seed, n, simulation.device))
        self.anchor = anchored(region, self.decision.features, self.decision.mask)
        nothing = torch.zeros(n, device=simulation.device)
        self._earned, self._weight, self._total = nothing, nothing, nothing
        self._features, self._action = self.decision.features, nothing.long()
        self._open = nothing.bool()  # a decision waits for its next one

    def best(self, scores: Tensor) -> Tensor:
        """What ranking actions by scores does now, see `best_released`, [n, a].

        Args:
            scores: of every action, [n, a].
        """
        region = self.region
        limits = Limits(self.anchor, region.max_ratio, region.explore) if region else None
        return best_released(scores, self.decision.mask, limits)

    def step(self, table: Tensor) -> PlayedDecisions:
        """Play one bin.

        Args:
            table: probabilities of every action, exactly 0 where it is not legal, [n, a].
        """
        state, shown = self._player.standing(), self.decision
        action = choose(table, uniforms(state.keys, state.bins, _EXPLORE_STREAM, 1)[0])
        self._features = torch.where(self._open[:, None], self._features, shown.features)
        self._action = torch.where(self._open, self._action, action)
        earned = torch.where(self._open, self._earned, 0.0)
        weight = torch.where(self._open, self._weight, 1.0)
        after = self._player.step(action)
        self._earned, self._weight = earned + weight * after.reward, weight * self._discount
        total = self._total + self._discount ** state.bins.to(weight.dtype) * after.reward
        self.decision = after.seen
        self.anchor = anchored(self.region, after.seen.features, after.seen.mask)
        done = after.terminated | after.truncated
        closed = done | (after.seen.mask.sum(dim=1) > 1)
        self._open, self._total = ~closed, torch.where(done, 0.0, total)
        rows = torch.nonzero(closed)[:, 0]
        return PlayedDecisions(
            self._features[rows],
            self._action[rows],
            self._earned[rows],
            torch.where(done, 0.0, self._weight)[rows],
            after.seen.features[rows],
            after.seen.mask[rows],
            self.anchor[rows],
            total[done],
        )


class ReplayMemory:
    """The latest decisions that were played, as rows that objectives on a log read, too.

    Each of them is two rows of `data`, the decision and the next one behind it, which `Transitions`
    takes for what follows. The oldest make room for new ones.
    """

    def __init__(
        self,
        size: int,
        first: PlayedDecisions,
        moments: tuple[FloatArray, FloatArray],
        scale: float,
        region: Region | None,
    ) -> None:
        """An empty memory.

        Args:
            size: decisions that are kept, as many as are added at a time at least.
            first: what will be added is shaped like it.
            moments: mean and scale of the features, [d] each.
            scale: unit of the values, the journey's unit.
            region: how the policy will be held near its anchor; None: not at all.
        """
        device, (_, d), (_, a) = first.reward.device, first.features.shape, first.next_mask.shape

        def room(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros((2 * size, *shape), dtype=dtype, device=device)

        limits = Limits(room(a), region.max_ratio, region.explore) if region else None
        self.data = Transitions(
            features=room(d),
            mask=room(a, dtype=torch.bool),
            action=room(1, dtype=torch.int64),
            reward=room(),
            onward=room(),
            scale=scale,
            moments=moments,
            limits=limits,
        )
        mean, spread = (torch.as_tensor(one, device=device) for one in moments)
        self._mean, self._spread = mean, spread
        self._size, self._added = size, 0

    def standardised(self, features: Tensor) -> Tensor:
        """Contexts as networks read them, [n, d] float32."""
        found = (features.double() - self._mean) / self._spread
        return found.clamp(-REACH, REACH).float()

    def add(self, passed: PlayedDecisions) -> None:
        """Remember decisions, in the place of the oldest where there is no room."""
        count, data = len(passed.action), self.data
        place = torch.arange(self._added, self._added + count, device=data.reward.device)
        now = 2 * (place % self._size)
        self._added += count
        data.features[now] = self.standardised(passed.features)
        data.action[now, 0] = passed.action
        data.reward[now] = passed.reward / data.scale
        data.onward[now] = passed.onward
        data.features[now + 1] = self.standardised(passed.next_features)
        data.mask[now + 1] = passed.next_mask
        if data.limits is not None:
            data.limits.anchor[now + 1] = passed.next_anchor

    def draw(self, shape: tuple[int, ...], luck: torch.Generator) -> Tensor:
        """Rows of decisions that are remembered, each as likely.

        Args:
            shape: of the result.
            luck: on the CPU.
        """
        kept = min(self._added, self._size)
        return 2 * torch.randint(kept, shape, generator=luck).to(self.data.reward.device)
