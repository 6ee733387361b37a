"""The JSON that goes over the wire, strictly typed, and its way to and from records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import msgspec

from nurture_envs.errors import NurtureError
from nurture_envs.guardrails import reason_names
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Answer, Contact, Decision, Withdrawal
from nurture_rl.serving.unsubscribing import UnsubscribeLinks

MAX_ROWS = 10_000  # of one request

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_ZONES = frozenset(available_timezones())
_PATHS = ("confirm", "explain", "why")  # ends of paths under /v1/decisions
_MAX_DEPTH = 16  # of lists and objects in each other
_MAX_BYTES = 16_384  # of one contact's attributes, or of one event's properties, as JSON

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="ISO-8601 with Z or an offset")]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Confidence = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Scalar = str | float | bool | None


class RequestError(NurtureError):
    """A request is well-formed JSON but cannot be meant; the message names the path."""


class ContextIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known of a contact, as of `ContactIn`; what is left out is not known."""

    account_id: Text | None = None
    time_zone: Text | None = None
    zone_confidence: Confidence | None = None
    consent: bool = False
    attributes: dict[str, Scalar] = {}


class AskIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact to decide for."""

    contact_id: Id
    request_id: Id | None = None  # the same id gives the same decision again
    available: bool | None = None
    journey: Id | None = None  # without it the one that the contact is in, else the first
    # Put before the decision, as by `PUT /v1/contacts`; the key needs the scope `contacts` too.
    context: ContextIn | None = None


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
    next_decision_at: str | None  # when to ask again; null: this was the episode's last decision
    probabilities: dict[str, float]  # of every action that was possible
    blocked: dict[str, list[str]]  # forbidden actions and the guardrails that forbid them
    policy_id: str
    arm: str
    catalog: str
    note: str | None
    # What the mail must carry; nothing where no mail is sent or the server has no `public_url`.
    headers: dict[str, str] = {}


class ErrorOut(msgspec.Struct, frozen=True, tag_field="kind", tag="error"):
    """Why nothing may be done with a contact."""

    contact_id: str
    code: Literal[
        "unknown_contact",
        "unknown_journey",
        "not_enrolled",
        "episode_over",
        "not_started",
        "already_decided",
        "out_of_order",
        "request_id_taken",
        "fail_closed",
        "withdrawn",
        "expired",
    ]
    message: str


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
    may_forbid_mail: bool  # send it again in a form that can be read, or stop mail yourself


class MendedRow(msgspec.Struct, frozen=True):
    """A row that may forbid mail, stored as far as it could be read."""

    row: int  # from 0
    notes: list[str]


class WithdrawnSend(msgspec.Struct, frozen=True):
    """A planned send that was taken back: do not send it."""

    decision_id: str
    contact_id: str
    scheduled_at: str | None
    reason: str


class DecisionsOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer per contact asked for, in order."""

    decisions: list[DecisionOut | ErrorOut]
    withdrawn: list[WithdrawnSend] = []  # by a `context`; left out where there are none


class EventsOut(msgspec.Struct, frozen=True):
    """What became of the events sent. Answered with 422 when a rejected one may forbid mail."""

    rejected: list[RejectedRow]
    mended: list[MendedRow]
    stored: int
    repeated: int  # ids that were there already
    withdrawn: list[WithdrawnSend]


class ContactIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contact; see the contacts table. Without `consent: true` no mail is sent."""

    contact_id: Id
    account_id: Text | None = None
    time_zone: Text | None = None
    zone_confidence: Confidence | None = None
    consent: bool = False
    attributes: dict[str, Scalar] = {}


class ContactsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contacts to add or replace: all of them, or none after an error."""

    contacts: Annotated[list[ContactIn], msgspec.Meta(min_length=1, max_length=MAX_ROWS)]


class ContactsOut(msgspec.Struct, frozen=True):
    """How many contacts were stored, and which planned sends that took back."""

    stored: int
    withdrawn: list[WithdrawnSend] = []


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


def require_id(name: str, path: str, contact: bool = False) -> None:
    """Check an id.

    Raises:
        RequestError: it is empty, longer than 200 characters, or holds control characters.
    """
    left = contact_key(name) if contact else name
    if not left or len(name) > 200 or any(ord(sign) < 32 or ord(sign) == 127 for sign in name):
        raise RequestError(
            f"expected an id of 1 to 200 characters that can be seen, got {name[:200]!r} - at "
            f"`{path}`"
        )


def require_flat(value: Any, path: str) -> None:
    """Check how deeply lists and objects lie in each other, and how much they hold.

    Raises:
        RequestError: too deep, or too large.
    """
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > _MAX_DEPTH:
            raise RequestError(
                f"expected at most {_MAX_DEPTH} lists or objects in each other; leave the deeper "
                f"ones out - at `{path}`"
            )
    if depth and len(msgspec.json.encode(value)) > _MAX_BYTES:
        raise RequestError(
            f"expected at most {_MAX_BYTES} bytes of JSON; keep what features read and leave the "
            f"rest out - at `{path}`"
        )


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def iso(us: int | None) -> str | None:
    """ISO-8601 of microseconds since 1970 UTC."""
    if us is None:
        return None
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def asks_of(request: DecisionsIn) -> list[Ask]:
    """The asks of a request.

    Raises:
        RequestError: an id cannot be one, or is the name of a path.
    """
    for i, asked in enumerate(request.contacts):
        require_id(asked.contact_id, f"$.contacts[{i}].contact_id", contact=True)
        if asked.request_id is not None:
            require_id(asked.request_id, f"$.contacts[{i}].request_id")
        if asked.request_id is not None and asked.request_id.rpartition("/")[2] in _PATHS:
            raise RequestError(
                f"expected another id, got {asked.request_id!r}, which is a path under "
                f"/v1/decisions - at `$.contacts[{i}].request_id`"
            )
    return [Ask(c.contact_id, c.request_id, c.available, c.journey) for c in request.contacts]


def answer_out(
    answer: Answer, catalogs: Mapping[str, Sequence[str]], links: UnsubscribeLinks
) -> DecisionOut | ErrorOut:
    """An answer as it goes over the wire: actions by id, never by position.

    Args:
        answer: a decision of this release or of an earlier one, or a refusal.
        catalogs: the action ids of every catalogue, by its hash; a decision of an unknown one
            names its own action alone.
        links: by which contacts unsubscribe.
    """
    if not isinstance(answer, Decision):
        return ErrorOut(answer.contact_id, answer.code, answer.message)  # type: ignore[arg-type]
    return decision_out(answer, catalogs, links)


def decision_out(
    answer: Decision, catalogs: Mapping[str, Sequence[str]], links: UnsubscribeLinks
) -> DecisionOut:
    """A decision as it goes over the wire; arguments as of `answer_out`."""
    ids = catalogs.get(answer.catalog, ())
    probable = zip(ids, answer.probabilities, strict=bool(ids))
    reasons = zip(ids, answer.reasons, strict=bool(ids))
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
        next_decision_at=iso(answer.next_us),
        probabilities=(
            {action: p for action, p in probable if p > 0.0}
            if ids
            else {answer.action: answer.propensity}
        ),
        blocked={action: reason_names(bits) for action, bits in reasons if bits},
        policy_id=answer.policy_id,
        arm=answer.arm,
        catalog=answer.catalog,
        note=answer.note,
        headers=({} if answer.scheduled_us is None else dict(links.headers(answer.contact_id))),
    )


def withdrawn_send(withdrawal: Withdrawal) -> WithdrawnSend:
    """A withdrawal as it goes over the wire."""
    one = withdrawal.decision
    at = iso(one.scheduled_us)
    return WithdrawnSend(one.decision_id, one.contact_id, at, withdrawal.reason)


def contacts_of(request: ContactsIn) -> list[Contact]:
    """The contacts of a request.

    Raises:
        RequestError: a zone is unknown, an id cannot be one, attributes are too large, or two ids
            differ in case or space alone.
    """
    spelled: dict[str, str] = {}
    for i, contact in enumerate(request.contacts):
        other = spelled.setdefault(contact_key(contact.contact_id), contact.contact_id)
        if other != contact.contact_id:
            raise RequestError(
                f"expected ids that differ in more than case and space, got {other!r} and "
                f"{contact.contact_id!r}, which name one contact - at `$.contacts[{i}].contact_id`"
            )
    return [
        contact_of(contact.contact_id, contact, f"$.contacts[{i}]")
        for i, contact in enumerate(request.contacts)
    ]


def contact_of(
    contact_id: str, contact: ContactIn | ContextIn, path: str, inside: str = ""
) -> Contact:
    """A contact of a request; the arguments after it name its place there.

    Raises:
        RequestError: as `contacts_of`.
    """
    require_id(contact_id, f"{path}.contact_id", contact=True)
    path += inside
    require_flat(contact.attributes, f"{path}.attributes")
    confidence = contact.zone_confidence
    if contact.time_zone is not None and contact.time_zone not in _ZONES:
        raise RequestError(
            f"expected an IANA time zone such as 'Europe/Berlin', got {contact.time_zone!r}; leave "
            f"it out when it is not known - at `{path}.time_zone`"
        )
    if confidence is None:
        confidence = 0.0 if contact.time_zone is None else 1.0
    return Contact(
        contact_id,
        contact.account_id,
        contact.time_zone,
        confidence,
        contact.consent,
        contact.attributes,
    )
