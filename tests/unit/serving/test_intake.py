"""Rows of events: read strictly, and what may forbid mail as far as it can be read."""

from __future__ import annotations

from typing import Any

import pytest

from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.http.intake import (
    ReadRow,
    may_forbid,
    raw_text,
    read_rows,
    readable_contact,
)
from nurture_rl.serving.http.wire import RequestError, iso, require_flat, require_id
from nurture_rl.serving.records import Event
from tests.unit.serving.contacts import MIDNIGHT

SECOND = 1_000_000
ROW = {"event_id": "e", "contact_id": "ada", "type": "click", "occurred_at": iso(MIDNIGHT)}
OUT = {**ROW, "type": "unsubscribe"}


def read(row: dict[str, Any], simulated: bool = False) -> tuple[ReadRow | None, str]:
    """The one row that was read, or why it was not."""
    good, refused = read_rows([row], Forbidding(), MIDNIGHT, simulated)
    assert len(good) + len(refused) == 1
    return (good[0], "") if good else (None, refused[0].reason)


def event(row: dict[str, Any], simulated: bool = False) -> Event:
    """The event of a row that can be read."""
    found, reason = read(row, simulated)
    assert found is not None, reason
    return found.event


def notes(row: dict[str, Any]) -> tuple[str, ...]:
    """What was mended."""
    found, reason = read(row)
    assert found is not None, reason
    return found.notes


def test_a_whole_row_is_read_as_it_is() -> None:
    cells: dict[str, Any] = {
        "source": "web",
        "message_id": "m",
        "decision_id": "d",
        "topic": "t",
        "stage": "s",
    }
    cells |= {
        "page_category": "p",
        "value": 2,
        "is_machine": True,
        "properties": {"b": 1, "a": [2]},
    }
    later = iso(MIDNIGHT + SECOND)
    found = event({**ROW, **cells, "recorded_at": later})
    assert found == Event(
        *("e", "ada", MIDNIGHT, MIDNIGHT + SECOND, "click", "web", "m", "d", "t", "p"),
        *(None, "s", 2.0, True, '{"a":[2],"b":1}'),
    )
    assert notes(ROW) == notes(OUT) == ()


@pytest.mark.parametrize(
    ("cells", "path"),
    [
        ({"type": "clicks"}, "nearest known is 'click' - at `$.type`"),
        ({"reply_class": "angry"}, "$.reply_class"),
        ({"recorded_at": iso(MIDNIGHT - 1)}, "recorded before it occurred"),
        ({"occurred_at": "1969-12-31T00:00:00Z"}, "1970 to 2200"),
        ({"occurred_at": iso(MIDNIGHT + 301 * SECOND)}, "has happened"),
        ({"value": "9"}, "$.value"),
        ({"colour": "red"}, "colour"),
        ({"contact_id": 7}, "$.contact_id"),
        ({"contact_id": "\u200b"}, "$.contact_id"),
        ({"event_id": "a\x1f"}, "$.event_id"),
        ({"event_id": "a\x7f"}, "$.event_id"),
    ],
)
def test_a_row_that_says_nothing_against_mail_is_refused_with_its_path(
    cells: dict[str, Any], path: str
) -> None:
    found, reason = read({**ROW, **cells})
    assert found is None
    assert path in reason


def test_clocks_may_differ_by_five_minutes_and_on_a_simulated_clock_by_any() -> None:
    ahead = {**ROW, "occurred_at": iso(MIDNIGHT + 300 * SECOND)}
    assert event(ahead).occurred_us == MIDNIGHT + 300 * SECOND
    far = {**ROW, "occurred_at": iso(MIDNIGHT + 900 * SECOND)}
    assert event(far, simulated=True).occurred_us == MIDNIGHT + 900 * SECOND


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        ({"type": "Unsubscribed"}, "type 'Unsubscribed' read as 'unsubscribe'"),
        ({"contact_id": 7}, "contact_id is a number"),
        ({"event_id": None}, "event_id missing or unusable"),
        ({"event_id": "\0"}, "event_id missing or unusable"),
        ({"occurred_at": "2027-03-01T00:00:00"}, "occurred_at has no offset: read as UTC"),
        ({"occurred_at": 7}, "counted as happening now"),
        ({"occurred_at": None}, "counted as happening now"),
        ({"occurred_at": "1603-03-01T00:00:00"}, "counted as happening now"),
        ({"occurred_at": iso(MIDNIGHT + 301 * SECOND)}, "counted from now on"),
        ({"recorded_at": iso(MIDNIGHT - 1)}, "recorded_at cannot be read"),
        ({"value": "x"}, "value cannot be read: left out"),
        ({"properties": {"a": "x" * 20_000}}, "properties cannot be read: left out"),
        ({"z": 1, "y": [[]]}, "unknown fields left out: y, z"),
    ],
)
def test_an_opt_out_is_read_as_far_as_it_can_be(cells: dict[str, Any], note: str) -> None:
    row = {**OUT, **cells}
    (only, *_) = notes(row)
    assert note in only or note in notes(row)[-1]
    found = event(row)
    assert found.type == "unsubscribe"
    assert found.contact_id == str(row["contact_id"])
    assert found.recorded_us >= found.occurred_us
    assert found.properties == "{}"
    assert found.value is None


def test_what_cannot_be_read_costs_an_opt_out_nothing_else() -> None:
    row = {**OUT, "topic": "t", "source": 7, "recorded_at": iso(MIDNIGHT + SECOND), "value": 3}
    found = event(row, simulated=True)
    assert (found.topic, found.source, found.value) == ("t", "unknown", 3.0)
    assert (found.occurred_us, found.recorded_us) == (MIDNIGHT, MIDNIGHT + SECOND)
    plain = event({**OUT, "occurred_at": "2027-02-28T23:00:00", "reply_class": "negative"})
    assert (plain.occurred_us, plain.reply_class) == (MIDNIGHT, "negative")
    assert event({**OUT, "occurred_at": "never"}).occurred_us == MIDNIGHT


def test_an_opt_out_without_an_id_is_named_by_its_content() -> None:
    nameless = {name: value for name, value in OUT.items() if name != "event_id"}
    first, again = event(nameless), event(dict(nameless))
    other = event({**nameless, "contact_id": "bob"})
    assert first.event_id == again.event_id != other.event_id
    assert first.event_id.startswith("unnamed:")


@pytest.mark.parametrize(
    ("cells", "kind", "reply"),
    [
        ({"type": "OPT-OUT"}, "unsubscribe", None),
        ({"type": "spam complaint"}, "complaint", None),
        ({"type": "permanent_bounce"}, "hard_bounce", None),
        ({"type": "consent_revoked"}, "consent_withdrawn", None),
        ({"type": "Snooze"}, "snoozed", None),
        ({"type": "replied", "reply_class": "Stop"}, "reply", "unsubscribe_request"),
        ({"type": "answer", "reply_class": "not interested"}, "reply", "negative"),
        ({"type": "click", "reply_class": "Negative"}, "click", "negative"),
    ],
)
def test_other_systems_words_for_no_are_understood(
    cells: dict[str, Any], kind: str, reply: str | None
) -> None:
    found = event({**ROW, **cells})
    assert (found.type, found.reply_class) == (kind, reply)
    told = [note.partition(" ")[0] for note in notes({**ROW, **cells})]
    wanted = {"type": kind, "reply_class": reply}
    assert told == [name for name in cells if cells[name] != wanted[name]]


@pytest.mark.parametrize(
    ("cells", "may"),
    [
        ({}, False),
        ({"type": "page_view", "reply_class": "positive"}, False),
        ({"type": "unsubscribe"}, True),
        ({"type": "reply"}, True),
        ({"type": "sent"}, True),
        ({"type": "bounce"}, True),
        ({"type": 7}, True),
        ({"reply_class": "negative"}, True),
        ({"reply_class": "go away"}, True),
    ],
)
def test_a_refused_row_may_forbid_mail_unless_it_plainly_does_not(
    cells: dict[str, Any], may: bool
) -> None:
    assert may_forbid({**ROW, **cells}, Forbidding()) is may
    _, (refused,) = read_rows([{**ROW, **cells, "contact_id": ""}], Forbidding(), MIDNIGHT, False)
    assert (refused.row, refused.may_forbid_mail) == (0, may)


def test_raw_rows_are_kept_whole_but_for_what_lies_too_deep() -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    assert raw_text({"b": [1], "a": "ü"}) == '{"a":"ü","b":[1]}'
    assert "16 lists or objects" in raw_text({"a": deep})
    assert readable_contact({"contact_id": " ADA"}) == "ada"
    assert readable_contact({"contact_id": 7}) is None
    assert readable_contact({"contact_id": "x" * 300}) == "x" * 200


def test_depth_size_and_ids_have_limits() -> None:
    deep: Any = {}
    for _ in range(15):
        deep = {"a": deep}
    require_flat(deep, "$")
    with pytest.raises(RequestError, match="16 lists or objects"):
        require_flat([{"a": deep}], "$")
    require_flat(["x" * 16_380], "$")
    with pytest.raises(RequestError, match="16384 bytes"):
        require_flat(["x" * 16_381], "$")
    require_flat("x" * 20_000, "$")  # texts have limits of their own
    require_id(" " * 200, "$")
    for name, contact in ((" ", True), ("", False), ("x" * 201, False), ("\x1f", False)):
        with pytest.raises(RequestError, match=r"at `\$`"):
            require_id(name, "$", contact)


@pytest.mark.parametrize(
    ("cells", "path"),
    [
        ({"type": "reply", "replyClass": "unsubscribe_request"}, "fields replyClass of a reply"),
        ({"type": "reply", "text": "Please stop"}, "fields text of a reply"),
        ({"type": "sent", "event": "Spam report"}, "field event says 'Spam report'"),
        ({"type": "click", "event": "unsubscribe"}, "unknown field `event`"),
        ({"type": "click", "answer": "Not interested"}, "unknown field `answer`"),
        ({"type": "click", "unsubscribed": True}, "unknown field `unsubscribed`"),
        ({"type": "click", "Opt-out": 1}, "unknown field `Opt-out`"),
        ({"type": "click", "consent": False}, "unknown field `consent`"),
        ({"type": "click", "tags": ["a", "unsubscribe"]}, "unknown field `tags`"),
        ({"type": "click", "event": {"type": "unsubscribe"}}, "unknown field `event`"),
        ({"type": "sent", "event": {"opt_out": True}}, "field event says"),
        ({"type": "form_submitted", "properties": {"unsubscribed": True}}, "properties says"),
    ],
)
def test_a_word_in_a_field_that_nobody_reads_is_refused_out_loud(
    cells: dict[str, Any], path: str
) -> None:
    good, (refused,) = read_rows([{**ROW, **cells}], Forbidding(), MIDNIGHT, False)
    assert not good
    assert path in refused.reason
    assert refused.may_forbid_mail


@pytest.mark.parametrize(
    "cells",
    [
        {"unsubscribed": False},
        {"consent": True},
        {"campaign": {"name": "spring", "tags": [1, None]}},
    ],
)
def test_an_unknown_field_that_says_nothing_against_mail_costs_its_row_alone(
    cells: dict[str, Any],
) -> None:
    _, (refused,) = read_rows([{**ROW, **cells}], Forbidding(), MIDNIGHT, False)
    assert not refused.may_forbid_mail
    row = {**ROW, "properties": {"unsubscribed": False, "consent": False, "label": "spam"}}
    assert event(row).type == "click"


def test_a_word_against_mail_is_found_at_any_depth() -> None:
    deep: Any = ["unsubscribe"]
    for _ in range(3_000):
        deep = [deep]
    _, (refused,) = read_rows([{**ROW, "event": deep}], Forbidding(), MIDNIGHT, False)
    assert refused.may_forbid_mail


def test_a_reply_whose_class_is_read_may_carry_more() -> None:
    row = {**ROW, "type": "reply", "reply_class": "negative", "answer": "Not interested"}
    assert notes(row) == ("unknown fields left out: answer",)
