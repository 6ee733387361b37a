"""The JSON of hand-offs to sales: one packet has all that a salesperson needs to begin."""

from __future__ import annotations

from typing import Literal

import msgspec

HandoffStatus = Literal["open", "answered", "returned", "withdrawn"]


class SignalOut(msgspec.Struct, frozen=True):
    """Something that a person of the contact did."""

    at: str
    type: str
    topic: str | None
    page_category: str | None
    reply_class: str | None


class ReceivedMail(msgspec.Struct, frozen=True):
    """A mail that the contact got."""

    at: str
    message: str | None
    topic: str | None


class OpenerOut(msgspec.Struct, frozen=True):
    """An approved message to begin with."""

    message: str
    topic: str
    offer: str
    call_to_action: str
    blocks: list[str]


class HandoffOut(msgspec.Struct, frozen=True):
    """A contact whom a person is to take over."""

    handoff_id: str  # the decision's, or of the reply: carry out each once
    contact_id: str
    account_id: str | None
    journey: str
    status: HandoffStatus
    opened_by: str  # `escalation` of the policy, or the signal of a reply that a person answers
    opened_at: str
    due_at: str | None  # then mail may go again, unless somebody answers before; None: never
    answered_at: str | None
    answered_by: str | None  # type of the event that answered
    withdrawn_because: str | None
    joined: str | None  # the hand-off of the account that covers this one: no task of its own
    colleagues: list[str]  # contacts of the account whose hand-offs joined this one
    why: list[str]  # why now, in plain words
    signals: list[SignalOut]  # the latest first
    topics: list[str]  # what the contact cares for, most first
    messages: list[ReceivedMail]  # the latest first
    opener: OpenerOut | None  # None: no message is approved
    answers: list[str]  # types of events that answer it, reported by `POST /v1/events`


class HandoffsOut(msgspec.Struct, frozen=True):
    """Hand-offs of one status, the oldest first."""

    handoffs: list[HandoffOut]
    left_out: int  # further ones, which come once these are answered


STRUCTS = (HandoffOut, HandoffsOut)
