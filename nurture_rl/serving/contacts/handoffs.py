"""Contacts that the policy passed on to sales: until when they are with sales, and who answered.

A hand-off is open until an event answers it, or until its time is over: that is how long the
journey's `conversation` guardrails hold mail after an escalation. So no mail of the policy
goes while one is open. Whom an account's open hand-off already covers joins it: an account has one
task at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

import numpy as np

from nurture_envs.clock import DAY_US, utc_microseconds
from nurture_envs.journey import Journey, Message
from nurture_rl.serving.contacts.enrolment import usable_zone
from nurture_rl.serving.contacts.reply_handoffs import PassedOn, answers_of, is_of, passed_on
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Contact, Decision, Event

LOOKED_BACK_US = 180 * DAY_US  # older hand-offs are none any more
# What others did to the contact, and what mail programs did, is no sign of interest.
_NO_SIGNALS = frozenset(
    {"sent", "delivered", "deferred", "dropped", "open", "escalated", "slowed", "sales_activity"}
)
_MOST_SIGNALS = 10  # that salespeople are shown


@dataclass(frozen=True, slots=True)
class Handoff:
    """A contact whom a person is to take over, and what became of it."""

    handoff_id: str
    contact_id: str
    journey: str
    opened_us: int  # UTC
    opened_by: Decision | PassedOn  # an escalation, or a reply
    account: str | None  # key of the contact's account
    due_us: int | None  # until then it is with sales, UTC; None: until it is answered
    answer: Event | None = None  # of salespeople; None: there is none
    withdrawn: str | None = None  # why it must not be carried out; None: it may
    joined: str | None = None  # the open hand-off of the account that covers it; None: none does
    colleagues: tuple[str, ...] = field(default=())  # contacts whose hand-offs joined this one

    def status(self, now_us: int) -> Literal["open", "answered", "returned", "withdrawn"]:
        """How it stands: with sales, answered, back in the journey, or taken back."""
        if self.withdrawn is not None:
            return "withdrawn"
        if self.answer is not None:
            return "answered"
        return "open" if self.due_us is None or now_us < self.due_us else "returned"


def _ends_hold(journey: Journey, event: Event) -> bool:
    """Whether mail is held no more after an event, by a `conversation_until` of escalations."""
    calls = {signal.name for signal in journey.signals if signal.type == "escalated"}
    lasting = journey.guardrails.conversation_until
    names = {name for one in lasting if one.signal in calls for name in one.until}
    named = (*journey.signals, *journey.guardrails.events)
    return any(is_of(event, signal) for signal in named if signal.name in names)


def due_us(decision: Decision, journey: Journey, zone: str) -> int | None:
    """Until when the journey holds mail after an escalation, UTC; None: until it is answered.

    Without a rule of `conversation` that is the next decision.

    Args:
        decision: the escalation.
        journey: of its clock and its guardrails.
        zone: of the contact, IANA name.
    """
    calls = {signal.name for signal in journey.signals if signal.type == "escalated"}
    bins = [0, *(held for name, held in journey.guardrails.conversation if name in calls)]
    for opened in journey.guardrails.conversation_until:
        if opened.signal in calls:
            if opened.bins is None:
                return None
            bins.append(opened.bins)
    first = np.array([decision.step + max(bins) + 1], np.int64)
    local_us = decision.anchor_us + journey.clock.start_us(first)
    return int(utc_microseconds(local_us, np.array([zone]))[0])


def handoffs(
    calls: Iterable[tuple[Decision, Journey, str | None]],
    contacts: Mapping[str, Contact],
    events: Mapping[str, Sequence[Event]],
    default_zone: str,
    of_replies: Callable[[str], Iterable[Journey]] = lambda contact: (),
) -> list[Handoff]:
    """How hand-offs stand, in the order in which they were opened.

    Args:
        calls: escalations, each with its journey, and why it was withdrawn.
        contacts: by `contact_key`; whoever is not there was erased, and is left out.
        events: of contacts, by `contact_key`.
        default_zone: of contacts who have none.
        of_replies: journeys by whose rules a contact's replies open hand-offs, by `contact_key`;
            the first one that says so has it.
    """
    found: list[Handoff] = []
    called: dict[str, list[int]] = {}
    for decision, journey, withdrawn in calls:
        name = contact_key(decision.contact_id)
        if (contact := contacts.get(name)) is None:
            continue
        if withdrawn is None:
            called.setdefault(name, []).append(decision.decided_us)
        due = due_us(decision, journey, usable_zone(contact.time_zone, default_zone))
        answer = _answer(decision, due, events.get(name, ()), journey)
        about = (decision.decision_id, contact.contact_id, journey.name, decision.decided_us)
        found.append(Handoff(*about, decision, _account(contact), due, answer, withdrawn))
    for name, contact in contacts.items():
        told: dict[str, Handoff] = {}
        for journey in of_replies(name):
            for one in passed_on(journey, events.get(name, ()), called.get(name, ())):
                key = reply_handoff_id(one.reply)
                about = (key, contact.contact_id, journey.name, one.opened_us)
                made = Handoff(*about, one, _account(contact), one.due_us, one.answer)
                told.setdefault(key, made)
        found += told.values()
    return _joined(sorted(found, key=lambda one: (one.opened_us, one.handoff_id)))


def reply_handoff_id(reply: Event) -> str:
    """The id of the hand-off that a reply opens: the same for every server."""
    digest = hashlib.blake2b(reply.event_id.encode("utf-8", "surrogatepass"), digest_size=12)
    return f"reply-{digest.hexdigest()}"


def _account(contact: Contact) -> str | None:
    return None if not contact.account_id else contact_key(contact.account_id)


def _answer(
    decision: Decision, due: int | None, events: Sequence[Event], journey: Journey
) -> Event | None:
    """The first event that answers an escalation while it is open."""
    types = answers_of(journey)
    after = [
        one
        for one in events
        if decision.decided_us <= one.occurred_us
        and (due is None or one.occurred_us < due)
        and (one.type in types or _ends_hold(journey, one))
    ]
    return min(after, key=lambda one: (one.occurred_us, one.event_id), default=None)


def _joined(found: Sequence[Handoff]) -> list[Handoff]:
    """Let hand-offs join the one of their contact or account that was open when they were opened.

    Who answers one of them answers all. A question joins none: each is told. What was answered
    before it was known of is no task, and answers no other.
    """
    leads: dict[str, int] = {}  # positions of the latest, by account, or by contact without one
    of: dict[int, int] = {}  # position of the lead, by that of who joined it
    whole = list(found)
    for place, one in enumerate(found):
        was_answered = one.answer is not None and one.answer.occurred_us < one.opened_us
        if one.withdrawn is not None or was_answered:
            continue
        unit = f"contact {contact_key(one.contact_id)}"
        unit = unit if one.account is None else f"account {one.account}"
        asked = isinstance(one.opened_by, PassedOn) and one.opened_by.is_question
        lead = leads.get(unit)
        if asked or lead is None or not _covers(whole[lead], one.opened_us):
            leads[unit] = place
            continue
        of[place] = lead
        whole[lead] = _with(whole[lead], one)
    for place, lead in of.items():
        first, own = whole[lead], whole[place]
        answer = first.answer or own.answer
        whole[place] = replace(own, joined=first.handoff_id, answer=answer)
    return whole


def _with(lead: Handoff, one: Handoff) -> Handoff:
    """A hand-off with one that joins it."""
    name = one.contact_id
    names = (*lead.colleagues, *([] if name == lead.contact_id else [name]))
    told = [a for a in (lead.answer, one.answer) if a is not None]
    in_time = [a for a in told if lead.due_us is None or a.occurred_us < lead.due_us]
    first = min(in_time, key=lambda a: (a.occurred_us, a.event_id), default=None)
    return replace(lead, colleagues=tuple(dict.fromkeys(names)), answer=first)


def _covers(lead: Handoff, at_us: int) -> bool:
    ends = [end for end in (lead.due_us, lead.answer and lead.answer.occurred_us) if end]
    return not ends or at_us < min(ends)


def last_signals(events: Iterable[Event], until_us: int) -> list[Event]:
    """What people of a contact did last before a moment, the latest first."""
    own = [
        one
        for one in events
        if one.occurred_us <= until_us and not one.is_machine and one.type not in _NO_SIGNALS
    ]
    return sorted(own, key=lambda e: (-e.occurred_us, e.event_id))[:_MOST_SIGNALS]


def topics_of(signals: Iterable[Event]) -> list[str]:
    """Topics and kinds of pages of some signals, the most frequent first, then the latest."""
    names = [one.topic or one.page_category for one in signals]
    told = [name for name in names if name]
    return sorted(dict.fromkeys(told), key=lambda name: (-told.count(name), told.index(name)))


def received(events: Iterable[Event], until_us: int) -> list[Event]:
    """Mails that a contact got before a moment, the latest first."""
    sent = [one for one in events if one.type == "sent" and one.occurred_us <= until_us]
    return sorted(sent, key=lambda e: (-e.occurred_us, e.event_id))


def opener(
    journey: Journey, topics: Sequence[str], got: Iterable[str], day: date
) -> Message | None:
    """The approved message to begin a talk with: on what the contact cares for, not read yet.

    Args:
        journey: whose messages they are.
        topics: what the contact cares for, most first.
        got: messages that the contact has.
        day: today; a message that has expired, or whose claim or offer has, is none.
    """
    known = set(got)
    claims = {one.name: one.expires for one in journey.claims}
    offers = {one.name: one.expires for one in journey.offers}
    able = [
        one
        for one in journey.messages
        if one.approval == "approved"
        and all(
            last is None or last >= day
            for last in (one.expires, claims.get(one.proof), offers.get(one.offer))
        )
    ]
    place = {name: number for number, name in enumerate(topics)}
    return min(
        able,
        key=lambda one: (one.id in known, place.get(one.topic, len(place))),
        default=None,
    )
