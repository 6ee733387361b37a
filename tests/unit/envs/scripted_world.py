"""A world in which everything that happens was written down before."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from nurture_envs.clock import DAY_US
from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays
from tests.unit.envs.toy_journey import toy

MONDAY = 20_549  # days since 1970: 2026-04-06

Script = dict[tuple[int, int], dict[str, float]]  # (contact, bin) -> channel -> amount


@dataclass(frozen=True)
class ScriptedWorld:
    """Contacts are keys 0, 1, ...; what is not in the script does not happen."""

    journey: Journey
    script: Script = field(default_factory=dict)
    unreachable: frozenset[tuple[int, int]] = frozenset()  # (contact, bin) out of reach

    @property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey)

    def start(self, keys: Tensor) -> Start:
        """Contacts without a past, entering on a Monday; odd keys have no known zone."""
        spec, n = FeatureSpec.of(self.journey), len(keys)
        encoded = spec.encode_attributes([{"size": float(key)} for key in keys])
        return Start(
            attributes=torch.as_tensor(encoded).T,
            past=History.of_bin(torch.zeros((len(spec.channels), n))),
            anchor_us=torch.full((n,), MONDAY * DAY_US),
            zone_known=keys % 2 == 0,
            consent=torch.ones(n, dtype=torch.bool),
            available=self._reachable(keys, torch.zeros_like(keys)),
            latent={"steps": torch.zeros(n, dtype=torch.int64)},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """The script of the bin, whatever was done."""
        amounts = torch.zeros((len(self.journey.channels), len(keys)))
        for row, (key, bin_) in enumerate(zip(keys.tolist(), view.bins.tolist(), strict=True)):
            for channel, amount in self.script.get((key, bin_), {}).items():
                amounts[self.journey.channel_index(channel), row] = amount
        latent = {"steps": view.latent["steps"] + 1}
        return Outcome(amounts, self._reachable(keys, view.bins + 1), latent)

    def _reachable(self, keys: Tensor, bins: Tensor) -> Tensor:
        pairs = zip(keys.tolist(), bins.tolist(), strict=True)
        return torch.tensor([pair not in self.unreachable for pair in pairs])


def scripted(
    script: Script | None = None,
    journey: Journey | None = None,
    unreachable: frozenset[tuple[int, int]] = frozenset(),
) -> Simulation:
    """The toy journey, or another, in a scripted world."""
    return Simulation(ScriptedWorld(journey or toy(), script or {}, unreachable))


def contacts(n: int) -> Tensor:
    """Keys of the first n contacts."""
    return torch.arange(n)
