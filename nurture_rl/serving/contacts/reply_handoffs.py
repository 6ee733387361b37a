"""Replies that a person has to answer: until then, or for some hours, no mail goes.

All follows from a contact's events and escalations; nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US
from nurture_envs.guardrails import Reason
from nurture_envs.handoff_rules import HandoffRules, PassesOn
from nurture_envs.journey import Journey, Signal
from nurture_envs.once import once
from nurture_rl.serving.records import ContactState, ContactView, Event
from nurture_rl.serving.storage.stored_events import events_that

# What salespeople do, and what comes of it, answers a hand-off in every journey.
_ANSWERS = (
    *("sales_activity", "meeting_booked", "meeting_held", "meeting_no_show"),
    *("opportunity_opened", "opportunity_closed"),
)
_LATE_US = 30 * DAY_US  # by which a reply may be reported after it came
_QUESTION = "question"  # of replies: a person asked, and is always told of


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A reply that opened a hand-off."""

    reply: Event
    signal: str
    opened_us: int  # when the server was told, UTC
    due_us: int  # until then it waits for an answer, UTC
    answer: Event | None  # None: there is none in time

    @property
    def is_question(self) -> bool:
        """Whether somebody asked something."""
        return self.reply.reply_class == _QUESTION

    def is_open(self, now_us: int) -> bool:
        """Whether a person is still to answer."""
        return self.answer is None and now_us < self.due_us


def answers_of(journey: Journey) -> tuple[str, ...]:
    """Types of events that answer a hand-off of a journey, whatever else they say."""
    sellers = journey.guardrails.seller_capacity
    closing = () if sellers is None else sellers.closed_by
    return tuple(dict.fromkeys((*_ANSWERS, *closing)))


def longest_us(journey: Journey) -> int:
    """How long a reply may wait for an answer, microseconds; 0: none does."""
    rules = journey.guardrails.handoffs
    return round(max(one.hours for one in rules.replies) * HOUR_US) if rules else 0


def is_of(event: Event, signal: Signal) -> bool:
    """Whether an event is one of a signal's."""
    return all(getattr(event, cell) == value for cell, value in signal.filters().items())


def passed_on(journey: Journey, events: Iterable[Event], calls_us: Sequence[int]) -> list[PassedOn]:
    """The replies of a contact that opened hand-offs by a journey's rules, as they came.

    The clock of each begins when the server was told of it, or of the last reply that its rule asks
    for. What comes within the rest after a hand-off was opened opens no other, unless it is a
    question. Nor does what is told more than 30 days late.

    Args:
        journey: its rules.
        events: of the contact.
        calls_us: when it was escalated, microseconds since 1970 UTC.
    """
    rules = journey.guardrails.handoffs
    if rules is None:
        return []
    told = list(events)
    replies = [
        one
        for one in told
        if one.type == "reply"
        and not one.is_machine
        and one.recorded_us - one.occurred_us <= _LATE_US
    ]
    found: list[PassedOn] = []
    for opened_us, reply, rule in _openings(journey, rules, replies):
        due_us = opened_us + round(rule.hours * HOUR_US)
        answer = _answer(reply, due_us, told, journey)
        one = PassedOn(reply, rule.signal, opened_us, due_us, answer)
        before_us = (*calls_us, *(other.opened_us for other in found))
        if one.is_question or not _rests(before_us, opened_us, rules.rest_hours):
            found.append(one)
    return found


def _openings(
    journey: Journey, rules: HandoffRules, replies: Sequence[Event]
) -> list[tuple[int, Event, PassesOn]]:
    """Moments at which replies fulfil a rule, the first that they do, in their order."""
    named = {one.name: one for one in (*journey.signals, *journey.guardrails.events)}
    found: list[tuple[int, Event, PassesOn]] = []
    for reply in replies:
        for rule in rules.replies:
            if (opened_us := _opened_us(reply, replies, named[rule.signal], rule)) is not None:
                found.append((opened_us, reply, rule))
                break
    return sorted(found, key=lambda one: (one[0], one[1].event_id))


def _opened_us(
    reply: Event, replies: Sequence[Event], signal: Signal, rule: PassesOn
) -> int | None:
    """When the last of the replies was told that the rule asks for; None: it waits for more.

    One that came before this reply may be told after it.
    """
    if not is_of(reply, signal):
        return None
    first_us = reply.occurred_us - round(rule.within_hours * HOUR_US)
    told_us = sorted(
        one.recorded_us
        for one in replies
        if is_of(one, signal) and first_us <= one.occurred_us <= reply.occurred_us
    )
    if len(told_us) < rule.times:
        return None
    return max(reply.recorded_us, told_us[rule.times - 1])


def _rests(opened_us: Iterable[int], at_us: int, rest_hours: float) -> bool:
    """Whether one was opened so short a time before a moment that none follows it."""
    return any(0 <= at_us - one < rest_hours * HOUR_US for one in opened_us)


def _answer(reply: Event, due_us: int, events: Iterable[Event], journey: Journey) -> Event | None:
    """The first thing that salespeople did after a reply, and in time."""
    types = answers_of(journey)
    after = [
        one for one in events if one.type in types and reply.occurred_us <= one.occurred_us < due_us
    ]
    return min(after, key=lambda one: (one.occurred_us, one.event_id), default=None)


def waiting(
    journey: Journey, views: Sequence[ContactView], now_us: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Who waits for a person's answer, [n].

    Args:
        journey: its rules.
        views: the contacts, [n].
        now_us: the moment of each, microseconds since 1970 UTC, [n].
    """
    if journey.guardrails.handoffs is None:
        return np.zeros(len(views), np.bool_)
    return np.array(
        [
            any(one.is_open(at_us) for one in _of(journey, view, at_us))
            for view, at_us in zip(views, now_us.tolist(), strict=True)
        ],
        np.bool_,
    )


def against_rest(
    journey: Journey,
    catalog: ActionCatalog,
    views: Sequence[ContactView],
    reasons: NDArray[np.int64],
    now_us: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The reasons against actions, with the rest after a hand-off: no escalation follows it.

    Args:
        journey: its rules.
        catalog: the actions.
        views: the contacts, [n].
        reasons: bits of `Reason`, [n, a].
        now_us: the moment of each, microseconds since 1970 UTC, [n].
    """
    rules = journey.guardrails.handoffs
    if rules is None or not rules.rest_hours:
        return reasons
    resting = []
    for view, at_us in zip(views, now_us.tolist(), strict=True):
        opened = [call.at_us for call in view.calls]
        opened += [one.opened_us for one in _of(journey, view, at_us)]
        resting.append(_rests(opened, at_us, rules.rest_hours))
    wide = reasons.copy()
    wide[np.ix_(np.array(resting, np.bool_), catalog.routed("escalate"))] |= int(
        Reason.SALES_CONVERSATION
    )
    return wide


def _of(journey: Journey, view: ContactView, now_us: int) -> list[PassedOn]:
    """The hand-offs of a contact's replies, as far as they are known at a moment."""
    if not view.replies and not events_that(view.events, _is_reply):
        return []
    told = [
        one
        for one in (*view.replies, *talk_in(journey, view.events))
        if view.acknowledged or max(one.occurred_us, one.recorded_us) <= now_us
    ]
    return passed_on(journey, told, [call.at_us for call in view.calls])


def talk_in(journey: Journey, events: Iterable[Event]) -> list[Event]:
    """Replies among events, and what answers them; none where the journey has no rules."""
    if journey.guardrails.handoffs is None:
        return []
    answers = answers_of(journey)
    return events_that(events, lambda kind, reply: kind in answers or _is_reply(kind, reply))


def may_wait(journey: Journey, state: ContactState, now_us: int) -> bool:
    """Whether a contact's folded events hold a reply that the journey's rules may ask about."""
    rules = journey.guardrails.handoffs
    if rules is None:
        return False
    hours = max(rules.rest_hours, *(one.hours + one.within_hours for one in rules.replies))
    recent = state.rows["occurred_us"] > now_us - round(hours * HOUR_US) - _LATE_US
    return bool(np.isin(state.rows["channel"][recent], _reply_channels(journey)).any())


@once
def _reply_channels(journey: Journey) -> list[int]:
    """Positions among the channels, and after them the events that guardrails name."""
    names = (*journey.channels, *(event.name for event in journey.guardrails.events))
    rules = journey.guardrails.handoffs
    return [names.index(one.signal) for one in rules.replies] if rules else []


def _is_reply(kind: str, reply_class: str | None) -> bool:
    return kind == "reply"
