"""The reference world of dormant contacts: structural, with a planted truth no policy sees.

A dormant contact has a warmth that dormancy has cooled and that relevant mail rekindles, or it is
nobody at all: the longer an address was silent, the likelier a mailbox provider has made a spam
trap of it. Mail to a trap looks delivered, harms the sender's reputation from the next bin on, and
is told to the log late. How mail is met and how late records come are the mechanisms of `effects`,
`reputation` and `recording`. Setting a parameter to 0 removes that effect (negative control).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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

TOPICS = ("news", "story", "offer", "preference")
LIKED = TOPICS[:3]  # what people may be interested in
ORIGINS = ("customer", "trial", "event", "import")
INDUSTRIES = ("software", "finance", "health", "retail")
ENTRY_DAY = 20_500  # days since 1970: Monday 2026-02-16; American clocks change first, on 8 March
ENTRY_DAYS = 28  # contacts enter over four weeks
VALUES = (480.0, 240.0)  # EUR a purchase of a former customer earns, and of anybody else
_ACTIVE, _MQL, _LOGIN, _KEEP, _BUY, _TRAP, _SHIFT, _HELP = range(MAIL_DRAWS, MAIL_DRAWS + 8)
_VIEWS = slice(_HELP + 1, _HELP + 1 + len(LIKED))


@dataclass(frozen=True, slots=True)
class ReEngagementParams:
    """The planted truth; log-odds unless said otherwise."""

    mail: MailParams = field(
        default_factory=lambda: MailParams(
            unreachable=0.012,
            gateway_share=0.02,
            click_base=-4.9,
            open_base=-1.45,
            reply_base=-6.6,
            complaint_share=0.2,
            repeat_half_life=21.0,
            fatigue_half_life=14.0,
            tolerance=0.3,
        )
    )
    account: AccountParams = field(default_factory=AccountParams)
    reputation: ReputationParams = field(default_factory=ReputationParams)

    # Dormancy

    months: tuple[float, float] = (6.0, 48.0)  # of silence at entry; its logarithm is even
    chill: float = 0.8  # warmth lost per e-fold of months beyond the least
    past_gain: float = 0.35  # warmth per remembered click
    warmth_spread: float = 0.6  # standard deviation of warmth at entry, beside the two above
    trap_share: float = 0.06  # of addresses silent for ever, in [0, 1]
    trap_growth: float = 0.2  # log-odds of it a month
    trap_months: float = 24.0  # months of silence at which half of the share is reached
    trap_report: float = 0.9  # chance that mail to a trap is reported, in [0, 1]
    likes_says: float = 0.6  # chance that the recorded liking is the true topic of interest
    interest_shift: float = 0.01  # chance a day that the topic of interest is drawn anew

    # Coming back

    topic_gain: float = 0.8  # warmth won by a seen message on the topic of interest
    other_gain: float = 0.05  # the same for any other topic
    gain_share: float = 0.5  # share of the appeal, beside the topic's, that scales both
    cooling: float = 0.01  # warmth lost a day
    view_base: float = -4.6  # page views, per bin and category
    view_ready: float = 0.7  # per unit of warmth
    view_interest: float = 1.0  # on the topic of interest
    view_clicked: float = 3.0  # who clicks arrives on a page
    help_base: float = -5.5  # help pages, per bin; one more per unit of warmth
    active_base: float = -6.2  # becoming active, per bin
    active_ready: float = 0.9  # per unit of warmth
    active_clicked: float = 3.5  # in a bin with a click
    login_base: float = -4.5  # a login, per bin; one more per unit of warmth
    login_active: float = 2.5  # once active
    keep_base: float = -4.6  # answers a seen message that asks for preferences
    keep_gain: float = 0.6  # warmth won by having chosen topics
    mql_base: float = -6.0  # sales qualifies, per bin; one more per unit of warmth
    mql_active: float = 2.0  # once active
    buy_base: float = -8.1  # a purchase, per bin
    buy_ready: float = 0.9  # per unit of warmth
    buy_active: float = 1.8  # once active
    buy_offered: float = 1.6  # a seen message with an offer
    no_consent: float = 0.04  # share without consent at entry
    zone_unknown: float = 0.2  # share whose time zone the sender lacks
    # until purchases are recorded
    purchases_late: Lateness = field(default_factory=lambda: Lateness(mean=0.7, latest=4))
    # until hits of spam traps are recorded
    traps_late: Lateness = field(default_factory=lambda: Lateness(mean=2.0, shape=4.0, latest=6))
    # until stage changes are recorded
    crm_late: Lateness = field(default_factory=lambda: Lateness(mean=0.5, latest=3))


@dataclass(frozen=True)
class ReEngagementWorld(MailWorld):
    """Dormant contacts, two bins a week; see the module text for the mechanism."""

    journey: Journey
    params: ReEngagementParams = ReEngagementParams()
    device: torch.device | str = "cpu"

    shipped = "re_engagement"
    needed = frozenset({"won_back", "spam_trap_hit", "became_active"})
    topics = TOPICS
    scales = (
        Scale("months_dormant", "months", 6.0, 48.0),
        Scale("past_clicks", "clicks", 0.0, 5.0),
    )

    @cached_property
    def delays(self) -> Tensor:
        """Purchases, stages and above all reports of traps are recorded late at random."""
        p = self.params
        late = dict.fromkeys(("won_back", "won_back.value"), p.purchases_late)
        late |= {"spam_trap_hit": p.traps_late, "became_mql": p.crm_late}
        return recorded_late(self.journey, late).to(self.device)

    def start(self, keys: Tensor) -> Start:
        """Dormant contacts as a campaign finds them."""
        p, n = self.params, keys.shape[0]
        u, z = uniforms(keys, START, 0, 11), normals(keys, START, 1, 1)
        least, most = p.months
        months = torch.round(least * torch.exp(u[0] * torch.log(torch.tensor(most / least))))
        silent = torch.log(months / least)
        clicks = torch.floor(6.0 * u[1] * u[1])
        interest = (u[2] * len(LIKED)).long()
        liked = torch.where(u[3] < p.likes_says, interest, (u[4] * len(LIKED)).long())
        origin, industry = (u[5] * len(ORIGINS)).long(), (u[6] * len(INDUSTRIES)).long()
        warmth = p.warmth_spread * z[0] - p.chill * silent + p.past_gain * clicks
        trap = u[7] < p.trap_share * torch.sigmoid(p.trap_growth * (months - p.trap_months))
        zone_known = u[8] >= p.zone_unknown
        nobody = torch.zeros(n, dtype=torch.bool, device=keys.device)
        latent = mail_traits(p.mail, keys, zone_known)
        latent |= {"interest": interest, "ready": warmth, "trap": trap}
        latent |= {"active": nobody, "mql": nobody, "kept": nobody}
        latent |= {"value": torch.where(origin == 0, *VALUES)}
        latent["reachable"] = latent["reachable"] | trap
        columns = {"months_dormant": months, "past_clicks": clicks}
        columns |= {f"origin={name}": origin == i for i, name in enumerate(ORIGINS)}
        columns |= {f"industry={name}": industry == i for i, name in enumerate(INDUSTRIES)}
        columns |= {f"liked={name}": liked == i for i, name in enumerate(LIKED)}
        return Start(
            attributes=self._attributes(columns),
            past=History.of_bin(channel_sums(self._channels, {"opened": nobody})),
            anchor_us=(ENTRY_DAY + (u[9] * ENTRY_DAYS).long()) * DAY_US,
            zone_known=zone_known,
            consent=u[10] >= p.no_consent,
            available=~nobody,
            latent=latent,
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        p, latent = self.params, view.latent
        u = uniforms(keys, view.bins, 3, _VIEWS.stop)
        met = self._mail.meet(view)
        mailing = replace(met, inbox_share=met.inbox_share * ~latent["trap"])  # nobody reads traps
        answers = mail_answers(p.mail, mailing, latent, u[:MAIL_DRAWS])
        events = mail_events(answers, mailing.topic, TOPICS)
        events["spam_trap_hit"] = answers.delivered & latent["trap"] & (u[_TRAP] < p.trap_report)
        events |= self._visit(latent, answers, mailing, u)
        events |= self._return(latent, answers, mailing, u)
        after = self._carry_over(view, mailing, answers, u[_SHIFT])
        after |= {
            "active": latent["active"] | events["became_active"],
            "mql": latent["mql"] | events["became_mql"],
            "kept": latent["kept"] | events["kept_topics"],
            "ready": after["ready"] + p.keep_gain * (events["kept_topics"] & ~latent["kept"]),
        }
        everybody = torch.ones_like(mailing.sent)
        return Outcome(channel_sums(self._channels, events), everybody, after)

    def _visit(
        self, latent: dict[str, Tensor], answers: MailAnswers, mailing: Mailing, u: Tensor
    ) -> dict[str, Tensor]:
        """Page views of a bin, by category; no trap ever visits."""
        p, human = self.params, ~latent["trap"]
        logit = p.view_base + p.view_ready * latent["ready"]
        events = {"viewed_help": human & (u[_HELP] < torch.sigmoid(p.help_base + latent["ready"]))}
        for k, name in enumerate(LIKED):
            arrives = p.view_clicked * (answers.clicked & (mailing.topic == k))
            chance = torch.sigmoid(logit + p.view_interest * (latent["interest"] == k) + arrives)
            events[f"viewed_{name}"] = human & (u[_VIEWS][k] < chance)
        return events

    def _return(
        self, latent: dict[str, Tensor], answers: MailAnswers, mailing: Mailing, u: Tensor
    ) -> dict[str, Tensor]:
        """Who chooses topics, becomes active, is qualified or buys."""
        p, ready, active = self.params, latent["ready"], latent["active"]
        human = ~(latent["trap"] | answers.unsubscribed | answers.complained)
        logins = torch.sigmoid(p.login_base + ready + p.login_active * active)
        asks = answers.seen & (mailing.topic == TOPICS.index("preference"))
        keeps = asks & (u[_KEEP] < torch.sigmoid(p.keep_base + ready))
        logit = p.active_base + p.active_ready * ready + p.active_clicked * answers.clicked
        offered = answers.seen & (mailing.topic == TOPICS.index("offer"))
        buys = p.buy_base + p.buy_ready * ready + p.buy_active * active + p.buy_offered * offered
        bought = human & (u[_BUY] < torch.sigmoid(buys))
        qualified = u[_MQL] < torch.sigmoid(p.mql_base + ready + p.mql_active * active)
        return {
            "logged_in": human & (u[_LOGIN] < logins),
            "kept_topics": human & keeps,
            "became_active": human & ~active & (u[_ACTIVE] < torch.sigmoid(logit)),
            "became_mql": human & ~latent["mql"] & qualified,
            "won_back": bought,
            "won_back.value": bought * latent["value"],
        }

    def _carry_over(
        self, view: View, mailing: Mailing, answers: MailAnswers, u: Tensor
    ) -> dict[str, Tensor]:
        """The latents after the bin."""
        p, latent, around = self.params, view.latent, view.around
        beside = answers.appeal - p.mail.topic_pull * mailing.match
        gain = torch.where(mailing.match, p.topic_gain, p.other_gain)
        gain = gain * answers.seen * torch.exp(p.gain_share * beside)
        talks = talk_effect(p.account, around.colleague_talks, latent["mql"])
        colleagues = p.account.send_fatigue * around.colleague_sends
        chance = p.interest_shift * mailing.days
        return (
            latent
            | mail_carry_over(p.mail, mailing, latent, colleagues)
            | {
                "ready": latent["ready"] + gain - p.cooling * mailing.days + talks,
                "interest": shifted_interest(latent["interest"], chance, len(LIKED), u),
            }
        )
