"""One bin for n contacts: features, guardrails, action, answer, reward. The only such code.

Arrays are stored with contacts last, one contiguous row per feature, action or channel; what
callers see of them, [n, ...], are views of that storage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

import torch
from torch import Tensor

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.errors import SimulationError
from nurture_envs.features import NEVER, FeatureSpec
from nurture_envs.guardrails import GuardrailFacts, eligible, legal_actions, remembered, standing
from nurture_envs.guardrails.guardrail_facts import watched
from nurture_envs.population import HasReputation, Population, lived_on, settle, together
from nurture_envs.running_features import RunningFeatures, RunningState
from nurture_envs.simulation_state import (
    DecisionBuffers,
    LateState,
    PolicyInput,
    SimulationState,
    renewed,
)
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import HasDisagreement, Surroundings, View, World

_DELAYS = 31  # stream of the draws that say how late events are recorded
_PROBES = 33  # stream of the lot that lets probes through
_THURSDAY = 3.0  # 1970-01-01


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
    action: Tensor  # [n] i64: what was done; an illegal or refused action becomes pause:1
    refused: Tensor | None  # [n] i32, `Reason` bits of the population's limits; None: no limits


class Simulation:
    """A world with its journey's catalogue, features and guardrails compiled to tensors.

    Args:
        world: how contacts answer.
        device: where everything is computed.
        population: what the contacts share; None: every contact is alone, and row i does not
            depend on the others.
        pessimism: of a learned world, how much of its members' disagreement about a bin's reward
            is taken off that reward, >= 0.
        compiled: whether players take compiled loops (see `playing`); None: where they can.
    """

    def __init__(
        self,
        world: World,
        device: torch.device | str = "cpu",
        population: Population | None = None,
        pessimism: float = 0.0,
        compiled: bool | None = None,
    ) -> None:
        if not 0.0 <= pessimism < inf:
            raise SimulationError(
                f"pessimism must be at least 0 and finite, got {pessimism}; 0 changes nothing"
            )
        self.world = world
        self.device = torch.device(device)
        self.population = population
        self.pessimism = pessimism
        self.compiled = compiled
        self.journey = world.journey
        self.catalog = ActionCatalog.of(self.journey)
        self.spec = FeatureSpec.of(self.journey)
        late = [int(i) for i in torch.nonzero(world.delays[0] < 1.0)[:, 0]]
        self.rails = self.journey.guardrails.simulated
        sets = watched(self.rails)
        self.running = RunningFeatures(self.spec, sets, late, self.device)
        self.delay_stream, self.probe_stream = _DELAYS, _PROBES
        # Channels that may be recorded after their bin; first those that decisions read.
        self.late = self.running.late + [c for c in late if c not in self.running.late]

    def _tensor(self, values: Any, dtype: torch.dtype) -> Tensor:
        return torch.as_tensor(values, dtype=dtype, device=self.device)

    @cached_property
    def effects(self) -> tuple[list[int], Tensor]:
        """Channels that actions make, and what every action adds to each, [channels, a]."""
        table = self._tensor(self.catalog.effects(self.journey), torch.float32).T
        rows = torch.nonzero(table.any(dim=1))[:, 0]
        return rows.tolist(), table[rows].contiguous()

    @cached_property
    def _prices(self) -> Tensor:
        """What each action costs, [a] f32."""
        return self._tensor(self.catalog.prices(self.journey.reward), torch.float32)

    @cached_property
    def _terminals(self) -> list[int]:
        return [self.journey.channel_index(name) for name in self.journey.terminals]

    @cached_property
    def _talks(self) -> list[int]:
        return [self.journey.channel_index(name) for name in self.rails.talks]

    @cached_property
    def _ids(self) -> dict[str, list[int]]:
        """Positions of the actions of each routing."""
        routings = ("send", "pause", "slow", "escalate", "exit")
        positions: dict[str, list[int]] = {routing: [] for routing in routings}
        for position, action in enumerate(self.catalog.actions):
            positions[action.routing].append(position)
        return positions

    @cached_property
    def _kept(self) -> list[tuple[slice, Tensor]]:
        """Rows of `sends_hours`, and the actions whose sends they keep, [a] bool."""
        kept, first = [], 0
        for group, count in remembered.sends_kept(self.rails).items():
            sends = self.catalog.sends(group)
            kept.append((slice(first, first + count), self._tensor(sends, torch.bool)))
            first += count
        return kept

    def _is(self, routing: str, action: Tensor) -> Tensor:
        """Whether each action has the routing, [n]; a catalogue keeps a routing together."""
        ids = self._ids[routing]
        if not ids:
            return torch.zeros_like(action, dtype=torch.bool)
        return action == ids[0] if len(ids) == 1 else (action >= ids[0]) & (action <= ids[-1])

    @cached_property
    def _slots_us(self) -> Tensor:
        """Time of sending after midnight, microseconds, [a]; negative for at once."""
        slots = self._tensor(self.catalog.slots, torch.float64)
        return torch.where(slots == NOW, -1.0, slots * HOUR_US)

    @cached_property
    def _offsets_us(self) -> Tensor:
        """Start of each slot inside a period, microseconds, [slots] f64."""
        return self._tensor(self.spec.clock.slots_hours, torch.float64) * HOUR_US

    def _now_us(self, state: SimulationState) -> Tensor:
        """Local start of the bin, microseconds since 1970, [n] f64: exact below 2**53."""
        return self._start_us(state, state.bins)

    def _start_us(self, state: SimulationState, bins: Tensor) -> Tensor:
        """Local start of bins, likewise, [n] f64."""
        bins, slots = bins.to(torch.float64), len(self._offsets_us)
        whole = torch.floor(bins / slots)
        offset = self._offsets_us[(bins - whole * slots).to(torch.int64)]
        period = self.spec.clock.period_hours * HOUR_US
        return state.anchor_us.to(torch.float64) + whole * period + offset

    def _moments(self, state: SimulationState) -> Tensor | None:
        """The end of the bin in which signals that mail waits for last happened, [n, w] hours."""
        ends = []
        for names in remembered.moments_watched(self.rails):
            last = state.past.last[self.running.last_row(names)]
            end = self._start_us(state, last + 1.0) / HOUR_US
            ends.append(torch.where(last <= NEVER, -torch.inf, end))
        return torch.stack(ends, dim=1) if ends else None

    @cached_property
    def late_rates(self) -> Tensor:
        """Chance that a late channel is known within d bins, [D, e, 1]."""
        delays = self.world.delays.to(self.device)[:, self.late]
        return torch.cumsum(delays, dim=0)[:-1, :, None]

    @cached_property
    def late_signals(self) -> list[int]:
        """Draw of each late channel: a count and its value are recorded together."""
        names = [self.journey.channels[c].removesuffix(".value") for c in self.late]
        return [list(dict.fromkeys(names)).index(name) for name in names]

    def delays(self, keys: Tensor, bins: Tensor) -> Tensor:
        """Bins until what happens in a bin is recorded, [n, c] i64."""
        shape = (len(keys), len(self.journey.channels))
        delays = torch.zeros(shape, dtype=torch.int64, device=self.device)
        if self.late:
            delays[:, self.late] = self._delays(keys, bins, len(self.late)).T.long()
        return delays

    def _delays(self, keys: Tensor, bins: Tensor, count: int) -> Tensor:
        draws = self.late_signals[:count]
        luck = uniforms(keys, bins, _DELAYS, max(draws) + 1)[draws]
        delays = torch.zeros_like(luck)
        for known in self.late_rates[:, :count]:
            delays.add_(luck >= known)
        return delays

    def begin(self, keys: Tensor) -> SimulationState:
        """Contacts at the start of their first bin, one per key [n]."""
        start, n = self.world.start(keys), len(keys)
        kept = remembered.sends_remembered(self.rails)
        late = None
        if self.running.late:
            depth, shape = len(self.late_rates), (len(self.running.late), n)
            nothing = [torch.zeros(shape, device=self.device) for _ in range(2 * depth)]
            late = LateState(tuple(nothing[:depth]), tuple(nothing[depth:]))
        company = None
        if self.population is not None:
            company = together(self.population, n, self.device)
        return SimulationState(
            keys=keys,
            bins=torch.zeros(n, dtype=torch.int64, device=self.device),
            past=self.running.begin(start.past),
            late=late,
            attributes=start.attributes,
            anchor_us=start.anchor_us,
            zone_known=start.zone_known,
            consent=start.consent,
            available=start.available,
            sends_hours=torch.full((kept, n), -torch.inf, dtype=torch.float64, device=self.device),
            paused_until=torch.zeros(n, dtype=torch.int64, device=self.device),
            latent={name: part.clone() for name, part in start.latent.items()},
            company=company,
        )

    def renew(
        self, state: SimulationState, fresh: SimulationState, rows: Tensor
    ) -> SimulationState:
        """Replace contacts whose episode is over.

        Args:
            state: all contacts; its feature sums are used up.
            fresh: contacts at their first bin, k of them.
            rows: where they go, [k] i64.
        """
        past = self.running.renew(state.past, rows, fresh.past)
        return replace(renewed(state, fresh, rows), past=past)

    def facts(self, state: SimulationState) -> GuardrailFacts:
        """What the guardrails see at the start of the bin; hours are local hours since 1970.

        Eligibility for offers is a matter of features: `decision` adds it. Inventories are not
        counted: contacts of a simulation are a sample of unknown size.
        """
        now_us = self._now_us(state)
        today = torch.floor(now_us / DAY_US)
        lags = state.bins.to(torch.float32) - state.past.last
        return GuardrailFacts(
            consent=state.consent,
            paused=state.bins < state.paused_until,
            available=state.available,
            zone_known=state.zone_known,
            sends_hours=state.sends_hours.T,
            now_hours=now_us / HOUR_US,
            midnight_hours=today * 24.0,
            today=today.to(torch.int64),
            probed=self._probed(state),
            moments_hours=self._moments(state),
            **standing(self.rails, lambda names: lags[self.running.last_row(names)]),
        )

    def _probed(self, state: SimulationState) -> Tensor | bool:
        idle = self.rails.inactivity
        if idle is None or idle.probe_bins is None:
            return True
        return uniforms(state.keys, state.bins, _PROBES, 1)[0] < idle.probe_share

    def decision(self, state: SimulationState, out: DecisionBuffers | None = None) -> PolicyInput:
        """Features and legal actions of every contact, written to `out` where it is given."""
        facts = self.facts(state)
        weekday = torch.remainder(facts.today.to(torch.float32) + _THURSDAY, 7.0)
        if out is None:
            sizes = (len(self.spec.columns), len(self.catalog), len(state.keys))
            out = DecisionBuffers.of(*sizes, self.device)
        bins = state.bins.to(torch.float32)
        rows = self.running.evaluate(state.past, bins, weekday, state.attributes)
        torch.stack(rows, out=out.features)
        fitting = eligible(
            self.catalog.limited_offers,
            lambda name: rows[self.spec.column(name)],
            torch.ones_like(state.consent),
        )
        facts = replace(facts, eligible=fitting)
        mask, reasons = legal_actions(facts, self.catalog, self.rails)
        out.mask.copy_(mask.T)
        out.reasons.copy_(reasons.T)
        return out.decision()

    def step(self, state: SimulationState, decision: PolicyInput, action: Tensor) -> Transition:
        """Play one bin.

        Args:
            state: the contacts at its start.
            decision: `self.decision(state)`.
            action: catalogue indices, [n]; an illegal one becomes `pause:1`.
        """
        action, refused = self._settled(state, decision, action)
        around = state.company.around if state.company is not None else Surroundings()
        view = View(decision.features.T, action, state.bins, state.anchor_us, state.latent, around)
        outcome = self.world.respond(view, state.keys)
        amounts = outcome.amounts
        made, effects = self.effects
        for channel, effect in zip(made, effects.index_select(1, action), strict=True):
            amounts[channel] += effect
        ended = self._is("exit", action)
        for channel in self._terminals:
            ended = ended | (amounts[channel] > 0)
        past, late = self._close(state, amounts)
        after = replace(
            state,
            bins=state.bins + 1,
            past=past,
            late=late,
            available=outcome.available,
            sends_hours=self._sends(state, action),
            paused_until=self._paused(state, action),
            latent=outcome.latent,
            company=self._company(state, amounts, action),
        )
        truncated = ~ended & (after.bins >= self.spec.clock.horizon)
        reward = self._reward(amounts, action, view)
        return Transition(after, amounts.T, reward, ended, truncated, action, refused)

    def _settled(
        self, state: SimulationState, decision: PolicyInput, action: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The actions that are done, and what the population's limits refused."""
        legal = decision.mask.T.gather(0, action[None])[0]
        action = torch.where(legal, action, self.catalog.wait)
        if self.population is None or state.company is None:
            return action, None
        sends, calls = self._is("send", action), self._is("escalate", action)
        refused = settle(self.population, state.company, sends, calls, state.keys, state.bins)
        return torch.where(refused == 0, action, self.catalog.wait), refused

    def _reward(self, amounts: Tensor, action: Tensor, view: View) -> Tensor:
        reward = -self._prices.index_select(0, action)
        for channel, weight in self.journey.reward.weights:
            reward = reward + weight * amounts[self.journey.channel_index(channel)]
        if self.pessimism and isinstance(self.world, HasDisagreement):
            reward = reward - self.pessimism * self.world.disagreement(view)
        return reward

    def _company(self, state: SimulationState, amounts: Tensor, action: Tensor) -> Any:
        if state.company is None:
            return None
        talks = torch.zeros_like(state.consent)
        for channel in self._talks:
            talks = talks | (amounts[channel] > 0)
        share = state.company.inbox_share
        if isinstance(self.world, HasReputation):
            share = self.world.next_inbox_share(share, amounts.sum(dim=1))
        return lived_on(state.company, self._is("send", action), talks, share)

    def _close(
        self, state: SimulationState, amounts: Tensor
    ) -> tuple[RunningState, LateState | None]:
        """Close the bin: what is known now enters the past, what is late waits."""
        bins = state.bins.to(torch.float32)
        if state.late is None:
            return self.running.close(state.past, amounts, bins), None
        read = self.running.late
        delays = self._delays(state.keys, state.bins, len(read))
        told = amounts[read]
        known = state.late.known_now(told, delays)
        past = self.running.close(state.past, amounts, bins, known)
        return past, state.late.after(told, delays)

    def _sends(self, state: SimulationState, action: Tensor) -> Tensor:
        now_us = self._now_us(state)
        slot = self._slots_us.index_select(0, action)
        at_us = torch.where(slot < 0, now_us, torch.floor(now_us / DAY_US) * DAY_US + slot)
        at_hours = (at_us / HOUR_US)[None]
        parts = []
        for rows, sends in self._kept:
            before = state.sends_hours[rows]
            shifted = torch.cat([at_hours, before[:-1]])
            parts.append(torch.where(sends.index_select(0, action), shifted, before))
        return torch.cat(parts)

    def _paused(self, state: SimulationState, action: Tensor) -> Tensor:
        until = state.paused_until
        for position in self._ids["pause"]:
            bins = self.catalog.actions[position].bins
            if bins > 1:
                until = torch.where(action == position, state.bins + bins, until)
        return until
