"""The reference world of the inbound-lead journey: structural, with a planted truth no policy sees.

Each contact has a topic of interest that may shift, and a readiness to talk. Relevant mail at a
good hour raises readiness, time lets a fresh lead go cold, and a salesperson's call works on who is
ready. How mail is met, how colleagues matter and how late the CRM records are the mechanisms of
`effects` and `recording`. Setting a parameter to 0 removes that effect (negative control).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.clock import DAY_US
from nurture_envs.features import History, Scale
from nurture_envs.journey import Journey
from nurture_envs.worlds.draws import START, normals, uniforms
from nurture_envs.worlds.effects import (
    MAIL_DRAWS,
    AccountParams,
    MailAnswers,
    Mailing,
    MailParams,
    channel_sums,
    mail_answers,
    mail_carry_over,
    mail_events,
    mail_traits,
    shifted_interest,
    talk_effect,
)
from nurture_envs.worlds.mail_world import MailWorld
from nurture_envs.worlds.recording import Lateness, recorded_late
from nurture_envs.worlds.reputation import ReputationParams
from nurture_envs.worlds.world import Outcome, Start, View

TOPICS = ("security", "integration", "pricing", "product")
INDUSTRIES = ("software", "finance", "health", "retail")
ENTRY_DAY = (
    20_549  # days since 1970: Monday 2026-04-06, clear of any change of clocks until October
)
ENTRY_DAYS = 28  # leads arrive over four weeks
_VIEWS = slice(MAIL_DRAWS, MAIL_DRAWS + len(TOPICS))
_MEETING, _STAGE, _SHIFT = range(_VIEWS.stop, _VIEWS.stop + 3)


@dataclass(frozen=True, slots=True)
class InboundLeadParams:
    """The planted truth; log-odds unless said otherwise."""

    mail: MailParams = field(default_factory=MailParams)
    account: AccountParams = field(default_factory=AccountParams)
    reputation: ReputationParams = field(default_factory=ReputationParams)
    ready_mean: float = 0.35  # readiness at entry
    ready_spread: float = 0.7  # its standard deviation, beside what attributes say
    size_gain: float = 0.25  # readiness per standard deviation of log company size
    software_gain: float = 0.25  # readiness of the software industry
    cooling: float = 0.05  # readiness lost per day: speed to lead
    topic_gain: float = 1.1  # readiness won by a seen message on the topic of interest
    other_gain: float = 0.05  # the same for any other topic
    gain_share: float = 0.6  # share of the appeal, beside the topic's, that scales the gain
    interest_shift: float = 0.02  # chance a day that the topic of interest is drawn anew
    form_says: float = 0.65  # chance that the form names the true topic
    view_base: float = -2.9  # page views, per day and category
    view_ready: float = 0.8  # per unit of readiness
    view_interest: float = 1.1  # on the topic of interest
    meeting_base: float = -6.2  # a meeting is booked, per day
    meeting_ready: float = 1.25  # per unit of readiness
    meeting_asked: float = 1.3  # a seen message that asks for a meeting
    meeting_called: float = 3.5  # a salesperson calls a ready lead
    called_from: float = 1.0  # readiness at which calls work half as well as they can
    stage_chance: float = 0.5  # chance a day that sales qualifies a lead that is ready for it
    mql_level: float = 1.2  # readiness at which the chance is half of that
    sql_level: float = 2.0  # the same for the next stage
    no_consent: float = 0.02  # share without consent at entry
    zone_unknown: float = 0.1  # share whose time zone the sender lacks
    # until stage changes are recorded
    stages_late: Lateness = field(default_factory=lambda: Lateness(mean=1.0, latest=4))
    # until meetings are recorded
    meetings_late: Lateness = field(default_factory=lambda: Lateness(mean=0.3, latest=4))


# Nobody differs, no hour or topic counts: a mail is a mail, and a call is worth about its price.
NULL_LEAD_PARAMS = InboundLeadParams(
    mail=MailParams(
        unreachable=0.0,
        proxy_share=0.0,
        gateway_share=0.0,
        topic_pull=0.0,
        hour_pull=0.0,
        weekdays=(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        repeat_drag=0.0,
        fatigue_drag=0.0,
        leave_fatigue=0.0,
        leave_irrelevant=0.0,
        tolerance_spread=0.0,
    ),
    account=AccountParams(send_fatigue=0.0, talk_gain=0.0, talk_damp=0.0),
    ready_spread=0.0,
    size_gain=0.0,
    software_gain=0.0,
    cooling=0.0,
    topic_gain=0.0,
    other_gain=0.0,
    interest_shift=0.0,
    form_says=0.0,
    view_interest=0.0,
    called_from=-0.44,
    no_consent=0.0,
    zone_unknown=0.0,
)


@dataclass(frozen=True)
class InboundLeadWorld(MailWorld):
    """Inbound leads, one bin a day; see the module text for the mechanism."""

    journey: Journey
    params: InboundLeadParams = InboundLeadParams()
    device: torch.device | str = "cpu"

    shipped = "inbound_lead"
    needed = frozenset({"meeting_booked", "became_mql", "clicked_security"})
    topics = TOPICS
    scales = (Scale("company_size", "natural logarithm of employees", 0.7, 9.0),)

    @cached_property
    def delays(self) -> Tensor:
        """Stage changes and meetings are recorded late at random, the rest as declared."""
        p = self.params
        late = {"became_mql": p.stages_late, "became_sql": p.stages_late}
        late["meeting_booked"] = p.meetings_late
        return recorded_late(self.journey, late).to(self.device)

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
        v = uniforms(keys, START, 2, 2)
        zone_known = v[0] >= p.zone_unknown
        nobody = torch.zeros(n, dtype=torch.bool, device=keys.device)
        latent = mail_traits(p.mail, keys, zone_known)
        latent |= {"interest": interest, "ready": ready + p.software_gain * (industry == 0)}
        latent |= {"mql": nobody, "sql": nobody}
        before = self._views(latent, u[8:12]) | {"form_submitted": ~nobody}
        columns = {"company_size": size}
        columns |= {f"industry={name}": industry == i for i, name in enumerate(INDUSTRIES)}
        columns |= {f"form_topic={name}": named == i for i, name in enumerate(TOPICS)}
        return Start(
            attributes=self._attributes(columns),
            past=History.of_bin(channel_sums(self._channels, before)),
            anchor_us=day * DAY_US,
            zone_known=zone_known,
            consent=v[1] >= p.no_consent,
            available=~nobody,
            latent=latent,
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one day."""
        u, latent = uniforms(keys, view.bins, 3, _SHIFT + 1), view.latent
        mailing = self._mail.meet(view)
        answers = mail_answers(self.params.mail, mailing, latent, u[:MAIL_DRAWS])
        events = mail_events(answers, mailing.topic, TOPICS)
        events |= self._views(latent, u[_VIEWS])
        events["meeting_booked"] = self._books(latent, answers, view.action, u[_MEETING])
        events |= self._advance(latent, u[_STAGE])
        after = self._carry_over(view, mailing, answers, u[_SHIFT])
        after["mql"] = latent["mql"] | events["became_mql"]
        after["sql"] = latent["sql"] | events["became_sql"]
        everybody = torch.ones_like(mailing.sent)
        return Outcome(channel_sums(self._channels, events), everybody, after)

    def _views(self, latent: dict[str, Tensor], u: Tensor) -> dict[str, Tensor]:
        """Page views of a day, by category."""
        p = self.params
        logit = p.view_base + p.view_ready * latent["ready"]
        plain, keen = torch.sigmoid(logit), torch.sigmoid(logit + p.view_interest)
        topics = torch.arange(len(TOPICS), device=u.device)[:, None]
        viewed = u < torch.where(latent["interest"] == topics, keen, plain)
        return {f"viewed_{topic}": row for topic, row in zip(TOPICS, viewed, strict=True)}

    def _books(
        self, latent: dict[str, Tensor], answers: MailAnswers, action: Tensor, u: Tensor
    ) -> Tensor:
        """Who books a meeting, by itself, asked by mail, or called by a salesperson."""
        p, ready = self.params, latent["ready"]
        asked = answers.seen & self._mail.asks.index_select(0, action)
        called = self._mail.escalates.index_select(0, action) * torch.sigmoid(
            3.0 * (ready - p.called_from)
        )
        logit = p.meeting_base + p.meeting_ready * ready + p.meeting_asked * asked
        booked = u < torch.sigmoid(logit + p.meeting_called * called)
        return booked & ~answers.unsubscribed & ~answers.complained

    def _advance(self, latent: dict[str, Tensor], u: Tensor) -> dict[str, Tensor]:
        """Who enters the next stage; one stage a day."""
        p, mql = self.params, latent["mql"]
        level = torch.where(mql, p.sql_level, p.mql_level)
        enters = u < p.stage_chance * torch.sigmoid(4.0 * (latent["ready"] - level))
        enters = enters & ~latent["sql"]
        return {"became_mql": enters & ~mql, "became_sql": enters & mql}

    def _carry_over(
        self, view: View, mailing: Mailing, answers: MailAnswers, u: Tensor
    ) -> dict[str, Tensor]:
        """The latents after the day."""
        p, latent, around = self.params, view.latent, view.around
        beside = answers.appeal - p.mail.topic_pull * mailing.match
        gain = p.other_gain + (p.topic_gain - p.other_gain) * mailing.match
        gain = gain * answers.seen * torch.exp(p.gain_share * beside)
        talks = talk_effect(p.account, around.colleague_talks, latent["sql"])
        colleagues = p.account.send_fatigue * around.colleague_sends
        return (
            latent
            | mail_carry_over(p.mail, mailing, latent, colleagues)
            | {
                "ready": latent["ready"] + gain - p.cooling + talks,
                "interest": shifted_interest(latent["interest"], p.interest_shift, len(TOPICS), u),
            }
        )
