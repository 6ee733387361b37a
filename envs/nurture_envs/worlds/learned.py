"""A world fitted to logs: contacts start as logged ones did and answer by learned hazards.

In a bin the signals are independent given the decision's features and the action; all memory is in
the features. Learned worlds therefore have no latent state, and what the features do not carry
(a contact's own, unseen inclination) is averaged over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.signals import GRID
from nurture_envs.worlds.draws import START, uniforms
from nurture_envs.worlds.heads import Heads, ResponseModel
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays

_WHO, _REACH, _EVENTS, _COUNTS, _VALUES = 11, 12, 13, 14, 15  # streams of luck


@dataclass(frozen=True, slots=True)
class StartTable:
    """First decisions of m logged episodes; new contacts are drawn from them with replacement."""

    attributes: Tensor  # [m, attribute columns] f32, encoded by the feature spec
    ring: Tensor  # [m, W, c] f32, see `FeatureState`
    last: Tensor  # [m, c] i32
    anchor_us: Tensor  # [m] i64: local wall time, microseconds
    zone_known: Tensor  # [m] bool
    consent: Tensor  # [m] bool
    available: Tensor  # [m] bool


@dataclass(frozen=True)
class LearnedWorld:
    """How logged contacts answer, as far as the log can tell."""

    journey: Journey
    model: ResponseModel
    starts: StartTable
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        spec, heads = FeatureSpec.of(self.journey), Heads.of(self.journey)
        sizes = self.model.sizes
        wanted = (
            len(spec.columns),
            len(ActionCatalog.of(self.journey)),
            len(heads.counts),
            len(heads.values),
        )
        got = (sizes.features, sizes.actions, sizes.counts, sizes.values)
        if wanted != got:
            raise WorldError(
                f"journey {self.journey.name!r} needs a response model for (features, actions, "
                f"count heads, value heads) = {wanted}, got {got}; fit it with this journey"
            )
        expected = (spec.window, len(spec.channels))
        if not len(self.starts.anchor_us) or tuple(self.starts.ring.shape[1:]) != expected:
            raise WorldError(
                f"start states must be at least one past of [window, channels] = {expected}, got "
                f"{tuple(self.starts.ring.shape)}; build them with this journey's feature spec"
            )

    @cached_property
    def _exact(self) -> ResponseModel:
        # In float64 a row's hazard depends on the rows computed beside it by 1e-16 only, far
        # below the 2**-24 step of the draws: rows do not depend on their batch.
        model = ResponseModel(self.model.sizes)
        model.load_state_dict(self.model.state_dict())
        return model.to(device=self.device, dtype=torch.float64).requires_grad_(False)

    @cached_property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey).to(self.device)

    @cached_property
    def _heads(self) -> Heads:
        return Heads.of(self.journey)

    @cached_property
    def _count_channels(self) -> Tensor:
        return torch.tensor(self._heads.count_channels(self.journey), device=self.device)

    @cached_property
    def _value_channels(self) -> list[int]:
        return self._heads.value_channels(self.journey)

    @cached_property
    def _local(self) -> StartTable:
        table = self.starts
        columns = [getattr(table, name).to(self.device) for name in StartTable.__slots__]
        return StartTable(*columns)

    def start(self, keys: Tensor) -> Start:
        """Contacts at the first decision of logged episodes drawn at random."""
        table = self._local
        m = len(table.anchor_us)
        luck = uniforms(keys, START, _WHO, 1)[0].to(torch.float64)
        who = (luck * m).long()
        return Start(
            attributes=table.attributes[who].T,
            past=History(table.ring[who].permute(1, 2, 0), table.last[who].T),
            anchor_us=table.anchor_us[who],
            zone_known=table.zone_known[who],
            consent=table.consent[who],
            available=table.available[who],
            latent={},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        sizes = self.model.sizes
        chance, means = self._exact(view.features.T.to(torch.float64), view.action)
        happened = uniforms(keys, view.bins, _EVENTS, sizes.counts).T < chance
        counts = self._exact.counts(
            uniforms(keys, view.bins, _COUNTS, sizes.counts).T.to(torch.float64)
        )
        amounts = torch.zeros((len(keys), len(self.journey.channels)), device=keys.device)
        amounts[:, self._count_channels] = (counts * happened).to(torch.float32)
        if sizes.values:
            luck = uniforms(keys, view.bins, _VALUES, sizes.values).T.to(torch.float64)
            value = torch.round(self._exact.values(means, luck, view.action) * GRID) / GRID
            value = value * happened[:, self._heads.source]
            amounts[:, self._value_channels] = value.to(torch.float32)
        return Outcome(amounts.T, self._available(keys, view.bins), {})

    def _available(self, keys: Tensor, bins: Tensor) -> Tensor:
        """Can be reached in the next bin, [n], by that bin's place in its period."""
        chance = self._exact.reachable[(bins + 1) % self.model.sizes.slots]
        return uniforms(keys, bins, _REACH, 1)[0] < chance
