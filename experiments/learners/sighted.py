"""The true world of a journey, played by policies that see the hidden state of its contacts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.simulation_state import DecisionBuffers, PolicyInput, SimulationState
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.effects import staleness
from nurture_envs.worlds.reference import reference_world
from nurture_rl.policies.policy import BoolArray, FeatureArray, FloatArray, Policy, Spec

_LEVELS = 8  # of a latent that is a position; topics, stages and zones are fewer
_SHOWN = "shown"  # the latent in which the bins of showings are packed, a byte a message
_RECOVERY = 7.0  # days in which the wear of a message that is shown to the policy halves


@dataclass(frozen=True)
class SightedSpec(FeatureSpec):
    """The features of a journey, with columns of the hidden state behind them."""

    hidden: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature columns, the hidden ones last."""
        plain = tuple(name for feature in self.features for name in self.names(feature))
        return (*plain, *self.hidden)


class SightedSimulation(Simulation):
    """The true world of a journey; contacts and luck are those of the plain simulation.

    Policies are shown more columns: numbers and truths of the hidden state as they are, positions
    as one column a level, and how worn each message is.
    """

    def __init__(self, journey: Journey) -> None:
        super().__init__(reference_world(journey), compiled=False)
        self.plain = len(self.spec.columns)  # columns that every policy sees
        hidden = tuple(name for name, _ in self._hidden(self.begin(population_keys(0, 1))))
        own = {one.name: getattr(self.spec, one.name) for one in fields(FeatureSpec)}
        self.spec = SightedSpec(**own, hidden=hidden)

    def decision(self, state: SimulationState, out: DecisionBuffers | None = None) -> PolicyInput:
        """As of any simulation, the hidden columns behind the features."""
        if out is None:
            sizes = (len(self.spec.columns), len(self.catalog), len(state.keys))
            out = DecisionBuffers.of(*sizes, self.device)
        super().decision(state, out._replace(features=out.features[: self.plain]))
        for row, (_, values) in zip(out.features[self.plain :], self._hidden(state), strict=True):
            row.copy_(values)
        return out.decision()

    def _hidden(self, state: SimulationState) -> list[tuple[str, Tensor]]:
        """Every hidden column by name, each [n]."""
        columns = []
        for name, values in state.latent.items():
            if name == _SHOWN:
                columns += self._worn(values, state.bins)
            elif values.dtype == torch.int64:
                columns += [(f"{name}={k}", values == k) for k in range(_LEVELS)]
            else:
                columns.append((name, values))
        return columns

    def _worn(self, shown: Tensor, bins: Tensor) -> list[tuple[str, Tensor]]:
        clock = self.spec.clock
        days = clock.period_hours / 24.0 / len(clock.slots_hours)
        return [
            (
                f"worn:{message.id}",
                staleness(shown, torch.full_like(bins, k), bins, days, _RECOVERY),
            )
            for k, message in enumerate(self.journey.messages)
        ]


@dataclass(frozen=True, slots=True)
class Unsighted:
    """A policy that is shown the columns of a sighted one and reads its own alone."""

    policy: Policy
    plain: int  # columns that it reads, the first

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Those of the policy, [n, a]."""
        return self.policy.action_probabilities(features[:, : self.plain], mask)

    def spec(self) -> Spec:
        """The policy's."""
        return self.policy.spec()
