"""One bin for n contacts: features, guardrails, action, answer, reward. The only such code."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.features import FeatureSpec, FeatureState, History, advance, evaluate
from nurture_envs.guardrails import GuardrailFacts, legal_actions, standing
from nurture_envs.guardrails.rules import sends_remembered
from nurture_envs.worlds.world import View, World


@dataclass(frozen=True, slots=True)
class SimulationState:
    """n contacts at the start of a bin."""

    keys: Tensor  # [n] i64
    bins: Tensor  # [n] i64
    past: FeatureState
    pending: Tensor  # [n, D, c] f32: channel sums not known yet; [:, d] becomes known d + 1 bins on
    attributes: Tensor  # [n, attribute columns] f32
    anchor_us: Tensor  # [n] i64
    zone_known: Tensor  # [n] bool
    consent: Tensor  # [n] bool
    available: Tensor  # [n] bool
    sends_hours: Tensor  # [n, k] f64: latest sends, local hours since 1970
    paused_until: Tensor  # [n] i64: first bin after the pause
    latent: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy is shown."""

    features: Tensor  # [n, d] f32
    mask: Tensor  # [n, a] bool
    reasons: Tensor  # [n, a] i64, `Reason` bits


@dataclass(frozen=True, slots=True)
class Transition:
    """What a bin brought, and where it leads."""

    state: SimulationState
    amounts: (
        Tensor  # [n, c] f32: everything that happened in the bin, the action's effects included
    )
    reward: Tensor  # [n] f32, the journey's unit
    terminated: Tensor  # [n] bool
    truncated: Tensor  # [n] bool
    action: Tensor  # [n] i64: what was done; an illegal action becomes pause:1


class Simulation:
    """A world with its journey's catalogue, features and guardrails compiled to tensors."""

    def __init__(self, world: World, device: torch.device | str = "cpu") -> None:
        self.world = world
        self.device = torch.device(device)
        self.journey = world.journey
        self.catalog = ActionCatalog.of(self.journey)
        self.spec = FeatureSpec.of(self.journey)

    def _tensor(self, values: Any, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    @cached_property
    def _effects(self) -> Tensor:
        return self._tensor(self.catalog.effects(self.journey), torch.float32)

    @cached_property
    def _weights(self) -> Tensor:
        weights = torch.zeros(len(self.journey.channels))
        for channel, weight in self.journey.reward.weights:
            weights[self.journey.channel_index(channel)] = weight
        return weights.to(self.device)

    @cached_property
    def _cost(self) -> Tensor:
        reward = self.journey.reward
        cost = self.catalog.routed("send") * reward.send_cost
        return self._tensor(
            cost + self.catalog.routed("escalate") * reward.escalate_cost, torch.float32
        )

    @cached_property
    def _terminals(self) -> list[int]:
        return [self.journey.channel_index(name) for name in self.journey.terminals]

    @cached_property
    def _delays(self) -> Tensor:
        return self._tensor(self.journey.delays, torch.int64)

    @cached_property
    def _send(self) -> Tensor:
        return self._tensor(self.catalog.routed("send"), torch.bool)

    @cached_property
    def _exit(self) -> Tensor:
        return self._tensor(self.catalog.routed("exit"), torch.bool)

    @cached_property
    def _slots(self) -> Tensor:
        return self._tensor(self.catalog.slots, torch.int64)

    @cached_property
    def _pauses(self) -> Tensor:
        return self._tensor(self.catalog.pause_bins, torch.int64)

    def begin(self, keys: Tensor) -> SimulationState:
        """Contacts at the start of their first bin, one per key [n]."""
        start = self.world.start(keys)
        n = keys.shape[0]
        remembered = sends_remembered(self.journey.guardrails)
        channels = len(self.journey.channels)
        return SimulationState(
            keys=keys,
            bins=torch.zeros(n, dtype=torch.int64, device=self.device),
            past=_past(start.past, self.spec.window),
            pending=torch.zeros((n, max(self.journey.delays), channels), device=self.device),
            attributes=start.attributes.T.contiguous(),
            anchor_us=start.anchor_us,
            zone_known=start.zone_known,
            consent=start.consent,
            available=start.available,
            sends_hours=torch.full(
                (n, remembered), -torch.inf, dtype=torch.float64, device=self.device
            ),
            paused_until=torch.zeros(n, dtype=torch.int64, device=self.device),
            latent=start.latent,
        )

    def facts(self, state: SimulationState) -> GuardrailFacts:
        """What the guardrails see at the start of the bin; hours are local hours since 1970."""
        now_us = state.anchor_us + self.spec.clock.start_us(state.bins)
        midnight_us = now_us - now_us % DAY_US
        return GuardrailFacts(
            consent=state.consent,
            paused=state.bins < state.paused_until,
            available=state.available,
            zone_known=state.zone_known,
            sends_hours=state.sends_hours,
            now_hours=now_us.to(torch.float64) / HOUR_US,
            midnight_hours=midnight_us.to(torch.float64) / HOUR_US,
            today=midnight_us // DAY_US,
            **standing(self.journey, state.past.last, state.bins),
        )

    def decision(self, state: SimulationState) -> Decision:
        """Features and legal actions of every contact."""
        features = evaluate(self.spec, state.past, state.bins, state.anchor_us, state.attributes)
        mask, reasons = legal_actions(self.facts(state), self.catalog, self.journey.guardrails)
        return Decision(features, mask, reasons)

    def step(self, state: SimulationState, decision: Decision, action: Tensor) -> Transition:
        """Play one bin.

        Args:
            state: the contacts at its start.
            decision: `self.decision(state)`.
            action: catalogue indices, [n]; an illegal one becomes `pause:1`.
        """
        legal = decision.mask.gather(1, action[:, None])[:, 0]
        action = torch.where(legal, action, torch.full_like(action, self.catalog.wait))
        view = View(decision.features.T, action, state.bins, state.anchor_us, state.latent)
        outcome = self.world.respond(view, state.keys)
        amounts = outcome.amounts.T + self._effects[action]
        reward = amounts @ self._weights - self._cost[action]
        ended = self._exit[action]
        for channel in self._terminals:
            ended = ended | (amounts[:, channel] > 0)
        after = replace(
            self._closed(state, amounts),
            bins=state.bins + 1,
            available=outcome.available,
            sends_hours=self._sends(state, action),
            paused_until=self._paused(state, action),
            latent=outcome.latent,
        )
        truncated = ~ended & (after.bins >= self.spec.clock.horizon)
        return Transition(after, amounts, reward, ended, truncated, action)

    def _closed(self, state: SimulationState, amounts: Tensor) -> SimulationState:
        """Close the bin: what is known now enters the past, what is late waits."""
        late = state.pending.shape[1]
        queue = torch.cat([state.pending, torch.zeros_like(amounts)[:, None]], dim=1)
        known, waiting = [], []
        for delay in range(late + 1):
            due = (self._delays == delay).to(amounts.dtype)
            known.append(amounts * due if delay == 0 else state.pending[:, 0] * due)
        for ahead in range(late):
            fresh = amounts * (self._delays == ahead + 1).to(amounts.dtype)
            waiting.append(queue[:, ahead + 1] + fresh)
        past = advance(state.past, torch.stack(known, dim=1), state.bins)
        pending = torch.stack(waiting, dim=1) if waiting else state.pending
        return replace(state, past=past, pending=pending)

    def _sends(self, state: SimulationState, action: Tensor) -> Tensor:
        now_us = state.anchor_us + self.spec.clock.start_us(state.bins)
        midnight_us = now_us - now_us % DAY_US
        slot = self._slots[action]
        at_us = torch.where(slot == NOW, now_us, midnight_us + slot * HOUR_US)
        shifted = torch.cat(
            [(at_us.to(torch.float64) / HOUR_US)[:, None], state.sends_hours[:, :-1]], dim=1
        )
        return torch.where(self._send[action][:, None], shifted, state.sends_hours)

    def _paused(self, state: SimulationState, action: Tensor) -> Tensor:
        bins = self._pauses[action]
        return torch.where(bins > 1, state.bins + bins, state.paused_until)


def _past(history: History, window: int) -> FeatureState:
    ring = history.ring.permute(2, 0, 1)
    missing = ring.new_zeros((ring.shape[0], window - ring.shape[1], ring.shape[2]))
    return FeatureState(torch.cat([ring, missing], dim=1), history.last.T.contiguous())


def select(state: SimulationState, rows: Tensor) -> SimulationState:
    """The contacts of some rows."""
    return _rebuild(state, lambda value: value[rows])


def merge(state: SimulationState, fresh: SimulationState, rows: Tensor) -> SimulationState:
    """Replace the contacts where `rows` [n] is true by those of `fresh` [n]."""
    pairs = {field.name: getattr(fresh, field.name) for field in fields(fresh)}

    def pick(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(rows.reshape(-1, *[1] * (old.dim() - 1)), new, old)

    merged: dict[str, Any] = {}
    for field in fields(state):
        old, new = getattr(state, field.name), pairs[field.name]
        if field.name == "past":
            merged["past"] = FeatureState(pick(old.ring, new.ring), pick(old.last, new.last))
        elif field.name == "latent":
            merged["latent"] = {key: pick(old[key], new[key]) for key in old}
        else:
            merged[field.name] = pick(old, new)
    return SimulationState(**merged)


def _rebuild(state: SimulationState, change: Any) -> SimulationState:
    changed: dict[str, Any] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if field.name == "past":
            changed["past"] = FeatureState(change(value.ring), change(value.last))
        elif field.name == "latent":
            changed["latent"] = {key: change(part) for key, part in value.items()}
        else:
            changed[field.name] = change(value)
    return SimulationState(**changed)
