"""A first mapping of a file that was looked at: what is clear is written, the rest is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nurture_rl.logs.mapped.draft_text import mapping_text
from nurture_rl.logs.mapped.draft_times import as_times, how_times_stand
from nurture_rl.logs.mapped.looking import ColumnLook, FileLook
from nurture_rl.logs.mapped.mapping_file import plain_cell
from nurture_rl.logs.mapped.translating import NO, YES
from nurture_rl.logs.mapped.words import (
    BECAME,
    COMMON_STAGES,
    HAPPENED,
    KEY_KINDS,
    PERSONAL,
    REACHED,
    ROLES,
    STAGE_WORDS,
    UNCLEAR,
    event_of,
    header,
)

_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
_LOOKS_TIMED = re.compile(r"(^|_)(at|am|on|date|time|datum|zeit|zeitpunkt|timestamp|when)($|_)")
_MOST_ALONE = 0.9  # share of rows with a contact of their own below which rows are no contacts
_MOST_WORDS = 50  # of a column whose words are mapped one by one
_TRUTHS = YES | NO | {"ja", "nein"}
_OF_CONTACT = ("account_id", "time_zone", "consent")
_OF_EVENT = ("recorded_at", "message_id", "topic", "page_category", "value", "is_machine")


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """What somebody said beforehand of what a file may not tell."""

    zone: str | None = None  # of times that name none
    times: str | None = None  # how times are written
    decimal: str | None = None
    stages: Mapping[str, str] = field(default_factory=dict)  # word of the file → stage


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping as text, and what is still to be said."""

    text: str
    questions: tuple[str, ...]
    says: tuple[str, ...]  # for a person: what a row of the file was taken for
    left: tuple[str, ...]  # columns that nothing takes


@dataclass(slots=True)
class _Sheet:
    """What is gathered while a file is sorted out."""

    look: FileLook
    answers: GivenAnswers
    events: Sequence[str]  # known event types
    stages: Sequence[str]  # of the journey
    roles: dict[str, ColumnLook]
    questions: list[str]
    used: set[str] = field(default_factory=set)
    moments: list[ColumnLook] = field(default_factory=list)  # columns that are read as times

    def take(self, role: str) -> ColumnLook | None:
        """The column that has a role, which is used then."""
        column = self.roles.get(role)
        if column is not None:
            self.used.add(column.name)
        return column


def draft(
    look: FileLook,
    events: Sequence[str],
    stages: Sequence[str],
    answers: GivenAnswers | None = None,
) -> Draft:
    """Draft the mapping of a file.

    Args:
        look: what the file looks like.
        events: event types that the log knows.
        stages: stages of the journey.
        answers: what is known beforehand.
    """
    answers = answers or GivenAnswers()
    sheet = _Sheet(look, answers, events, stages, _roles(look), list(look.questions))
    who = _who(sheet)
    templates, says = _events(sheet, who)
    contacts = _contacts(sheet, who, bool(templates))
    says += ["contacts: each row says something of one contact"] if contacts else []
    if not templates and _tells_events(sheet, who):
        sheet.questions.append(
            "occurred_at: rows tell of the same contacts again and again, and no column is known "
            "to say when. If each is an event, write under tables which column does"
            + "".join(f"; {told}" for told in map(as_times, look.columns) if told)
        )
    if not templates and not contacts:
        sheet.questions.append(
            "tables: nothing in the file says what a row is. Write under tables what its columns "
            "say, as docs/starting-from-files.md shows"
        )
    head = _head(sheet)
    left = [column.name for column in look.columns if column.name not in sheet.used]
    tables = {"events": templates, "contacts": contacts}
    text = mapping_text(head, tables, sheet.questions, left, look.rows)
    return Draft(text, tuple(sheet.questions), tuple(says), tuple(left))


def _tells_events(sheet: _Sheet, who: Mapping[str, str]) -> bool:
    """Whether rows seem to be events though none has a time."""
    named = [column for column in sheet.look.columns if column.name in who.values()]
    return any(column.distinct < _MOST_ALONE * column.filled for column in named)


def _roles(look: FileLook) -> dict[str, ColumnLook]:
    """The first column of each role; an id beside an e-mail address may be the row's own."""
    found: dict[str, ColumnLook] = {}
    for column in look.columns:
        words = header(column.name)
        role = ROLES.get(words)
        if role == "contact_id" and _is_truth(column):
            role = None  # whether somebody is a customer, not which one
        if role == "contact_id" and _is_email(column):
            role = "email"
        elif _key_kind(column) == "anonymous":
            continue  # the first of them says who, where nothing else does
        if role is not None:
            found.setdefault(role, column)
        elif _is_email(column):
            found.setdefault("email", column)
    if not {"contact_id", "email"} & found.keys():
        anonymous = [one for one in look.columns if _key_kind(one) == "anonymous"]
        found |= dict(zip(["contact_id"], anonymous, strict=False))
    own = found.get("contact_id")
    if own is not None and header(own.name) in ("id", "record_id") and "email" in found:
        many = found["email"].distinct < look.rows and own.distinct == look.rows
        if many and "event_id" not in found:
            found["event_id"] = found.pop("contact_id")
    return found


def _key_kind(column: ColumnLook) -> str | None:
    """As which kind of key a column names people; None: as none that its name tells."""
    return None if _is_truth(column) else KEY_KINDS.get(header(column.name))


def _is_truth(column: ColumnLook) -> bool:
    """Whether a column says yes and no, such as whether somebody is a customer or has a cookie."""
    return bool(column.words) and {*map(plain_cell, column.words)} <= _TRUTHS


def _is_email(column: ColumnLook) -> bool:
    return bool(column.words) and all(_EMAIL.match(word) for word in column.words)


def _who(sheet: _Sheet) -> dict[str, str]:
    """The columns that say whom a row is about."""
    named = {"contact_id": sheet.take("contact_id"), "key:email": sheet.take("email")}
    who = {name: column.name for name, column in named.items() if column is not None}
    for column in sheet.look.columns:
        kind = _key_kind(column)
        if kind is not None and column.filled and column.name not in sheet.used:
            sheet.used.add(column.name)
            who.setdefault(f"key:{kind}", column.name)
    if not who:
        many = [
            f"{column.name!r} ({column.distinct} different)"
            for column in sheet.look.columns
            if header(column.name).endswith("id") and column.distinct > 1
        ]
        hint = f" It may be {' or '.join(many)}" if many else ""
        sheet.questions.append(
            "contact_id: which column says whom a row is about? Write it as contact_id in each "
            f"table.{hint}"
        )
    return who


def _events(sheet: _Sheet, who: Mapping[str, str]) -> tuple[list[dict[str, object]], list[str]]:
    """The rows of the events table that a row of the file stands for, and what they are called."""
    wide = list(_wide(sheet))
    moment = sheet.roles.get("occurred_at")
    if moment is None or not moment.times:
        moment = next((one for one in sheet.look.columns if _may_be_when(one, wide)), None)
        moment = moment or _only_times(sheet, wide)
    made: list[dict[str, object]] = []
    says: list[str] = []
    if moment is not None and not wide:
        sheet.used.add(moment.name)
        sheet.moments.append(moment)
        kind, told = _kind(sheet)
        made.append({**who, "occurred_at": moment.name, "type": kind, **_beside(sheet)})
        says.append(f"events: each row is {told}, at {moment.name!r}")
    for column, kind, stage in wide:
        sheet.used.add(column.name)
        sheet.moments.append(column)
        row: dict[str, object] = {**who, "occurred_at": column.name, "type": {"is": kind}}
        row |= {"stage": {"is": stage}} if stage else {}
        made.append({**row, "if_given": column.name})
        says.append(f"events: {column.name!r} is when {stage or kind} happened")
    if made and not wide:
        keep = [c.name for c in sheet.look.columns if c.name not in sheet.used and _harmless(c)]
        account = [name for role in _OF_CONTACT if (name := _name(sheet, role))]
        keep = [name for name in keep if name not in account]
        sheet.used |= set(keep)
        made[0] |= {"keep": keep} if keep else {}
    return made, says


def _wide(sheet: _Sheet) -> Iterator[tuple[ColumnLook, str, str | None]]:
    """Columns of moments that say by their names what happened: column, event type, stage."""
    for column in sheet.look.columns:
        words = header(column.name)
        became = BECAME.match(words) or REACHED.match(words)
        if not column.times:
            continue
        if words in HAPPENED:
            yield column, HAPPENED[words], None
        elif became is not None:
            stage = STAGE_WORDS.get(became["stage"], became["stage"])
            yield column, "stage_changed", stage


def _may_be_when(column: ColumnLook, wide: Sequence[tuple[ColumnLook, str, str | None]]) -> bool:
    return bool(column.times) and bool(_LOOKS_TIMED.search(header(column.name))) and not wide


def _only_times(
    sheet: _Sheet, wide: Sequence[tuple[ColumnLook, str, str | None]]
) -> ColumnLook | None:
    """The one column of times of a file whose rows say what happened, whatever it is called."""
    if wide or not {"type", "stage"} & sheet.roles.keys():
        return None
    timed = [column for column in sheet.look.columns if column.times]
    return timed[0] if len(timed) == 1 else None


def _kind(sheet: _Sheet) -> tuple[object, str]:
    """What the type of each event is, as the mapping writes it, and in words."""
    column, stage = sheet.take("type"), sheet.roles.get("stage")
    if column is not None:
        values = {word: _event_word(sheet, column, word) for word in column.words}
        if column.distinct > _MOST_WORDS:
            sheet.questions.append(
                f"type: {column.name!r} has {column.distinct} different words, of which the most "
                "frequent are below; add those that matter. Others are left out, and counted"
            )
        others = {"others": "leave_out"} if column.distinct > _MOST_WORDS else {}
        return {"column": column.name, "values": values, **others}, f"what {column.name!r} says"
    if stage is not None:
        return {"is": "stage_changed"}, f"a change of stage to what {stage.name!r} says"
    name = sheet.look.path.name.split(".")[0]
    for word in (name, *re.split(r"[_\W\d]+", name)):
        kind = event_of(word, sheet.events)
        if kind is not None:
            return {"is": kind}, f"one event {kind!r}, as the file's name says"
    sheet.questions.append("type: no column says what happened. Write it as type: {is: click}")
    return {"is": "activity"}, "something that nothing names"


def _event_word(sheet: _Sheet, column: ColumnLook, word: str) -> str:
    kind = event_of(word, sheet.events)
    if kind is not None:
        return kind
    what = UNCLEAR.get(header(word))
    told = f"is it {what}?" if what else "write an event type beside it, or nothing to leave it out"
    sheet.questions.append(f"type: {column.name!r} says {word!r}: {told}")
    return ""


def _beside(sheet: _Sheet) -> dict[str, object]:
    """What else a row says of its event."""
    found: dict[str, object] = {}
    own_id = sheet.roles.get("event_id")
    if own_id is not None and own_id.distinct == own_id.filled == sheet.look.rows:
        sheet.used.add(own_id.name)
        found["event_id"] = own_id.name
    for role in _OF_EVENT:
        column = sheet.roles.get(role)
        if column is not None and (role != "recorded_at" or column.times):
            sheet.used.add(column.name)
            sheet.moments += [column] if role == "recorded_at" else []
            found[role] = column.name
    stage = sheet.take("stage")
    if stage is not None:
        found["stage"] = {
            "column": stage.name,
            "values": {word: _stage_word(sheet, stage, word) for word in stage.words},
            "others": "refuse",
        }
    return found


def _stage_word(sheet: _Sheet, column: ColumnLook, word: str) -> str:
    said = {plain_cell(name): to for name, to in sheet.answers.stages.items()}
    if plain_cell(word) in said:
        return said[plain_cell(word)]
    plain = header(word)
    stage = STAGE_WORDS.get(plain, plain)
    if stage in sheet.stages or stage in COMMON_STAGES:
        return stage
    known = ", ".join(sheet.stages) or "none"
    sheet.questions.append(
        f"stage: {column.name!r} says {word!r}, the journey has {known}: which is it? A word of "
        "your own is kept, and no signal of the journey reads it"
    )
    return plain


def _contacts(sheet: _Sheet, who: Mapping[str, str], has_events: bool) -> list[dict[str, object]]:
    """What a row says of its contact; nothing where it says nothing but events."""
    said: dict[str, object] = {}
    for role in _OF_CONTACT:
        column = sheet.take(role)
        if column is not None:
            said[role] = _consent(sheet, column) if role == "consent" else column.name
    keep = [
        column.name
        for column in sheet.look.columns
        if column.name not in sheet.used and _harmless(column)
    ]
    wide = has_events and bool(list(_wide(sheet)))
    if has_events and not wide and not said:
        return []
    keep = [] if has_events and not wide else keep
    sheet.used |= set(keep)
    if not said and not keep and has_events:
        return []
    return [{**who, **said, **({"keep": keep} if keep else {})}]


def _consent(sheet: _Sheet, column: ColumnLook) -> object:
    yes, no = YES | {"ja"}, NO | {"nein"}
    values: dict[str, object] = {}
    for word in column.words:
        plain = plain_cell(word)
        values[word] = "yes" if plain in yes else "no" if plain in no else ""
        if not values[word]:
            sheet.questions.append(
                f"consent: {column.name!r} says {word!r}: may such a contact be mailed? Write yes "
                "or no beside it"
            )
    return {"column": column.name, "values": values}


def _harmless(column: ColumnLook) -> bool:
    words = header(column.name)
    names = (ROLES.get(words) == "contact_id" or words in KEY_KINDS) and not _is_truth(column)
    return not names and words not in PERSONAL and not _is_email(column)


def _name(sheet: _Sheet, role: str) -> str | None:
    column = sheet.roles.get(role)
    return None if column is None else column.name


def _head(sheet: _Sheet) -> dict[str, object]:
    """How the file is written."""
    look, answers = sheet.look, sheet.answers
    head: dict[str, object] = {"file": look.path.name}
    if not look.path.name.endswith(".parquet"):
        head["encoding"] = look.encoding
    if look.path.name.removesuffix(".gz").endswith((".csv", ".tsv", ".txt")):
        head["separator"] = look.separator
    if sheet.moments:
        head |= how_times_stand(sheet.moments, answers.times, answers.zone, sheet.questions)
    value = sheet.roles.get("value")
    if value is not None and value.name in sheet.used:
        head["decimal"] = _decimal(sheet, value)
    return head


def _decimal(sheet: _Sheet, value: ColumnLook) -> str:
    if sheet.answers.decimal is not None:
        return sheet.answers.decimal
    if len(value.decimals) > 1 and any(sign in word for word in value.words for sign in ".,"):
        example = next(word for word in value.words if "." in word or "," in word)
        sheet.questions.append(
            f"decimal: is {example!r} a thousand or a fraction? Write the sign before decimals"
        )
    return value.decimals[0] if value.decimals else "."
