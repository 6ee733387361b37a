"""A world fitted to logs: contacts start as logged ones did and answer by learned hazards.

The world is an ensemble: every contact draws one member at its start and is answered by it for the
whole episode. In a bin the signals happen in order, each seeing the earlier ones. Other memory is
in the features; what they do not carry (a contact's own, unseen inclination) is averaged over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.worlds.amounts import AmountTables
from nurture_envs.worlds.draws import START, contact_keys, uniforms
from nurture_envs.worlds.heads import Heads, ResponseModel
from nurture_envs.worlds.response_networks import ResponseNetworks, blocks, extended, padded
from nurture_envs.worlds.world import Outcome, Start, View

_WHO, _MEMBER, _BIN = 11, 12, 13  # streams of luck
_DRAWS = 64  # per chance that averages over the other heads
_FEW_DRAWS = 8  # where only differences between members matter: they share their luck


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
    members: tuple[ResponseModel, ...]
    starts: StartTable
    delays: Tensor  # [D + 1, c], chance that an event is known d bins after its own
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        spec, heads = FeatureSpec.of(self.journey), Heads.of(self.journey)
        wanted = (
            len(spec.columns),
            len(ActionCatalog.of(self.journey)),
            len(heads.counts),
            len(heads.values),
        )
        sizes = [(m.sizes.features, m.sizes.actions, m.sizes.counts, m.sizes.values)
                 for m in self.members]  # fmt: skip
        if set(sizes) != {wanted}:
            raise WorldError(
                f"journey {self.journey.name!r} needs response models for (features, actions, "
                f"count heads, value heads) = {wanted}, got {sizes}; fit them with this journey"
            )
        expected = (spec.window, len(spec.channels))
        if not len(self.starts.anchor_us) or tuple(self.starts.ring.shape[1:]) != expected:
            raise WorldError(
                f"start states must be at least one past of [window, channels] = {expected}, got "
                f"{tuple(self.starts.ring.shape)}; build them with this journey's feature spec"
            )
        if self.delays.shape[1:] != (len(spec.channels),):
            raise WorldError(
                f"delays must be [bins, {len(spec.channels)} channels], got "
                f"{tuple(self.delays.shape)}; estimate them with this journey"
            )
        _require_alike(self.members)
        object.__setattr__(self, "delays", self.delays.to(self.device, torch.float32))

    def member(self, k: int) -> LearnedWorld:
        """The world of one member alone.

        Raises:
            WorldError: there is no such member.
        """
        if not 0 <= k < len(self.members):
            raise WorldError(
                f"expected a member in 0..{len(self.members) - 1}, got {k}; this world has "
                f"{len(self.members)}"
            )
        return replace(self, members=(self.members[k],))

    @cached_property
    def player(self) -> ResponseNetworks:
        return ResponseNetworks(self.members, self.device)

    @cached_property
    def amounts(self) -> tuple[AmountTables, ...]:
        return tuple(AmountTables.of(model, self.device) for model in self.members)

    @cached_property
    def heads(self) -> Heads:
        return Heads.of(self.journey)

    @cached_property
    def _channels(self) -> Tensor:
        heads = self.heads
        channels = heads.count_channels(self.journey) + heads.value_channels(self.journey)
        return torch.tensor(channels, device=self.device)

    @cached_property
    def _local(self) -> StartTable:
        table = self.starts
        columns = [getattr(table, name).to(self.device) for name in StartTable.__slots__]
        return StartTable(*columns)

    def start(self, keys: Tensor) -> Start:
        """Contacts at the first decision of logged episodes drawn at random."""
        table = self._local
        luck = uniforms(keys, START, _WHO, 1)[0].to(torch.float64)
        who = (luck * len(table.anchor_us)).long()
        member = (uniforms(keys, START, _MEMBER, 1)[0].double() * len(self.members)).long()
        return Start(
            attributes=table.attributes[who].T,
            past=History(table.ring[who].permute(1, 2, 0), table.last[who].T),
            anchor_us=table.anchor_us[who],
            zone_known=table.zone_known[who],
            consent=table.consent[who],
            available=table.available[who],
            latent={"member": member},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        n = keys.shape[0]
        amounts = torch.zeros((len(self.journey.channels), n), device=keys.device)
        available = torch.ones(n, dtype=torch.bool, device=keys.device)
        for rows in blocks(n, keys.device):
            self._respond(view, keys, rows, amounts, available)
        return Outcome(amounts, available, view.latent)

    def _respond(
        self, view: View, keys: Tensor, rows: slice, amounts: Tensor, available: Tensor
    ) -> None:
        """Play some contacts' bin; writes their columns of `amounts` and `available`."""
        sizes, tables = self.player.sizes, self.amounts[0]
        action, member = view.action[rows], view.latent["member"][rows]
        n, wide = len(action), padded(len(action))
        out = self.player.outputs(view.features[:, rows], action, member)
        repeating = len(tables.repeating)
        reach = tables.reach
        luck = uniforms(
            extended(keys[rows], wide),
            extended(view.bins[rows], wide),
            _BIN,
            sizes.counts + repeating + sizes.values + int(reach),
        )
        parts = torch.split(luck, [sizes.counts, repeating, sizes.values, int(reach)])
        happened, _ = self.player.walk(out[: sizes.counts], parts[0])
        made = [happened]
        if sizes.values:
            value = tables.values(out[sizes.counts :], parts[2], extended(action, wide))
            made.append(value * happened[self.heads.source])
        if repeating:
            counts = happened.index_select(0, tables.repeating) * tables.repeats(parts[1])
            happened.index_copy_(0, tables.repeating, counts)
        amounts[:, rows].index_copy_(0, self._channels, torch.cat(made)[:, :n])
        if reach:
            chance = tables.model.reachable[(view.bins[rows] + 1) % sizes.slots]
            available[rows] = parts[3][0, :n] < chance

    def hazards(
        self, features: Tensor, action: Tensor, draws: int = _DRAWS, keys: Tensor | None = None
    ) -> Tensor:
        """Chance of at least one event of each head in the bin, by every member, [E, H, n].

        Args:
            features: [d, n].
            action: catalogue indices, [n].
            draws: plays of a bin that a chance is the mean of, see `ResponseNetworks.hazards`.
            keys: of the plays' luck, [n]; equal keys compare contacts or actions at equal luck.
        """
        luck = contact_keys(0, len(action), action.device) if keys is None else keys
        return self.player.hazards(features, action, draws, luck)

    def expected_rewards(self, features: Tensor, action: Tensor) -> Tensor:
        """Reward that each member expects of the bin, [E, n], journey's unit, without costs."""
        counts, n = self.player.sizes.counts, len(action)
        chance = self.hazards(features, action, _FEW_DRAWS)
        means = self.player.all_outputs(features, action)[:, counts:, :n]
        weights = torch.zeros(len(self.journey.channels), device=chance.device)
        for channel, weight in self.journey.reward.weights:
            weights[self.journey.channel_index(channel)] = weight
        of_count, of_value = torch.split(weights[self._channels], [counts, means.shape[1]])
        rewards = []
        for k, tables in enumerate(self.amounts):
            reward = (of_count * tables.mean_counts()) @ chance[k]
            value = tables.mean_values(means[k], action) * chance[k][self.heads.source]
            rewards.append(reward + of_value @ value)
        return torch.stack(rewards)

    def disagreement(self, view: View) -> Tensor:
        """Standard deviation over members of the bin's expected reward, [n], journey's unit."""
        return self.expected_rewards(view.features, view.action).std(dim=0, correction=0)


def _require_alike(members: tuple[ResponseModel, ...]) -> None:
    first = members[0].shared()
    for k, model in enumerate(members[1:], 1):
        others = model.shared()
        differ = [name for name in first if not torch.equal(first[name], others[name])]
        if model.sizes != members[0].sizes or differ:
            raise WorldError(
                f"members of a world share their sizes and counted tables; member {k} differs "
                f"from member 0 in {differ or 'sizes'}; fit them together"
            )
