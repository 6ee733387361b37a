"""The reference world of product trials: structural, with a planted truth no policy sees.

A trial user has a habit of using the product, a next milestone not reached yet, and a readiness to
buy. Mail that teaches the next milestone helps to reach it, milestones feed habit and readiness,
confused users read help pages and get stuck, and the end of the trial presses. The same mechanism
plays customers before a renewal: the clock is then the contract's. How mail is met, how colleagues
matter and how late records come are the mechanisms of `effects` and `recording`. Setting a
parameter to 0 removes that effect (negative control).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from nurture_envs.actions import ActionCatalog
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

TOPICS = ("data", "team", "reports", "automation", "pricing")
MILESTONES = ("connected_data", "invited_teammate", "first_report", "first_automation")
INDUSTRIES = ("software", "finance", "health", "retail")
ROLES = ("admin", "analyst", "manager")
ENTRY_DAY = 20_500  # days since 1970: Monday 2026-02-16; American clocks change first, on 8 March
ENTRY_DAYS = 28  # users sign up over four weeks
PRICES = (180.0, 360.0, 720.0)  # EUR a year earned with teams below 3, below 8, and larger
_LOGIN, _MILESTONE, _HELP, _PRICING, _PQL, _CALL, _BUY, _CANCEL, _SHIFT = range(
    MAIL_DRAWS, MAIL_DRAWS + 9
)
_USE = slice(_SHIFT + 1, _SHIFT + 1 + len(MILESTONES))


@dataclass(frozen=True, slots=True)
class TrialOnboardingParams:
    """The planted truth; log-odds unless said otherwise."""

    mail: MailParams = field(
        default_factory=lambda: MailParams(
            gateway_share=0.03,
            topic_pull=0.9,
            hour_pull=1.0,
            click_base=-4.6,
            fatigue_drag=0.35,
            tolerance=1.5,
        )
    )
    account: AccountParams = field(default_factory=AccountParams)
    reputation: ReputationParams = field(default_factory=ReputationParams)
    lengths: tuple[float, float] = (14.0, 21.0)  # days of a trial; half of the users have each
    adopted: float = 0.0  # share of the milestones that users may have reached at entry
    goal_says: float = 0.6  # chance that the stated goal is the true topic of interest
    interest_shift: float = 0.02  # chance a day that the topic of interest is drawn anew

    # Using the product

    habit_spread: float = 0.8  # habit at entry: standard deviation around 0
    fading: float = 0.05  # habit lost a day
    login_base: float = -0.4  # a login, per day
    login_habit: float = 1.0  # per unit of habit
    login_taught: float = 0.5  # a seen message that teaches the next milestone
    use_chance: float = 0.5  # of each adopted feature on a day with a login, in [0, 1]

    # Reaching milestones, on days with a login

    milestone_base: float = -2.2  # the next one is reached
    milestone_habit: float = 0.5  # per unit of habit
    milestone_taught: float = 2.4  # a seen message that teaches the next milestone
    milestone_other: float = 0.1  # any other seen message
    gain_share: float = 0.5  # share of the appeal, beside the topic's, that scales both
    confused_share: float = 0.3  # of users, in [0, 1]
    confusion_drag: float = 1.2  # taken off for confused users
    help_base: float = -3.0  # help pages, per day
    help_confused: float = 1.8  # more for confused users

    # Buying

    ready_spread: float = 0.6  # readiness at entry: standard deviation around 0
    size_gain: float = 0.25  # readiness per standard deviation of log team size
    cooling: float = 0.01  # readiness lost a day
    habit_milestone: float = 0.35  # habit won by a milestone
    ready_milestone: float = 0.5  # readiness won by a milestone
    ready_called: float = 1.5  # readiness won by a held call with somebody activated
    buy_base: float = -7.7  # a purchase, per day
    buy_ready: float = 1.0  # per unit of readiness
    buy_milestone: float = 0.4  # per milestone reached, beside its readiness
    buy_urgency: float = 2.6  # on the last day of the trial
    urgency_days: float = 2.5  # days from the end at which exp(-1) of it is felt
    buy_lapsed: float = -1.0  # after the trial
    buy_asked: float = 0.8  # a seen message about prices
    called_from: float = 2.0  # milestones at which calls work half as well as they can
    call_chance: float = 0.6  # chance that the call of a success manager is held
    pricing_base: float = -4.0  # price pages, per day
    pricing_ready: float = 0.7  # per unit of readiness
    pricing_urgency: float = 1.0  # on the last day of the trial; fades on both sides
    pql_chance: float = 0.5  # chance a day that an activated user is qualified
    cancel_base: float = -5.6  # a cancellation, per day
    cancel_habit: float = 0.6  # log-odds saved per unit of habit
    no_consent: float = 0.02  # share without consent at entry
    zone_unknown: float = 0.1  # share whose time zone the sender lacks
    # until purchases are recorded
    purchases_late: Lateness = field(default_factory=lambda: Lateness(mean=1.5, latest=6))
    # until what people enter is recorded
    crm_late: Lateness = field(default_factory=lambda: Lateness(mean=1.0, latest=4))


@dataclass(frozen=True)
class TrialOnboardingWorld(MailWorld):
    """Trial users, one bin a day; see the module text for the mechanism."""

    journey: Journey
    params: TrialOnboardingParams = TrialOnboardingParams()
    device: torch.device | str = "cpu"

    shipped = "trial_onboarding"
    needed = frozenset({"converted", *MILESTONES})
    topics = TOPICS
    scales = (Scale("team_size", "people", 1.0, 148.0), Scale("trial_days", "days", 14.0, 56.0))

    @cached_property
    def delays(self) -> Tensor:
        """Purchases and what people enter into the CRM are recorded late at random."""
        p = self.params
        late = dict.fromkeys(("converted", "converted.value"), p.purchases_late)
        late |= dict.fromkeys(("became_pql", "call_held", "cancelled"), p.crm_late)
        return recorded_late(self.journey, late).to(self.device)

    @cached_property
    def _lesson(self) -> Tensor:
        """Position of the milestone each action teaches, -1 where it teaches none, [a]."""
        about = [action.message for action in ActionCatalog.of(self.journey).actions]
        taught = TOPICS[: len(MILESTONES)]
        lessons = [
            taught.index(m.topic) if m and m.job == "activate" and m.topic in taught else -1
            for m in about
        ]
        return torch.tensor(lessons, dtype=torch.float32, device=self.device)

    def start(self, keys: Tensor) -> Start:
        """Users on the day after they signed up."""
        p, n = self.params, keys.shape[0]
        u, z = uniforms(keys, START, 0, 11), normals(keys, START, 1, 3)
        size = torch.clamp(1.0 + 0.8 * z[0], 0.0, 5.0)
        industry, role = (u[0] * len(INDUSTRIES)).long(), (u[1] * len(ROLES)).long()
        interest = (u[2] * len(MILESTONES)).long()
        goal = torch.where(u[3] < p.goal_says, interest, (u[4] * len(MILESTONES)).long())
        short, long_ = p.lengths
        length = torch.where(u[5] < 0.5, short, long_)
        level = torch.floor(u[6] * (p.adopted * len(MILESTONES) + 1.0))
        zone_known = u[7] >= p.zone_unknown
        nobody = torch.zeros(n, dtype=torch.bool, device=keys.device)
        latent = mail_traits(p.mail, keys, zone_known)
        latent |= {"interest": interest, "habit": p.habit_spread * z[1], "level": level}
        latent |= {"ready": p.ready_spread * z[2] + p.size_gain * (size - 1.0) / 0.8}
        latent |= {"confused": u[8] < p.confused_share, "ends": length, "pql": nobody}
        latent |= {"price": _price(size)}
        before = {"form_submitted": ~nobody, "logged_in": ~nobody}
        before |= {name: level > k for k, name in enumerate(MILESTONES)}
        columns = {"team_size": torch.round(torch.exp(size)), "trial_days": length}
        columns |= {f"industry={name}": industry == i for i, name in enumerate(INDUSTRIES)}
        columns |= {f"role={name}": role == i for i, name in enumerate(ROLES)}
        columns |= {f"goal={TOPICS[i]}": goal == i for i in range(len(MILESTONES))}
        return Start(
            attributes=self._attributes(columns),
            past=History.of_bin(channel_sums(self._channels, before)),
            anchor_us=(ENTRY_DAY + (u[9] * ENTRY_DAYS).long()) * DAY_US,
            zone_known=zone_known,
            consent=u[10] >= p.no_consent,
            available=~nobody,
            latent=latent,
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        p, latent = self.params, view.latent
        u = uniforms(keys, view.bins, 3, _USE.stop)
        mailing = self._mail.meet(view)
        answers = mail_answers(p.mail, mailing, latent, u[:MAIL_DRAWS])
        events = mail_events(answers, mailing.topic, TOPICS)
        events |= self._use(view, mailing, answers, u)
        held = (self._mail.escalates.index_select(0, view.action) > 0) & (u[_CALL] < p.call_chance)
        events["call_held"] = held
        events |= self._decide(view, mailing, answers, u)
        after = self._carry_over(view, mailing, events, u[_SHIFT])
        everybody = torch.ones_like(mailing.sent)
        return Outcome(channel_sums(self._channels, events), everybody, after)

    def _carry_over(
        self, view: View, mailing: Mailing, events: dict[str, Tensor], u: Tensor
    ) -> dict[str, Tensor]:
        """The latents after the bin."""
        p, latent, around = self.params, view.latent, view.around
        reached, held = events["milestone"], events["call_held"]
        called = held * torch.sigmoid(3.0 * (latent["level"] - p.called_from))
        gain = p.ready_milestone * reached + p.ready_called * called
        gain = gain + talk_effect(p.account, around.colleague_talks, latent["pql"])
        colleagues = p.account.send_fatigue * around.colleague_sends
        chance = p.interest_shift * mailing.days
        return (
            latent
            | mail_carry_over(p.mail, mailing, latent, colleagues)
            | {
                "level": latent["level"] + reached,
                "habit": latent["habit"] + p.habit_milestone * reached - p.fading * mailing.days,
                "ready": latent["ready"] + gain - p.cooling * mailing.days,
                "confused": latent["confused"] & ~held,
                "pql": latent["pql"] | events["became_pql"],
                "interest": shifted_interest(latent["interest"], chance, len(MILESTONES), u),
            }
        )

    def _use(
        self, view: View, mailing: Mailing, answers: MailAnswers, u: Tensor
    ) -> dict[str, Tensor]:
        """What people do in the product; `milestone` [n] bool is whether one was reached."""
        p, latent = self.params, view.latent
        level, habit, confused = latent["level"], latent["habit"], latent["confused"]
        right = answers.seen & (self._lesson.index_select(0, view.action) == level)
        taught = torch.where(right, p.milestone_taught, p.milestone_other * answers.seen)
        beside = answers.appeal - p.mail.topic_pull * mailing.match
        taught = taught * torch.exp(p.gain_share * beside)
        login = u[_LOGIN] < torch.sigmoid(
            p.login_base + p.login_habit * habit + p.login_taught * right
        )
        login = login | answers.clicked
        logit = p.milestone_base + p.milestone_habit * habit - p.confusion_drag * confused + taught
        reached = login & (u[_MILESTONE] < torch.sigmoid(logit)) & (level < len(MILESTONES))
        used = login & (u[_USE] < p.use_chance)
        events = {"milestone": reached, "logged_in": login}
        for k, name in enumerate(MILESTONES):
            events[name] = reached & (level == k)
            events[f"used_{TOPICS[k]}"] = used[k] & (level > k)
        events["viewed_help"] = u[_HELP] < torch.sigmoid(p.help_base + p.help_confused * confused)
        return events

    def _decide(
        self, view: View, mailing: Mailing, answers: MailAnswers, u: Tensor
    ) -> dict[str, Tensor]:
        """Who looks at prices, is qualified, buys or cancels."""
        p, latent = self.params, view.latent
        level, ready = latent["level"], latent["ready"]
        left = latent["ends"] - 1.0 - self._day(view.bins)  # whole days left after this one
        urgency = torch.exp(left.abs() * (-1.0 / p.urgency_days))
        pressed = torch.where(left < 0.0, p.buy_lapsed, p.buy_urgency * urgency)
        asked = answers.seen & (mailing.topic == TOPICS.index("pricing"))
        logit = p.buy_base + p.buy_ready * ready + p.buy_milestone * level + pressed
        bought = u[_BUY] < torch.sigmoid(logit + p.buy_asked * asked)
        stays = ~(answers.unsubscribed | answers.complained)
        bought = bought & stays
        leaves = u[_CANCEL] < torch.sigmoid(p.cancel_base - p.cancel_habit * latent["habit"])
        qualified = u[_PQL] < p.pql_chance * torch.sigmoid(4.0 * (level - 2.0) + ready)
        interested = torch.sigmoid(
            p.pricing_base + p.pricing_ready * ready + p.pricing_urgency * urgency
        )
        return {
            "viewed_pricing": u[_PRICING] < interested,
            "became_pql": qualified & ~latent["pql"],
            "converted": bought,
            "converted.value": bought * latent["price"],
            "cancelled": leaves & stays & ~bought,
        }

    def _day(self, bins: Tensor) -> Tensor:
        """Whole days since entry at the start of a bin, [n] f32."""
        days: Tensor = self.journey.clock.start_us(bins) // DAY_US
        return days.to(torch.float32)


def _price(size: Tensor) -> Tensor:
    """What a team of a log size pays, [n] EUR."""
    small, middle, large = PRICES
    people = torch.exp(size)
    return torch.where(people < 3.0, small, torch.where(people < 8.0, middle, large))
