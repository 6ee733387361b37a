"""The reference world of the inbound-lead journey: structural, with a planted truth no policy sees.

Each contact has a topic of interest that may shift, a readiness to talk, a fatigue that decays, a
best hour, and perhaps an unreachable address or a mail proxy that opens everything. Relevant mail
raises readiness, mail raises fatigue, fatigue drives people off, and time lets a fresh lead go
cold. Setting a parameter of `InboundLeadParams` to 0 removes that effect (negative control).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.errors import WorldError
from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.worlds.draws import START, normals, uniforms
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays

TOPICS = ("security", "integration", "pricing", "product")
INDUSTRIES = ("software", "finance", "health", "retail")
ENTRY_DAY = (
    20_549  # days since 1970: Monday 2026-04-06, clear of any change of clocks until October
)
ENTRY_DAYS = 28  # leads arrive over four weeks
_DRAWS = 24


@dataclass(frozen=True, slots=True)
class InboundLeadParams:
    """The planted truth; log-odds unless said otherwise."""

    ready_mean: float = 0.35  # readiness at entry
    ready_spread: float = 0.7
    size_gain: float = 0.25  # readiness per standard deviation of log company size
    cooling: float = 0.05  # readiness lost per day: speed to lead
    topic_gain: float = 1.1  # readiness won by a delivered message on the topic of interest
    other_gain: float = 0.05  # the same for any other topic
    slot_gain: float = 0.35  # share by which the best hour raises a message's gain
    fatigue_half_life: float = 5.0  # days
    fatigue_drag: float = 0.5  # how strongly fatigue dampens gains, opens and clicks
    interest_shift: float = 0.02  # chance a day that the topic of interest changes
    form_says: float = 0.65  # chance that the form names the true topic
    view_base: float = -2.9  # page views, per day and category
    view_ready: float = 0.8
    view_interest: float = 1.1
    click_base: float = -5.0
    click_topic: float = 1.4
    click_slot: float = 0.5
    click_ready: float = 0.5
    open_base: float = -1.3
    reply_base: float = -6.0
    reply_ready: float = 0.7
    meeting_base: float = -6.2
    meeting_ready: float = 1.25
    meeting_asked: float = 1.3  # a delivered message that asks for a meeting
    meeting_called: float = 3.5  # a salesperson calls a ready lead
    called_from: float = 1.0  # readiness at which calls work half as well as they can
    opt_out_base: float = 0.0011  # chance per delivered message without fatigue, in [0, 1]
    opt_out_fatigue: float = 0.9
    opt_out_irrelevant: float = 0.5
    complaint_share: float = 0.12  # complaints per unsubscribe
    unreachable: float = 0.006  # share of addresses that bounce
    proxy_share: float = 0.45  # share of contacts whose mail proxy opens everything
    no_consent: float = 0.02
    zone_unknown: float = 0.1


@dataclass(frozen=True)
class InboundLeadWorld:
    """Inbound leads, one bin a day; see the module text for the mechanism."""

    journey: Journey
    params: InboundLeadParams = InboundLeadParams()
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        missing = {"meeting_booked", "became_mql", "clicked_security"} - set(self.journey.channels)
        if missing:
            raise WorldError(
                f"the inbound-lead world needs a journey with the signals of 'inbound_lead', "
                f"{self.journey.name!r} lacks {sorted(missing)}; extend that journey"
            )

    @cached_property
    def _catalog(self) -> ActionCatalog:
        return ActionCatalog.of(self.journey)

    @cached_property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey).to(self.device)

    @cached_property
    def _spec(self) -> FeatureSpec:
        return FeatureSpec.of(self.journey)

    @cached_property
    def _action_topic(self) -> Tensor:
        topics = [
            TOPICS.index(a.message.topic) if a.message and a.message.topic in TOPICS else -1
            for a in self._catalog.actions
        ]
        return torch.tensor(topics, device=self.device)

    @cached_property
    def _action_late(self) -> Tensor:
        return torch.tensor([a.slot >= 12 for a in self._catalog.actions], device=self.device)

    def _routed(self, routing: str) -> Tensor:
        return torch.as_tensor(self._catalog.routed(routing), device=self.device)

    @cached_property
    def _asks(self) -> Tensor:
        asks = [
            a.message is not None and a.message.job == "book_meeting" for a in self._catalog.actions
        ]
        return torch.tensor(asks, device=self.device)

    def start(self, keys: Tensor) -> Start:
        """Leads on the day after they filled in the form."""
        p, n = self.params, keys.shape[0]
        u, z = uniforms(keys, START, 0, 12), normals(keys, START, 1, 2)
        size = torch.clamp(4.0 + 1.2 * z[0], 0.7, 9.0)
        industry = (u[0] * len(INDUSTRIES)).long()
        interest = (u[1] * len(TOPICS)).long()
        named = torch.where(u[2] < p.form_says, interest, (u[3] * len(TOPICS)).long())
        ready = p.ready_mean + p.ready_spread * z[1] + p.size_gain * (size - 4.0) / 1.2
        day = ENTRY_DAY + (u[4] * ENTRY_DAYS).long()
        latent = {
            "interest": interest,
            "ready": ready + 0.25 * (industry == 0),
            "fatigue": torch.zeros_like(ready),
            "late": u[5] < 0.5,
            "reachable": u[6] >= p.unreachable,
            "proxy": u[7] < p.proxy_share,
            "mql": torch.zeros(n, dtype=torch.bool, device=keys.device),
            "sql": torch.zeros(n, dtype=torch.bool, device=keys.device),
        }
        before = self._views(latent, u[8:12])
        before[self.journey.channel_index("form_submitted")] = 1.0
        past = History.of_bin(before)
        columns = {"company_size": size}
        columns |= {f"industry={name}": industry == i for i, name in enumerate(INDUSTRIES)}
        columns |= {f"form_topic={name}": named == i for i, name in enumerate(TOPICS)}
        attributes = [columns[name].to(torch.float32) for name in self._spec.attribute_columns]
        v = uniforms(keys, START, 2, 2)
        return Start(
            attributes=torch.stack(attributes),
            past=past,
            anchor_us=day * DAY_US,
            zone_known=v[0] >= p.zone_unknown,
            consent=v[1] >= p.no_consent,
            available=torch.ones(n, dtype=torch.bool, device=keys.device),
            latent=latent,
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one day."""
        u = uniforms(keys, view.bins, 3, _DRAWS)
        latent = dict(view.latent)
        sent = self._routed("send")[view.action]
        delivered = sent & latent["reachable"] & (u[0] < 0.985)
        topic = self._action_topic[view.action]
        match = delivered & (topic == latent["interest"])
        on_time = self._action_late[view.action] == latent["late"]
        amounts = self._views(latent, u[1:5])
        self._set(amounts, "delivered", delivered)
        self._set(amounts, "bounced", sent & ~latent["reachable"])
        self._engage(amounts, latent, delivered, match, on_time, topic, u)
        self._leave(amounts, latent, delivered, match, u)
        self._book(amounts, latent, delivered, view.action, u)
        self._advance_stages(amounts, latent, u)
        self._carry_over(latent, sent, delivered, match, on_time, u)
        return Outcome(amounts, torch.ones_like(sent), latent)

    def _set(self, amounts: Tensor, channel: str, happened: Tensor) -> None:
        amounts[self.journey.channel_index(channel)] = happened.to(torch.float32)

    def _views(self, latent: dict[str, Tensor], u: Tensor) -> Tensor:
        """Page views of a day, by category; [c, n] with all other channels 0."""
        p = self.params
        amounts = torch.zeros((len(self.journey.channels), u.shape[1]), device=u.device)
        for index, topic in enumerate(TOPICS):
            logit = p.view_base + p.view_ready * latent["ready"]
            logit = logit + p.view_interest * (latent["interest"] == index)
            self._set(amounts, f"viewed_{topic}", u[index] < torch.sigmoid(logit))
        return amounts

    def _engage(
        self,
        amounts: Tensor,
        latent: dict[str, Tensor],
        delivered: Tensor,
        match: Tensor,
        on_time: Tensor,
        topic: Tensor,
        u: Tensor,
    ) -> None:
        p, ready = self.params, latent["ready"]
        tired = p.fatigue_drag * latent["fatigue"]
        opened = u[5] < torch.sigmoid(p.open_base + 0.5 * match + 0.3 * on_time - tired)
        self._set(amounts, "opened", delivered & opened)
        self._set(amounts, "opened_by_machine", delivered & latent["proxy"])
        logit = (
            p.click_base + p.click_topic * match + p.click_slot * on_time + p.click_ready * ready
        )
        clicked = delivered & (u[6] < torch.sigmoid(logit - tired))
        for index, name in enumerate(TOPICS):
            self._set(amounts, f"clicked_{name}", clicked & (topic == index))
        chance = torch.sigmoid(p.reply_base + p.reply_ready * ready + 0.5 * match)
        for offset, name in enumerate(("positive", "objection", "question")):
            self._set(amounts, f"replied_{name}", delivered & (u[7 + offset] < chance))

    def _leave(
        self,
        amounts: Tensor,
        latent: dict[str, Tensor],
        delivered: Tensor,
        match: Tensor,
        u: Tensor,
    ) -> None:
        p = self.params
        drive = p.opt_out_fatigue * latent["fatigue"] + p.opt_out_irrelevant * ~match
        chance = torch.clamp(p.opt_out_base * torch.exp(drive), max=1.0)
        self._set(amounts, "unsubscribed", delivered & (u[10] < chance))
        self._set(amounts, "complained", delivered & (u[11] < chance * p.complaint_share))

    def _book(
        self,
        amounts: Tensor,
        latent: dict[str, Tensor],
        delivered: Tensor,
        action: Tensor,
        u: Tensor,
    ) -> None:
        p, ready = self.params, latent["ready"]
        asked = delivered & self._asks[action]
        called = self._routed("escalate")[action] * torch.sigmoid(3.0 * (ready - p.called_from))
        logit = p.meeting_base + p.meeting_ready * ready + p.meeting_asked * asked
        booked = u[12] < torch.sigmoid(logit + p.meeting_called * called)
        gone = amounts[self.journey.channel_index("unsubscribed")] > 0
        gone = gone | (amounts[self.journey.channel_index("complained")] > 0)
        self._set(amounts, "meeting_booked", booked & ~gone)

    def _advance_stages(self, amounts: Tensor, latent: dict[str, Tensor], u: Tensor) -> None:
        for draw, (stage, level) in enumerate((("mql", 1.2), ("sql", 2.0))):
            chance = 0.5 * torch.sigmoid(4.0 * (latent["ready"] - level))
            enters = ~latent[stage] & (u[13 + draw] < chance)
            if stage == "sql":
                enters = enters & latent["mql"]
            self._set(amounts, f"became_{stage}", enters)
            latent[stage] = latent[stage] | enters

    def _carry_over(
        self,
        latent: dict[str, Tensor],
        sent: Tensor,
        delivered: Tensor,
        match: Tensor,
        on_time: Tensor,
        u: Tensor,
    ) -> None:
        p = self.params
        gain = torch.where(match, p.topic_gain, p.other_gain * delivered)
        gain = gain * (1.0 + p.slot_gain * on_time) * torch.exp(-p.fatigue_drag * latent["fatigue"])
        latent["ready"] = latent["ready"] + gain - p.cooling
        latent["fatigue"] = latent["fatigue"] * 0.5 ** (1.0 / p.fatigue_half_life) + sent
        shifted = u[15] < p.interest_shift
        latent["interest"] = torch.where(shifted, (u[16] * len(TOPICS)).long(), latent["interest"])
