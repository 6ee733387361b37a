"""What the server knows of a contact, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.serving.arm_records import NO_GHOSTS, Ghost, GhostPass
from nurture_rl.serving.names import contact_key

# What the events of one kind in one bin add to a channel.
STATE_ROW = np.dtype(
    [
        ("channel", np.int32),  # of the journey, then of the events that only guardrails name
        ("lifted", np.bool_),  # against mail, and taken back since
        ("occurred_us", np.int64),  # of the latest, UTC
        ("local_us", np.int64),  # the same on the wall clock
        ("amount", np.float64),  # their sum
    ]
)


@dataclass(frozen=True, slots=True)
class Contact:
    """A person as the contacts table has them."""

    contact_id: str
    account_id: str | None
    time_zone: str | None  # IANA name
    zone_confidence: float  # in [0, 1]
    consent: bool
    attributes: Mapping[str, Any]
    spelling: str | None = None  # of the id as it came; None: just as `contact_id`


@dataclass(frozen=True, slots=True)
class Preferences:
    """What mail a contact wants; nothing is refused where nothing is said."""

    refused_topics: frozenset[str] = frozenset()
    only_topics: frozenset[str] | None = None  # no other topic is wanted; None: any is
    refused_channels: frozenset[str] = frozenset()
    per_week: int | None = None  # most mails in seven days; None: as many as the journey allows
    paused_until_us: int = 0  # microseconds since 1970 UTC; 0: not paused

    def refuse(self, topic: str, channel: str) -> bool:
        """Whether mail on a topic by a channel is refused; names are compared as contact ids."""
        if self.only_topics is not None and not _names(topic, self.only_topics):
            return True
        return _names(topic, self.refused_topics) or _names(channel, self.refused_channels)


def _names(name: str, among: frozenset[str]) -> bool:
    return name in among or contact_key(name) in map(contact_key, among)


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """One line of the consent ledger: what a contact allowed or refused, and what shows it."""

    at_us: int  # microseconds since 1970 UTC
    contact_id: str
    source: str  # who said so: a system, a page, the contact's own click
    purpose: str  # what the data are used for
    word: str  # given, withdrawn, objected, refused, allowed, limited or paused
    topic: str | None = None  # None: any
    channel: str | None = None  # None: any
    proof: str = ""  # an event's id, or what the source gave


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change of what the server allows, which nobody asked for."""

    at_us: int  # microseconds since 1970 UTC
    what: str
    subject: str
    state: str  # from now on
    why: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that was refused or mended, as it came."""

    received_us: int  # microseconds since 1970 UTC
    door: str  # the path it came in by
    contact_id: str | None  # as far as it can be read
    reason: str
    raw: str  # JSON


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the events table; times in microseconds since 1970 UTC."""

    event_id: str
    contact_id: str
    occurred_us: int
    recorded_us: int
    type: str
    source: str = "unknown"
    message_id: str | None = None
    decision_id: str | None = None
    topic: str | None = None
    page_category: str | None = None
    reply_class: str | None = None
    stage: str | None = None
    value: float | None = None
    is_machine: bool = False
    properties: str = "{}"  # JSON object


@dataclass(frozen=True, slots=True)
class Episode:
    """One contact's pass through a journey, and what was decided in it so far."""

    episode_id: str
    anchor_us: int  # local wall time, microseconds
    last_step: int | None = None  # bin of the latest decision
    paused_until: int = 0  # first bin after the pause chosen last
    exited: bool = False
    arm: str | None = None  # of the latest decision
    experiment: str | None = None  # likewise
    ghost: GhostPass = NO_GHOSTS  # what the policy would have begun, where it is held out
    number: int = 1  # of the contact's episodes in the journey, from 1
    ended: str | None = None  # why it is over, as far as the store says
    held: bool = False  # a person paused it: nothing is sent until a person resumes it
    barred: str | None = None  # why the contact is not in the journey
    lapsed: tuple[Ending, ...] = ()  # other episodes, whose time is over and nobody has said so


@dataclass(frozen=True, slots=True)
class Ending:
    """That an episode is over, and why.

    The reason is `goal` (a terminal signal that the north star counts), `stopped` (another one),
    `exit` (the policy left), `completed` (its bins are over), `superseded` (a journey of a higher
    priority took the contact), `closed` (nobody serves the journey any more), `person` or `rule`.
    """

    episode_id: str
    at_us: int  # microseconds since 1970 UTC
    reason: str
    why: str


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One row of the episodes table."""

    episode_id: str
    contact_id: str
    journey: str
    anchor_us: int  # local wall time, microseconds
    number: int = 1  # of the contact's episodes in the journey, from 1
    priority: int = 0  # of the journey when it began
    began_us: int | None = None  # UTC; None: a store of an older version did not say
    over_us: int | None = None  # local wall time at which its bins are over; None: likewise
    ended_us: int | None = None  # UTC; None: it is open
    reason: str | None = None  # of its end, as of `Ending`
    why: str | None = None
    paused_us: int | None = None  # since when a person has paused it, UTC
    decided_step: int | None = None  # latest bin that was decided elsewhere, before it came here
    paused_until: int | None = None  # first bin after a pause that was chosen there


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who enters a journey when the one that has them is over."""

    contact_id: str
    journey: str
    priority: int
    since_us: int  # microseconds since 1970 UTC
    why: str


@dataclass(frozen=True, slots=True)
class JourneyEntry:
    """One line of the log of journeys: who came, went or was paused, by whom and why."""

    at_us: int  # microseconds since 1970 UTC
    who: str
    journey: str
    contact_id: str
    episode_id: str | None  # None: it was refused, or waits
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A decision to send or to escalate; it counts from the decision on, even before a report."""

    decision_id: str
    at_us: int  # microseconds since 1970 UTC
    message_id: str | None = None  # of a send
    confirm_by_us: int | None = None  # of a send that has to be confirmed yet


@dataclass(frozen=True, slots=True)
class MailWords:
    """What a contact's events said about mail, as far as it still counts."""

    open: tuple[Event, ...] = ()  # what consent may yet take back, as acknowledged
    bounced: bool = False  # the address is dead
    away_until_us: int = 0  # out of office; microseconds since 1970 UTC
    soft_us: tuple[int, ...] = ()  # soft bounces


@dataclass(frozen=True, slots=True, eq=False)
class ContactState:
    """A contact's first events, folded: who decides at `as_of_us` or later need not read them."""

    through: str  # id of the last of these events
    as_of_us: int  # all of them had happened and were recorded by then, UTC
    zone: str  # IANA name, in which they were put into bins
    rows: NDArray[np.void]  # what they add to channels, bin by bin, [k] of `STATE_ROW`
    words: MailWords
    sends: tuple[tuple[int, str | None], ...]  # moment and message of those that limits can see


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the other contacts of an account add to what is known of one of them."""

    sends_us: tuple[int, ...] = ()  # to all contacts of the account, made or planned, UTC, in order
    talking: bool = False  # another one of them is in conversation with sales


@dataclass(frozen=True, slots=True)
class CrowdFacts:
    """What all contacts of a server together leave to one of them."""

    full_days: frozenset[int] = frozenset()  # days since 1970 UTC with no room for their mail
    calls_full: bool = False  # salespeople take no more escalations now


@dataclass(frozen=True, slots=True)
class ContactView:
    """Everything a decision may use about one contact."""

    decision_id: str  # of the decision asked for
    contact: Contact
    events: Sequence[Event]  # in the order in which they were acknowledged, those after `state`
    episode: Episode
    sends: tuple[Planned, ...]  # each until a `sent` event names it that is part of `state`
    calls: tuple[Planned, ...] = ()  # escalations
    available: bool | None = None  # None: not stated
    account: AccountFacts | None = None  # None: no account, or the journey limits none
    acknowledged: bool = False  # all events came before this moment, whatever their time stamps
    state: ContactState | None = None  # of the events before `events`; None: these are all
    preferences: Preferences = Preferences()
    crowd: CrowdFacts = CrowdFacts()
    replies: Sequence[Event] = ()  # in `state`, and what may answer them; read where rules ask


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the decisions table, and the reasons behind it."""

    decision_id: str
    contact_id: str
    journey: str
    episode_id: str
    anchor_us: int  # local wall time, microseconds
    step: int
    decided_us: int  # UTC
    action: str
    propensity: float
    probabilities: tuple[float, ...]  # [a], catalogue order
    mask: tuple[bool, ...]  # [a]
    reasons: tuple[int, ...]  # [a], `Reason` bits, 0 where legal
    features: tuple[float, ...] | None  # [d], each exactly a float32
    policy_id: str
    arm: str
    catalog: str
    scheduled_us: int | None  # UTC, when a send leaves; None for other actions
    note: str | None = None  # why the policy was not followed
    confirm_by_us: int | None = None  # UTC; a send that is not confirmed by then is none
    experiment: str | None = None  # in which the contact was dealt to its arm
    arm_share: float | None = None  # of the units of that experiment, chance of being dealt to it
    # What the policy would have decided for a contact who is held out; a row of its own.
    ghost: Ghost | None = field(default=None, compare=False)
    # UTC, when the contact is to be decided for again; None: it was the episode's last decision, or
    # nobody has worked it out. It is not stored, for it follows from the rest and the zone.
    next_us: int | None = field(default=None, compare=False)

    def waits_for_confirmation(self, now_us: int) -> bool:
        """Whether its hour has begun, in which it is confirmed or is no send."""
        if self.scheduled_us is None or self.confirm_by_us is None:
            return False
        return self.scheduled_us <= now_us < self.confirm_by_us


# As they are stored; a later one comes at the end.
DECISION_COLUMNS = tuple(n for n in Decision.__slots__ if n not in ("ghost", "next_us"))


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What became of the contacts of one arm."""

    contacts: int
    decisions: int
    sends: int  # that left or may leave
    harmed: int  # contacts


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a policy that is not followed says of a decision's contact and facts."""

    decision_id: str
    policy_id: str
    at_us: int  # microseconds since 1970 UTC
    probability: float | None  # of the decision's action; None: the policy failed
    probabilities: tuple[float, ...] | None  # [a], catalogue order
    note: str | None = None  # why it failed


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A decision that must not be carried out any more."""

    decision: Decision
    at_us: int  # microseconds since 1970 UTC
    reason: str
    freed: bool  # the mail cannot have left: it counts no more towards caps and inventories


@dataclass(frozen=True, slots=True)
class Moves:
    """How contacts enter and leave journeys, and what that takes back."""

    endings: Sequence[Ending] = ()
    episodes: Sequence[EpisodeRow] = ()  # that begin
    holds: Sequence[tuple[int | None, str]] = ()  # since when an episode is paused; None: no more
    waits: Sequence[Waiting] = ()
    drops: Sequence[tuple[str, str]] = ()  # contact and journey: they wait no more
    entries: Sequence[JourneyEntry] = ()
    withdrawals: Sequence[Withdrawal] = ()

    @property
    def anything(self) -> bool:
        """Whether there is anything to store."""
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a decision since."""

    confirmed_us: int | None = None  # when its send was told to leave
    withdrawn_us: int | None = None
    reason: str | None = None  # of the withdrawal


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a sender hears who asks whether a recorded decision is to be carried out now."""

    decision: Decision
    status: str  # send, withdrawn, early or no_send
    reason: str | None = None  # unless it is to be sent
    confirmed_us: int | None = None  # when it was first told to leave


@dataclass(frozen=True, slots=True)
class Refusal:
    """No decision for a contact: nothing is sent, and why."""

    contact_id: str
    code: str
    message: str


Answer = Decision | Refusal
