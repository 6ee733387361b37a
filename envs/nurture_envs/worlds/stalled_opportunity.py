"""The reference world of stalled deals: a demo nobody came to, or a proposal without a next step.

Each deal has an objection of its own that may give way to another, and a readiness to go on. Mail
that answers the objection raises readiness; asking for a meeting, or a salesperson's call to who is
ready, brings a next step. The longer no next step comes, the less often a deal that closes is won.
How mail is met, how colleagues matter and how late the CRM records are the mechanisms of `effects`
and `recording`. Setting a parameter to 0 removes that effect (negative control).
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

OBJECTIONS = ("pricing", "security", "integration", "roi")
TOPICS = (*OBJECTIONS, "meeting")
INDUSTRIES = ("software", "finance", "health", "retail")
SOURCES = ("inbound", "outbound", "partner", "event")
REPLIES = ("positive", "objection", "question", "negative")
NO_SHOW, RESCHEDULED, PROPOSAL, VERBAL = range(4)
ENTRY_DAY = 20_703  # days since 1970: Monday 2026-09-07, so that clocks go back on the way
ENTRY_DAYS = 28  # deals enter over four weeks
_VIEWS = slice(MAIL_DRAWS, MAIL_DRAWS + len(OBJECTIONS))
_STEP, _MOVE, _CLOSE, _SHIFT = range(_VIEWS.stop, _VIEWS.stop + 4)


def _mail() -> MailParams:
    """Buyers in an open deal read more, answer more and bear more mail than leads."""
    return MailParams(
        gateway_share=0.02,
        best_hours=(10.0, 15.0),
        click_base=-5.0,
        reply_base=-5.9,
        reply_mix=(1.0, 1.2, 0.6, 0.3),
        leave_base=0.0009,
        tolerance=0.8,
        fatigue_half_life=8.0,
        fatigue_drag=0.35,
    )


@dataclass(frozen=True, slots=True)
class StalledOpportunityParams:
    """The planted truth; log-odds unless said otherwise."""

    mail: MailParams = field(default_factory=_mail)
    account: AccountParams = field(default_factory=AccountParams)
    reputation: ReputationParams = field(default_factory=ReputationParams)
    no_shows: float = 0.4  # share that enters by a demo nobody came to
    stalled_days: float = 14.0  # mean days without a next step at the entry of the others
    ready_mean: float = 0.0  # readiness at entry
    ready_spread: float = 0.7  # its standard deviation, beside what attributes say
    size_gain: float = 0.2  # readiness per standard deviation of log seats
    cooling: float = 0.02  # readiness lost per day
    topic_gain: float = 0.6  # readiness won by a seen message on the objection
    other_gain: float = 0.03  # the same for any other message
    gain_share: float = 0.6  # share of the appeal, beside the topic's, that scales the gain
    objection_shift: float = 0.03  # chance a bin that the objection is drawn anew
    crm_says: float = 0.6  # chance that the CRM names the true objection
    view_base: float = -2.6  # page views, per bin and category
    view_ready: float = 0.6  # per unit of readiness
    view_interest: float = 1.1  # on the objection
    step_base: float = -3.6  # a next step is agreed
    step_ready: float = 0.8  # per unit of readiness
    step_asked: float = 1.2  # a seen message that asks for a meeting
    step_called: float = 2.5  # a salesperson calls a ready deal
    called_from: float = 0.3  # readiness at which calls work half as well as they can
    held: float = 0.6  # chance a bin that a rescheduled demo's day has come
    no_show_again: float = 0.25  # chance that nobody comes then
    verbal_base: float = -3.4  # a proposal is agreed to in words
    verbal_ready: float = 0.8  # per unit of readiness
    close: tuple[float, float, float, float] = (0.02, 0.01, 0.03, 0.15)  # chance a bin, by stage
    win_base: float = -0.2  # a deal that closes is won, next step just agreed
    win_ready: float = 0.5  # per unit of readiness
    win_verbal: float = 0.5  # the same after a verbal yes
    stall_drag: float = 1.1  # after `stall_days` without a next step, growing evenly until then
    stall_days: float = 50.0  # days without a next step from which the drag grows no more
    no_consent: float = 0.02  # share without consent at entry
    zone_unknown: float = 0.1  # share whose time zone the sender lacks
    # until stage changes are recorded
    stages_late: Lateness = field(default_factory=lambda: Lateness(mean=1.0, latest=4))
    # until next steps are recorded
    steps_late: Lateness = field(default_factory=lambda: Lateness(mean=0.2, latest=4))


@dataclass(frozen=True)
class StalledOpportunityWorld(MailWorld):
    """Stalled deals, one bin every two days; see the module text for the mechanism."""

    journey: Journey
    params: StalledOpportunityParams = StalledOpportunityParams()
    device: torch.device | str = "cpu"

    shipped = "stalled_opportunity"
    needed = frozenset({"next_step", "won", "became_verbal"})
    topics = TOPICS
    scales = (
        Scale("seats", "natural logarithm of seats", 0.7, 9.0),
        Scale("days_stalled", "days", 0.0, 90.0),
    )

    @cached_property
    def delays(self) -> Tensor:
        """Stage changes and next steps are recorded late at random, the rest as declared."""
        stages = ("rescheduled", "proposal", "verbal")
        late = {f"became_{stage}": self.params.stages_late for stage in stages}
        late |= {"won": self.params.stages_late, "lost": self.params.stages_late}
        late["next_step"] = self.params.steps_late
        return recorded_late(self.journey, late).to(self.device)

    @cached_property
    def _close(self) -> Tensor:
        return torch.tensor(self.params.close, device=self.device)

    def start(self, keys: Tensor) -> Start:
        """Deals on the day the CRM says that they have stalled."""
        p, n = self.params, keys.shape[0]
        u, z = uniforms(keys, START, 0, 14), normals(keys, START, 1, 2)
        seats = torch.clamp(4.0 + 1.2 * z[0], 0.7, 9.0)
        no_show = u[0] < p.no_shows
        waited = -p.stalled_days * torch.log1p(-u[1])
        idle = torch.where(no_show, 0.0, torch.clamp(torch.floor(waited), max=90.0))
        objection = (u[2] * len(OBJECTIONS)).long()
        named = torch.where(u[3] < p.crm_says, objection, (u[4] * len(OBJECTIONS)).long())
        industry, source = (u[5] * len(INDUSTRIES)).long(), (u[6] * len(SOURCES)).long()
        zone_known = u[12] >= p.zone_unknown
        latent = mail_traits(p.mail, keys, zone_known)
        latent |= {
            "interest": objection,
            "ready": p.ready_mean + p.ready_spread * z[1] + p.size_gain * (seats - 4.0) / 1.2,
            "idle": idle,
            "stage": torch.where(no_show, NO_SHOW, PROPOSAL),
        }
        before = self._views(latent, u[8:12])
        before |= {"became_no_show": no_show, "became_proposal": ~no_show}
        columns = {"seats": seats, "days_stalled": idle}
        columns |= {"entry=no_show": no_show, "entry=stalled": ~no_show}
        columns |= {f"industry={name}": industry == i for i, name in enumerate(INDUSTRIES)}
        columns |= {f"source={name}": source == i for i, name in enumerate(SOURCES)}
        columns |= {f"objection={name}": named == i for i, name in enumerate(OBJECTIONS)}
        return Start(
            attributes=self._attributes(columns),
            past=History.of_bin(channel_sums(self._channels, before)),
            anchor_us=(ENTRY_DAY + (u[7] * ENTRY_DAYS).long()) * DAY_US,
            zone_known=zone_known,
            consent=u[13] >= p.no_consent,
            available=torch.ones(n, dtype=torch.bool, device=keys.device),
            latent=latent,
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        u, latent = uniforms(keys, view.bins, 3, _SHIFT + 1), view.latent
        mailing = self._mail.meet(view)
        answers = mail_answers(self.params.mail, mailing, latent, u[:MAIL_DRAWS])
        events = mail_events(answers, mailing.topic, TOPICS, REPLIES)
        events |= self._views(latent, u[_VIEWS])
        step = self._agrees(latent, answers, view.action, u[_STEP])
        events |= {"next_step": step} | self._close_deals(latent, u[_CLOSE])
        events |= self._move(latent, step, u[_MOVE])
        after = self._carry_over(view, mailing, answers, step, u[_SHIFT])
        after["stage"] = self._stage_after(latent["stage"], events)
        everybody = torch.ones_like(mailing.sent)
        return Outcome(channel_sums(self._channels, events), everybody, after)

    def _views(self, latent: dict[str, Tensor], u: Tensor) -> dict[str, Tensor]:
        """Page views of a bin, by category."""
        p = self.params
        logit = p.view_base + p.view_ready * latent["ready"]
        plain, keen = torch.sigmoid(logit), torch.sigmoid(logit + p.view_interest)
        topics = torch.arange(len(OBJECTIONS), device=u.device)[:, None]
        viewed = u < torch.where(latent["interest"] == topics, keen, plain)
        return {f"viewed_{topic}": row for topic, row in zip(OBJECTIONS, viewed, strict=True)}

    def _agrees(
        self, latent: dict[str, Tensor], answers: MailAnswers, action: Tensor, u: Tensor
    ) -> Tensor:
        """Who agrees to a next step, by itself, asked by mail, or called by a salesperson."""
        p, ready = self.params, latent["ready"]
        asked = answers.seen & self._mail.asks.index_select(0, action)
        called = torch.sigmoid(3.0 * (ready - p.called_from))
        called = called * self._mail.escalates.index_select(0, action)
        logit = p.step_base + p.step_ready * ready + p.step_asked * asked
        return u < torch.sigmoid(logit + p.step_called * called)

    def _close_deals(self, latent: dict[str, Tensor], u: Tensor) -> dict[str, Tensor]:
        """Which deals are closed, and which of them are won; before a proposal none is."""
        p, stage = self.params, latent["stage"]
        stalled = torch.clamp(latent["idle"] / p.stall_days, max=1.0)
        logit = p.win_base + p.win_ready * latent["ready"] + p.win_verbal * (stage == VERBAL)
        win = torch.sigmoid(logit - p.stall_drag * stalled) * (stage >= PROPOSAL)
        chance = self._close.index_select(0, stage)
        won = u < chance * win
        return {"won": won, "lost": (u < chance) & ~won}

    def _move(self, latent: dict[str, Tensor], step: Tensor, u: Tensor) -> dict[str, Tensor]:
        """Which deals enter which stage."""
        p, stage = self.params, latent["stage"]
        verbal = torch.sigmoid(p.verbal_base + p.verbal_ready * latent["ready"])
        waiting = stage == RESCHEDULED
        missed = waiting & (u < p.held * p.no_show_again)
        return {
            "became_rescheduled": (stage == NO_SHOW) & step,
            "became_no_show": missed,
            "became_proposal": waiting & (u < p.held) & ~missed,
            "became_verbal": (stage == PROPOSAL) & (u < verbal),
        }

    def _stage_after(self, stage: Tensor, events: dict[str, Tensor]) -> Tensor:
        forward = events["became_rescheduled"] | events["became_proposal"] | events["became_verbal"]
        return stage + forward.long() - events["became_no_show"].long()

    def _carry_over(
        self, view: View, mailing: Mailing, answers: MailAnswers, step: Tensor, u: Tensor
    ) -> dict[str, Tensor]:
        """The latents after the bin, but for the stage."""
        p, latent, around = self.params, view.latent, view.around
        beside = answers.appeal - p.mail.topic_pull * mailing.match
        gain = p.other_gain + (p.topic_gain - p.other_gain) * mailing.match
        gain = gain * answers.seen * torch.exp(p.gain_share * beside)
        talking = latent["idle"] <= 3.0 * mailing.days
        talks = talk_effect(p.account, around.colleague_talks, talking)
        colleagues = p.account.send_fatigue * around.colleague_sends
        moods = {
            "ready": latent["ready"] + gain - p.cooling * mailing.days + talks,
            "idle": torch.where(step, 0.0, latent["idle"] + mailing.days),
            "interest": shifted_interest(latent["interest"], p.objection_shift, len(OBJECTIONS), u),
        }
        return latent | mail_carry_over(p.mail, mailing, latent, colleagues) | moods
