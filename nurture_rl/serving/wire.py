"""The JSON that goes over the wire, strictly typed, and its way to and from records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import msgspec

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import NurtureError
from nurture_envs.guardrails import reason_names
from nurture_rl.logs.schema import EVENT_TYPES, REPLY_CLASSES
from nurture_rl.serving.records import Answer, Contact, Decision, Event
from nurture_rl.serving.service import Ask

MAX_ROWS = 10_000  # of one request

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_ZONES = frozenset(available_timezones())
_SKEW_US = 300_000_000  # 5 minutes by which a sender's clock may run ahead

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="ISO-8601 with Z or an offset")]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Scalar = str | float | bool | None


class RequestError(NurtureError):
    """A request is well-formed JSON but cannot be meant; the message names the path."""


class AskIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact to decide for."""

    contact_id: Id
    request_id: Id | None = None  # the same id gives the same decision again
    available: bool | None = None


class DecisionsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contacts to decide for."""

    contacts: Annotated[list[AskIn], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]
    now: Moment | None = None  # only on a server with a simulated clock


class DecisionOut(msgspec.Struct, frozen=True, tag_field="kind", tag="decision"):
    """What to do with a contact."""

    decision_id: str
    contact_id: str
    journey: str
    episode_id: str
    step: int
    decided_at: str
    action: str
    propensity: float
    scheduled_at: str | None  # when a send leaves
    probabilities: dict[str, float]  # of every action that was possible
    blocked: dict[str, list[str]]  # forbidden actions and the guardrails that forbid them
    policy_id: str
    arm: str
    catalog: str
    note: str | None


class ErrorOut(msgspec.Struct, frozen=True, tag_field="kind", tag="error"):
    """Why nothing may be done with a contact."""

    contact_id: str
    code: Literal[
        "unknown_contact",
        "episode_over",
        "not_started",
        "already_decided",
        "out_of_order",
        "request_id_taken",
        "fail_closed",
    ]
    message: str


class DecisionsOut(msgspec.Struct, frozen=True):
    """One answer per contact asked for, in order."""

    decisions: list[DecisionOut | ErrorOut]


class EventIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happened; see the events table."""

    event_id: Id
    contact_id: Id
    occurred_at: Moment
    type: Text
    recorded_at: Moment | None = None  # used on a simulated clock; else the server's own time
    source: Text = "unknown"
    message_id: Text | None = None
    decision_id: Text | None = None
    topic: Text | None = None
    page_category: Text | None = None
    reply_class: Text | None = None
    stage: Text | None = None
    value: float | None = None
    is_machine: bool = False
    properties: dict[str, Any] = {}


class EventsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events; each is checked on its own, see EventIn."""

    events: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class RejectedRow(msgspec.Struct, frozen=True):
    """A row that was not stored."""

    row: int  # from 0
    reason: str


class EventsOut(msgspec.Struct, frozen=True):
    """What became of the events sent."""

    stored: int
    repeated: int  # ids that were there already
    rejected: list[RejectedRow]


class ContactIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact; see the contacts table. Without `consent: true` no mail is sent."""

    contact_id: Id
    account_id: Text | None = None
    time_zone: Text | None = None
    zone_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None
    consent: bool = False
    attributes: dict[str, Scalar] = {}


class ContactsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contacts to add or replace: all of them, or none after an error."""

    contacts: Annotated[list[ContactIn], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class ContactsOut(msgspec.Struct, frozen=True):
    """How many contacts were stored."""

    stored: int


class Health(msgspec.Struct, frozen=True):
    """What is being served."""

    status: Literal["ok", "store not writable"]
    policy_id: str
    journey: str
    catalog: str


class Problem(msgspec.Struct, frozen=True):
    """An error, after RFC 9457."""

    title: str
    status: int
    detail: str


def microseconds(moment: datetime, path: str) -> int:
    """Microseconds since 1970 UTC.

    Raises:
        RequestError: outside 1970 to 2200.
    """
    if not _EPOCH <= moment < _LATEST:
        raise RequestError(f"expected a time from 1970 to 2200, got {moment} - at `{path}`")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def iso(us: int | None) -> str | None:
    """ISO-8601 of microseconds since 1970 UTC."""
    if us is None:
        return None
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def asks_of(request: DecisionsIn) -> list[Ask]:
    """The asks of a request."""
    return [Ask(c.contact_id, c.request_id, c.available) for c in request.contacts]


def answer_out(answer: Answer, catalog: ActionCatalog) -> DecisionOut | ErrorOut:
    """An answer as it goes over the wire: actions by id, never by position."""
    if not isinstance(answer, Decision):
        return ErrorOut(answer.contact_id, answer.code, answer.message)  # type: ignore[arg-type]
    probable = zip(catalog.ids, answer.probabilities, strict=True)
    reasons = zip(catalog.ids, answer.reasons, strict=True)
    return DecisionOut(
        decision_id=answer.decision_id,
        contact_id=answer.contact_id,
        journey=answer.journey,
        episode_id=answer.episode_id,
        step=answer.step,
        decided_at=iso(answer.decided_us) or "",
        action=answer.action,
        propensity=answer.propensity,
        scheduled_at=iso(answer.scheduled_us),
        probabilities={action: p for action, p in probable if p > 0.0},
        blocked={action: reason_names(bits) for action, bits in reasons if bits},
        policy_id=answer.policy_id,
        arm=answer.arm,
        catalog=answer.catalog,
        note=answer.note,
    )


def contacts_of(request: ContactsIn) -> list[Contact]:
    """The contacts of a request.

    Raises:
        RequestError: a zone is unknown.
    """
    return [_contact(found, f"$.contacts[{i}]") for i, found in enumerate(request.contacts)]


def _contact(found: ContactIn, path: str) -> Contact:
    confidence = found.zone_confidence
    if found.time_zone is not None and found.time_zone not in _ZONES:
        raise RequestError(
            f"expected an IANA time zone such as 'Europe/Berlin', got {found.time_zone!r}; leave "
            f"it out when it is not known - at `{path}.time_zone`"
        )
    if confidence is None:
        confidence = 0.0 if found.time_zone is None else 1.0
    return Contact(
        found.contact_id,
        found.account_id,
        found.time_zone,
        confidence,
        found.consent,
        found.attributes,
    )


def event_in(row: dict[str, Any]) -> EventIn:
    """Check one row of events.

    Raises:
        RequestError: it names the path in the row.
    """
    try:
        event = msgspec.json.decode(json.dumps(row), type=EventIn, strict=True)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from error
    for name, word, known in (
        ("type", event.type, EVENT_TYPES),
        ("reply_class", event.reply_class, REPLY_CLASSES),
    ):
        if word is not None and word not in known:
            near = get_close_matches(word, sorted(known), n=1, cutoff=0.0)[0]
            raise RequestError(
                f"unknown {name} {word!r}, nearest known is {near!r} - at `$.{name}`"
            )
    for name, moment in (("occurred_at", event.occurred_at), ("recorded_at", event.recorded_at)):
        if moment is not None:
            microseconds(moment, f"$.{name}")
    if event.recorded_at is not None and event.recorded_at < event.occurred_at:
        raise RequestError("recorded before it occurred - at `$.recorded_at`")
    return event


def event_of(event: EventIn, received_us: int | None) -> Event:
    """The record of a checked event.

    Args:
        event: the row.
        received_us: when it came in; None on a simulated clock, which trusts `recorded_at`.
    """
    occurred = microseconds(event.occurred_at, "$.occurred_at")
    stated = microseconds(event.recorded_at or event.occurred_at, "$.recorded_at")
    return Event(
        event_id=event.event_id,
        contact_id=event.contact_id,
        occurred_us=occurred,
        recorded_us=stated if received_us is None else max(occurred, received_us),
        type=event.type,
        source=event.source,
        message_id=event.message_id,
        decision_id=event.decision_id,
        topic=event.topic,
        page_category=event.page_category,
        reply_class=event.reply_class,
        stage=event.stage,
        value=event.value,
        is_machine=event.is_machine,
        properties=json.dumps(event.properties, sort_keys=True),
    )


def check_rows(
    rows: Sequence[dict[str, Any]], now_us: int | None
) -> tuple[list[EventIn], list[RejectedRow]]:
    """The usable rows, and the others with their reason.

    Args:
        rows: as they came.
        now_us: the server's time, which no event may be far ahead of; None on a simulated clock.
    """
    good: list[EventIn] = []
    rejected: list[RejectedRow] = []
    for position, row in enumerate(rows):
        try:
            event = event_in(row)
            if now_us is not None:
                _require_past(event, now_us)
        except RequestError as error:
            rejected.append(RejectedRow(position, str(error)))
        else:
            good.append(event)
    return good, rejected


def _require_past(event: EventIn, now_us: int) -> None:
    if microseconds(event.occurred_at, "$.occurred_at") > now_us + _SKEW_US:
        raise RequestError(
            f"expected an event that has happened, got {event.occurred_at.isoformat()}, after the "
            f"server's {iso(now_us)} - at `$.occurred_at`"
        )
