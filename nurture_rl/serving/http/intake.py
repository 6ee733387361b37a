"""Incoming event rows: read strictly, but a row that may forbid mail as far as it can be read.

No row that may forbid mail is dropped: it is stored with notes on what was mended, or refused with
an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import msgspec

from nurture_envs.stops import OTHER_REPLIES, OTHER_TYPES, forbids, plain, say_of
from nurture_rl.logs.vocabulary import Vocabulary
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.http.wire import (
    EventIn,
    Moment,
    RejectedRow,
    RequestError,
    iso,
    microseconds,
    require_flat,
    require_id,
)
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Event

_SKEW_US = 300_000_000  # 5 minutes by which a sender's clock may run ahead
_FIELDS = msgspec.structs.fields(EventIn)
_NAMES = frozenset(field.name for field in _FIELDS)
_PERMISSIONS = ("consent", "subscribed", "opt_in", "opted_in")  # fields of other systems
_READ_APART = ("event_id", "contact_id", "occurred_at", "recorded_at", "type", "reply_class")


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row that became an event."""

    position: int  # in the request, from 0
    event: Event  # with the row's recorded_at; a server on its own clock replaces it
    raw: dict[str, Any]
    notes: tuple[str, ...]  # what was mended


def read_rows(
    rows: Sequence[dict[str, Any]], forbidding: Forbidding, now_us: int, simulated: bool
) -> tuple[list[ReadRow], list[RejectedRow]]:
    """The usable rows, and the others with their reason.

    Args:
        rows: as they came.
        forbidding: which events there are, and which of them may forbid mail.
        now_us: the server's time, which no event may be far ahead of on its own clock.
        simulated: whether requests say what time it is.
    """
    good: list[ReadRow] = []
    refused: list[RejectedRow] = []
    for position, row in enumerate(rows):
        try:
            event, notes = _read(row, forbidding, now_us, simulated)
        except RequestError as error:
            refused.append(RejectedRow(position, str(error), may_forbid(row, forbidding)))
        else:
            good.append(ReadRow(position, event, row, notes))
    return good, refused


def may_forbid(row: dict[str, Any], forbidding: Forbidding) -> bool:
    """False only where a row clearly does not forbid mail."""
    kind, reply = _words(row, forbidding.words)
    if kind is None or (reply is None and row.get("reply_class") is not None):
        return True
    return forbidding.may(kind, reply) or bool(_misplaced(row))


def raw_text(row: dict[str, Any]) -> str:
    """A row as JSON; a field that is nested too deeply is only named."""
    kept: dict[str, Any] = {}
    for name, value in row.items():
        try:
            require_flat(value, name)
            kept[name] = value
        except RequestError as error:
            kept[name] = str(error)
    return msgspec.json.encode(kept, order="deterministic").decode()


def readable_contact(row: dict[str, Any]) -> str | None:
    """The contact a row names, as it would be stored."""
    contact = row.get("contact_id")
    return contact_key(contact)[:200] if isinstance(contact, str) else None


def _read(
    row: dict[str, Any], forbidding: Forbidding, now_us: int, simulated: bool
) -> tuple[Event, tuple[str, ...]]:
    try:
        event = _strict(row, forbidding.words)
        if not simulated:
            _require_past(event, now_us)
        _require_said(row, event.type, event.reply_class)
        return _event_of(event), ()
    except RequestError:
        kind, reply = _words(row, forbidding.words)
        if not forbidding.may(kind, reply):
            raise
        notes: list[str] = []
        _require_plain(row, (kind, reply), forbidding.words)
        mended = _mended(row, (kind or "reply", reply), now_us, notes)
        event = _strict(mended, forbidding.words)
        if not simulated and microseconds(event.occurred_at, "$.occurred_at") > now_us:
            notes.append(f"occurred_at lies after the server's {iso(now_us)}: counted from now on")
        return _event_of(event), tuple(notes)


def _strict(row: dict[str, Any], words: Vocabulary) -> EventIn:
    for name, value in row.items():
        require_flat(value, f"$.{name}")
    try:
        event = msgspec.convert(row, EventIn, strict=True)
    except msgspec.ValidationError as error:
        raise RequestError(str(error)) from error
    require_id(event.event_id, "$.event_id")
    require_id(event.contact_id, "$.contact_id", contact=True)
    for name, word, known in (
        ("type", event.type, words.event_types),
        ("reply_class", event.reply_class, words.reply_classes),
    ):
        if word is not None and word not in known:
            near = get_close_matches(word, sorted(known), cutoff=0.0)[0]
            raise RequestError(
                f"unknown {name} {word!r}, nearest known is {near!r} - at `$.{name}`"
            )
    for name, moment in (("occurred_at", event.occurred_at), ("recorded_at", event.recorded_at)):
        if moment is not None:
            microseconds(moment, f"$.{name}")
    if event.recorded_at is not None and event.recorded_at < event.occurred_at:
        raise RequestError("recorded before it occurred - at `$.recorded_at`")
    return event


def _require_past(event: EventIn, now_us: int) -> None:
    if microseconds(event.occurred_at, "$.occurred_at") > now_us + _SKEW_US:
        raise RequestError(
            f"expected an event that has happened, got {event.occurred_at.isoformat()}, after the "
            f"server's {iso(now_us)} - at `$.occurred_at`"
        )


def _event_of(event: EventIn) -> Event:
    return Event(
        event_id=event.event_id,
        contact_id=event.contact_id,
        occurred_us=microseconds(event.occurred_at, "$.occurred_at"),
        recorded_us=microseconds(event.recorded_at or event.occurred_at, "$.recorded_at"),
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
        properties=msgspec.json.encode(event.properties, order="deterministic").decode(),
    )


def _words(row: dict[str, Any], words: Vocabulary) -> tuple[str | None, str | None]:
    """Type and reply class in words of the journey or our own, as far as they can be told."""
    return (
        _word(row.get("type"), words.event_types, OTHER_TYPES),
        _word(row.get("reply_class"), words.reply_classes, OTHER_REPLIES),
    )


def _word(given: Any, known: frozenset[str], others: Mapping[str, str]) -> str | None:
    if not isinstance(given, str):
        return None
    if given in known:
        return given
    plain_word = plain(contact_key(given))
    ours = {plain(word): word for word in sorted(known)}
    return ours.get(plain_word) or ours.get(others.get(plain_word, ""))


def _misplaced(row: dict[str, Any]) -> list[str]:
    """Fields that nobody reads and that say no to mail: by a word, or as `"unsubscribed": true`."""
    extra = {name: row[name] for name in sorted(set(row) - _NAMES)}
    fields = [name for name, value in extra.items() if _says_no(name, value)]
    inside = row.get("properties")
    if isinstance(inside, dict) and any(_is_ticked(*one) for one in inside.items()):
        fields.append("properties")
    return fields


def _says_no(name: str, value: Any) -> bool:
    level = [(name, value)]  # a stack of our own: rows may be nested deeper than Python's
    while level:
        name, value = level.pop()
        if isinstance(value, dict):
            level.extend(value.items())
        elif isinstance(value, list):
            level.extend((name, inner) for inner in value)
        elif _is_no(name, value):
            return True
    return False


def _is_no(name: str, value: Any) -> bool:
    if isinstance(value, str) and _forbids(value):
        return True
    unticked = value in (False, 0) and plain(name) in _PERMISSIONS
    return unticked or _is_ticked(name, value)


def _is_ticked(name: str, value: Any) -> bool:
    return bool(value) and forbids(say_of(contact_key(name), None))


def _forbids(word: str) -> bool:
    said = contact_key(word)
    return forbids(say_of(said, None)) or forbids(say_of("", said))


def _require_plain(
    row: dict[str, Any], pair: tuple[str | None, str | None], words: Vocabulary
) -> None:
    """Refuse what may be a word against mail in a place where nobody reads it."""
    kind, reply = pair
    if reply is None and row.get("reply_class") is not None:
        raise RequestError(
            f"unknown reply_class {row['reply_class']!r}; known are "
            f"{', '.join(sorted(words.reply_classes))} - at `$.reply_class`"
        )
    extra = sorted(set(row) - _NAMES)
    if kind == "reply" and reply is None and extra:
        raise RequestError(
            f"unknown fields {', '.join(extra)[:200]} of a reply without a reply_class; give what "
            "was answered as reply_class, and the rest inside properties - at `$.reply_class`"
        )
    _require_said(row, kind, reply)


def _require_said(row: dict[str, Any], kind: str | None, reply: str | None) -> None:
    """Refuse a word against mail that type and reply class do not say."""
    if not forbids(say_of(kind or "", reply)) and (against := _misplaced(row)):
        name = against[0][:200]
        raise RequestError(
            f"field {name} says {str(row[against[0]])[:200]!r}, which type and reply_class do "
            f"not; say it there - at `$.{name}`"
        )


def _mended(
    row: dict[str, Any], words: tuple[str, str | None], now_us: int, notes: list[str]
) -> dict[str, Any]:
    """A row against mail with all that can be read of it, and a note for all that cannot."""
    kind, reply = words
    cells: dict[str, Any] = {"type": kind, "contact_id": row.get("contact_id")}
    if kind != row.get("type"):
        notes.append(f"type {row.get('type')!r} read as {kind!r}")
    if reply is not None:
        cells["reply_class"] = reply
        if reply != row["reply_class"]:
            notes.append(f"reply_class {row['reply_class']!r} read as {reply!r}")
    if isinstance(cells["contact_id"], int) and not isinstance(cells["contact_id"], bool):
        cells["contact_id"] = str(cells["contact_id"])
        notes.append("contact_id is a number: read as its digits")
    cells["event_id"] = _name_of(row, notes)
    cells["occurred_at"] = occurred = _moment_of(row, now_us, notes)
    recorded = _converted(row.get("recorded_at"), Moment)
    if recorded is not None and recorded >= occurred:
        cells["recorded_at"] = recorded
    elif row.get("recorded_at") is not None:
        notes.append("recorded_at cannot be read, or lies before occurred_at: left out")
    for field in _FIELDS:
        if field.name in row and field.name not in _READ_APART:
            if _is_readable(row[field.name], field):
                cells[field.name] = row[field.name]
            else:
                notes.append(f"{field.name} cannot be read: left out")
    if extra := sorted(set(row) - _NAMES):
        notes.append(f"unknown fields left out: {', '.join(extra)[:200]}")
    return cells


def _name_of(row: dict[str, Any], notes: list[str]) -> str:
    name = row.get("event_id")
    try:
        if isinstance(name, str):
            require_id(name, "$.event_id")
            return name
    except RequestError:
        pass
    digest = hashlib.blake2b(raw_text(row).encode(), digest_size=16).hexdigest()
    notes.append("event_id missing or unusable: named by its content")
    return f"unnamed:{digest}"


def _moment_of(row: dict[str, Any], now_us: int, notes: list[str]) -> datetime:
    moment = _converted(row.get("occurred_at"), datetime)
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            notes.append("occurred_at has no offset: read as UTC")
            moment = moment.replace(tzinfo=UTC)
        try:
            microseconds(moment, "$.occurred_at")
        except RequestError:
            moment = None
    if not isinstance(moment, datetime):
        notes.append("occurred_at missing or unreadable: counted as happening now")
        return now
    return moment


def _converted(value: Any, kind: Any) -> Any:
    try:
        return None if value is None else msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return None


def _is_readable(value: Any, field: msgspec.structs.FieldInfo) -> bool:
    try:
        require_flat(value, field.name)
        msgspec.convert(value, field.type, strict=True)
    except (RequestError, msgspec.ValidationError):
        return False
    return True
