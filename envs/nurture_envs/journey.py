"""A journey: the frozen record of one nurture program, in the domain's language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

from nurture_envs.claims import Claim
from nurture_envs.clock import Clock
from nurture_envs.crowd_limits import SellerCapacity, VolumeRamp
from nurture_envs.derived_rules import DerivedRule
from nurture_envs.experiment import Experiment
from nurture_envs.handoff_rules import HandoffRules

JOBS = ("remove_objection", "deliver_proof", "qualify", "book_meeting", "activate", "re_engage")
LIMIT_UNITS = ("contact", "decision", "send")  # a contact: as values are, per episode
APPROVALS = ("draft", "approved", "withdrawn")
PAST_KINDS = (  # of features that look at what happened
    *("count", "recency", "ratio", "streak", "ever", "memory"),
    *("decayed", "trend", "distinct", "affinity"),
)
FEATURE_KINDS = (*PAST_KINDS, "attribute", "stage", "calendar")
TOLD_APART = ("topic", "page_category", "reply_class", "stage")  # columns of events; see `groups`
SLOT = "slot"  # affinity to the slots of the clock
CALENDAR_PARTS = ("bin", "weekday", "slot")
BUSY = ("refuse", "wait")  # what becomes of whoever enters while another journey has them

Group = tuple[str, str]  # messages: one of `GROUPED_BY`, and what they share
GROUPED_BY = ("channel", "topic", "message", "job", "claim", "block")
ALL: Group = ("", "")  # all messages


@dataclass(frozen=True, slots=True)
class Signal:
    """A named filter over the events table; the signals of a journey never overlap."""

    name: str
    type: str  # event type
    topic: str | None = None  # None matches any
    page_category: str | None = None
    reply_class: str | None = None
    stage: str | None = None
    is_machine: bool | None = None
    valued: bool = False  # the sum of `value` is kept beside the count
    by_action: bool = False  # made by the action itself, not by the contact
    delay_bins: int = 0  # bins by which the log may know of it later, at most

    def filters(self) -> dict[str, str | bool]:
        """The columns this signal pins, with the value each must have."""
        pinned = {
            "type": self.type,
            "topic": self.topic,
            "page_category": self.page_category,
            "reply_class": self.reply_class,
            "stage": self.stage,
            "is_machine": self.is_machine,
        }
        return {column: value for column, value in pinned.items() if value is not None}

    def overlaps(self, other: Signal) -> bool:
        """True when one event could match both."""
        mine, theirs = self.filters(), other.filters()
        return all(mine[column] == theirs[column] for column in mine.keys() & theirs.keys())


@dataclass(frozen=True, slots=True)
class Message:
    """One approved e-mail (or push) and the job it has."""

    id: str
    job: str  # one of JOBS
    topic: str
    proof: str = "none"
    offer: str = "none"
    call_to_action: str = "none"
    channel: str = "email"
    approval: str = "draft"  # one of APPROVALS; only approved messages are ever sent
    expires: date | None = None  # last day it may be sent
    blocks: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """What caps may count it among, besides all messages."""
        own = [("channel", self.channel), ("topic", self.topic), ("message", self.id)]
        own += [("job", self.job)] + [("block", block) for block in dict.fromkeys(self.blocks)]
        return (*own, *([] if self.proof == "none" else [("claim", self.proof)]))


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of a feature column with a number."""

    column: str
    operator: str  # one of >= <= > < == !=
    threshold: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What a message holds out, such as a discount: what it costs, and who may have it."""

    name: str  # as messages name it
    cost: float  # per send, in the reward's unit, >= 0
    expires: date | None  # last day it may be sent
    eligible: tuple[Condition, ...]  # all must hold of the contact's features; empty: everybody
    inventory: int | None  # most sends to all contacts together, >= 1; None: no end

    @property
    def limited(self) -> bool:
        """Whether not everybody may have it at any time."""
        return bool(self.eligible) or self.inventory is not None


@dataclass(frozen=True, slots=True)
class ActionOptions:
    """Which actions a journey's catalogue enumerates."""

    slots: tuple[int | None, ...]  # local hour of sending; None sends at the decision
    pauses: tuple[int, ...]  # bins, the first is 1
    escalate: bool
    exit: bool


@dataclass(frozen=True, slots=True)
class Feature:
    """One declared feature; which fields matter depends on `kind`."""

    name: str
    kind: str  # one of FEATURE_KINDS
    of: tuple[str, ...] = ()  # channels counted
    over: tuple[str, ...] = ()  # ratio: channels of the denominator
    until: tuple[str, ...] = ()  # streak: channels that end it
    window: int = 1  # bins looked back
    attribute: str = ""
    levels: tuple[str, ...] = ()  # attribute: one column each; empty for a number
    default: float = 0.0  # attribute: value when a number is missing
    part: str = ""  # calendar: one of CALENDAR_PARTS
    stages: tuple[tuple[str, str], ...] = ()  # stage: (stage, signal that enters it), in order
    half_life: float = 0.0  # decayed: bins in which the weight of an event halves
    by: str = ""  # distinct and affinity: one of TOLD_APART; affinity also SLOT
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by: each value, and its channels of `of`
    prior: int = 0  # affinity: events, spread evenly, that are added to those that happened


@dataclass(frozen=True, slots=True)
class Reward:
    """What a bin earned: signals times weights, less the price of the action."""

    unit: str
    weights: tuple[tuple[str, float], ...]  # (channel, unit per event or per unit of value)
    send_cost: float
    escalate_cost: float
    discount: float  # per bin, in (0, 1]


@dataclass(frozen=True, slots=True)
class FrequencyCap:
    """At most `maximum` sends in any rolling window of `hours`."""

    maximum: int
    hours: float
    # Which messages count: those that share one of these, or one message alone; None: all
    channel: str | None = None
    topic: str | None = None
    message: str | None = None
    job: str | None = None
    claim: str | None = None  # as the message's `proof` names it
    block: str | None = None

    @property
    def group(self) -> Group:
        """The messages that count."""
        for column in GROUPED_BY:
            name = getattr(self, column)
            if name is not None:
                return column, name
        return ALL


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No second mail for a job within `hours` of the last one, unless a signal answers it."""

    jobs: tuple[str, ...]
    until: tuple[str, ...]
    hours: float


@dataclass(frozen=True, slots=True)
class CoolOff:
    """A message that speaks of a visit waits for `hours` after it."""

    message: str
    after: tuple[str, ...]  # signals
    hours: float


@dataclass(frozen=True, slots=True)
class SlowCadence:
    """What the action `slow` does: for some bins from its own on, sends lie further apart."""

    gap_hours: float  # the minimum gap while it lasts, beyond the usual one
    bins: int  # >= 2
    signal: str  # what the log calls it


@dataclass(frozen=True, slots=True)
class OpenConversation:
    """A conversation that a signal opens, and that lasts until another one closes it."""

    signal: str
    until: tuple[str, ...]  # signals that close it when they happen later
    bins: int | None  # longest time after the opening; None: no end of its own


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What holds for the contacts of one account together; servers alone keep it."""

    caps: tuple[FrequencyCap, ...]  # sends to all of them
    conversation: bool  # one in conversation with sales pauses mail to the others


@dataclass(frozen=True, slots=True)
class InactivityTier:
    """Contacts without activity for `bins` get at most `maximum` mails in any `hours`."""

    bins: int
    maximum: int
    hours: float


@dataclass(frozen=True, slots=True)
class Inactivity:
    """How mail thins out to contacts who do nothing; one who never did anything did it long ago."""

    signals: tuple[str, ...]  # what people do; what machines do is no activity
    tiers: tuple[InactivityTier, ...]  # each holds from its bins on, beside those before
    probe_bins: int | None = None  # from here on mail goes as a probe alone; None: never
    probe_share: float = 0.0  # of the bins of such a contact, drawn by lot, in which one may go


@dataclass(frozen=True)  # without slots: see `once`
class GuardrailSettings:
    """The hard limits of a journey; off where a field is empty."""

    require_consent: bool
    caps: tuple[FrequencyCap, ...]
    min_gap_hours: float
    quiet_hours: tuple[int, int] | None  # local hours [from, to), may wrap midnight
    unknown_zone_slack: tuple[int, int]  # hours by which an unknown zone may be off
    blackout: tuple[tuple[date, date], ...]  # first and last local day of each time without mail
    conversation: tuple[tuple[str, int], ...]  # (signal, bins it keeps mail paused)
    conversation_until: tuple[OpenConversation, ...]
    opt_out: tuple[str, ...]  # signals after which no mail is sent
    hard_bounce: tuple[str, ...]
    escalation_needs: tuple[str, ...]  # a signal of intent before sales is called; empty: none
    availability: bool  # contacts are sometimes out of reach, the log says when
    slow: SlowCadence | None = None
    confirm: bool = False  # a server's send that nobody confirms in its hour is no send
    account: AccountLimits | None = None
    inactivity: Inactivity | None = None
    seller_capacity: SellerCapacity | None = None  # a server's, as the next
    volume: VolumeRamp | None = None
    events: tuple[Signal, ...] = ()  # which conversations name besides signals; no world makes them
    unanswered: Unanswered | None = None
    cool_off: tuple[CoolOff, ...] = ()
    handoffs: HandoffRules | None = None  # a server's: replies that a person answers
    unserved: GuardrailSettings | None = None  # without what servers alone add; None: they add none

    @property
    def simulated(self) -> GuardrailSettings:
        """The limits of simulations, in which no event of `events` ever happens."""
        if self.unserved is not None:
            return self.unserved.simulated
        if not self.events:
            return self
        never = {event.name for event in self.events}
        lasting = [one for one in self.conversation_until if one.signal not in never]
        return replace(
            self,
            conversation=tuple(pair for pair in self.conversation if pair[0] not in never),
            conversation_until=tuple(
                replace(one, until=tuple(name for name in one.until if name not in never))
                for one in lasting
            ),
            events=(),
        )

    @property
    def talks(self) -> tuple[str, ...]:
        """Signals and events that begin a conversation."""
        lasting = [opened.signal for opened in self.conversation_until]
        return (*(name for name, _ in self.conversation), *lasting)


@dataclass(frozen=True, slots=True)
class Kpi:
    """A key figure of the journey: events of some channels per episode."""

    name: str
    of: tuple[str, ...]
    better: str  # "higher" or "lower"


@dataclass(frozen=True, slots=True)
class HarmLimit:
    """How much of a harm a policy may at most be allowed to do; None: no limit of that kind.

    A limit holds for an upper bound: a policy whose harm nobody can bound does not keep to it.
    """

    name: str
    of: tuple[str, ...]  # signals that are the harm
    per: str  # what `at_most` is counted over: one of LIMIT_UNITS
    at_most: float | None  # events per `per`
    above_reference: float | None  # events per contact beyond those of the reference policy


@dataclass(frozen=True, slots=True)
class Rule:
    """If every condition holds, take the action; the first matching rule wins."""

    when: tuple[Condition, ...]
    action: str  # an action id, or "drip"


@dataclass(frozen=True, slots=True)
class JourneyRule:
    """When a contact enters or leaves a journey; without a signal, whenever the contact is put."""

    on: tuple[str, ...]  # signals, an event of one of which moves its contact; empty: none has to
    when: tuple[Condition, ...]  # all must hold of the contact's attributes


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who is in a journey on a server; a journey without it has every contact that is known."""

    enter: JourneyRule | None  # None: who is enrolled by a call alone
    leave: JourneyRule | None
    rest_days: float | None  # from one episode's end until the next may begin; None: there is none
    priority: int  # an enrolment ends another journey's episode of a lower one
    busy: str  # one of BUSY


@dataclass(frozen=True)  # without slots: see `once`
class Journey:
    """One nurture program: what is seen, what can be done, what it is worth, what is forbidden."""

    name: str
    title: str
    provenance: str  # what kind of data this journey's logs are, for every report
    clock: Clock
    estimand: str  # "per_episode" or "per_decision"
    signals: tuple[Signal, ...]
    messages: tuple[Message, ...]
    offers: tuple[Offer, ...]  # what messages offer besides are labels and nothing more
    options: ActionOptions
    features: tuple[Feature, ...]
    reward: Reward
    terminals: tuple[str, ...]  # signals that end an episode
    guardrails: GuardrailSettings
    north_star: Kpi
    supporting: tuple[Kpi, Kpi]
    limits: tuple[HarmLimit, ...]  # on harms of a policy to be released
    drip: tuple[tuple[int, str], ...]  # (bin, action id), the fixed program this one replaces
    rules: tuple[Rule, ...]
    expert: tuple[Rule, ...]  # what a thoughtful person would run instead; empty: nobody wrote it
    resolved: Mapping[str, Any]  # the file with inheritance worked out, as plain data
    enrolment: Enrolment | None = None  # None: everybody is in it, once
    experiment: Experiment | None = None  # of servers; None: the policy decides for everybody
    signers: int = 1  # different people who must sign a bundle of it before it is served
    claims: tuple[Claim, ...] = ()  # what messages name as proof besides are labels and no more
    derived: tuple[DerivedRule, ...] = ()  # events that are worked out of others

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Columns of the simulator's state: every signal, then every valued signal's value sum."""
        counts = tuple(signal.name for signal in self.signals)
        return counts + tuple(f"{signal.name}.value" for signal in self.signals if signal.valued)

    @property
    def stages(self) -> tuple[tuple[str, str], ...]:
        """Stages in order, each with the signal that enters it."""
        return tuple((str(name), str(by)) for name, by in self.resolved.get("stages", {}).items())

    def channel_index(self, name: str) -> int:
        """Position of a channel, for arrays of this process."""
        return self.channels.index(name)

    @property
    def delays(self) -> tuple[int, ...]:
        """Bins by which each channel may be known late, at most, in channel order."""
        by_name = {signal.name: signal.delay_bins for signal in self.signals}
        return tuple(by_name[channel.removesuffix(".value")] for channel in self.channels)
