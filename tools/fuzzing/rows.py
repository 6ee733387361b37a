"""Rows that a hostile or careless client sends: every signal, time, spelling and fault."""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tools.fuzzing.promise import Meaning

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_WIDE = {ord("0") + digit: ord("０") + digit for digit in range(10)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", None)
_STOPS: tuple[dict[str, Any], ...] = (
    {"type": "unsubscribe"},
    {"type": "unsubscribe", "is_machine": True},
    {"type": "unsubscribed"},
    {"type": "complaint"},
    {"type": "consent_withdrawn"},
    {"type": "reply", "reply_class": "unsubscribe_request"},
    {"type": "reply", "reply_class": "negative"},
)
# What cannot be told from a word against mail, and must be refused out loud.
_UNREADABLE: tuple[dict[str, Any], ...] = (
    {"type": "reply", "replyClass": "unsubscribe_request"},
    {"type": "reply", "reply_class": "leave me alone"},
    {"type": "click", "event": "unsubscribe"},
    {"type": "gone away"},
)
_CONSENTS: tuple[dict[str, Any], ...] = ({"type": "consent_given"}, {"type": "resubscribe"})
_NOISE: tuple[dict[str, Any], ...] = (
    {"type": "click", "topic": "pricing"},
    {"type": "open", "is_machine": True},
    {"type": "page_view", "page_category": "pricing"},
    {"type": "delivered"},
    {"type": "soft_bounce"},
    {"type": "reply", "reply_class": "positive"},
    {"type": "reply", "reply_class": "out_of_office"},
)
_AHEAD_US = (0, 60_000_000, 240_000_000, 360_000_000, HOUR_US, 40 * DAY_US, 5_000 * DAY_US)
_BEHIND_US = (0, 0, 1, 30_000_000, HOUR_US, 26 * HOUR_US, 9 * DAY_US, 90 * DAY_US, 9_000 * DAY_US)


@dataclass(slots=True)
class Person:
    """Somebody, whatever their id is written like."""

    index: int
    zone: str | None
    asked: list[str] = field(default_factory=list)  # request ids used for them

    @property
    def name(self) -> str:
        """The id as the sender of mail writes it."""
        return f"Café-Müller/{self.index}"

    def spelled(self, rng: random.Random) -> str:
        """The id as one of many systems writes it."""
        form = rng.randrange(12)
        if form == 0:
            return f" {self.name}  "
        if form == 1:
            return self.name.upper()
        if form == 2:
            return unicodedata.normalize("NFD", self.name)
        if form == 3:
            return unicodedata.normalize("NFD", self.name.lower()) + "\u00a0"
        if form == 4:
            return self.name.translate(_WIDE)
        if form == 5:
            return self.name.replace("/", "/\u200b")
        if form == 6 and rng.random() < 0.05:
            return self.name + "\t"
        return self.name


def new_person(index: int, rng: random.Random) -> Person:
    """Somebody in one of some zones, or in none."""
    return Person(index, rng.choice(_ZONES))


def written(us: int, rng: random.Random) -> str:
    """A moment as ISO-8601, in some offset."""
    moment = _EPOCH + timedelta(microseconds=us)
    if rng.random() < 0.3:
        moment = moment.astimezone(rng.choice([_offset(-300), _offset(120), _offset(330)]))
    return moment.isoformat().replace("+00:00", "Z")


def _offset(minutes: int) -> timezone:
    return timezone(timedelta(minutes=minutes))


def contact_row(person: Person, consent: bool, rng: random.Random) -> dict[str, Any]:
    """A contact to put."""
    row: dict[str, Any] = {"contact_id": person.spelled(rng)}
    if consent:
        row["consent"] = True
    elif rng.random() < 0.5:
        row["consent"] = False
    if person.zone is not None:
        row["time_zone"] = person.zone
    if rng.random() < 0.5:
        row["attributes"] = {"company_size": rng.randrange(200), "industry": "software"}
    return row


def event_row(
    person: Person, number: int, now_us: int, rng: random.Random
) -> tuple[dict[str, Any], Meaning]:
    """A row of events about a person, and what it says about mail if it is taken."""
    row, meaning = _signal(rng)
    ahead = rng.random() < 0.25
    shift_us = rng.choice(_AHEAD_US) if ahead else -rng.choice(_BEHIND_US)
    row |= {
        "event_id": f"e-{number}",
        "contact_id": person.spelled(rng),
        "occurred_at": written(max(1, now_us + shift_us), rng),
    }
    if rng.random() < 0.15:
        row["recorded_at"] = written(max(1, now_us + max(0, shift_us)), rng)
    if rng.random() < 0.25:
        _spoil(row, rng)
    return row, meaning


def _signal(rng: random.Random) -> tuple[dict[str, Any], Meaning]:
    draw = rng.random()
    if draw < 0.16:
        return dict(rng.choice(_STOPS if draw > 0.015 else _UNREADABLE)), Meaning.STOP
    if draw < 0.18:
        return {"type": "hard_bounce"}, Meaning.BOUNCE
    if draw < 0.21:
        days = rng.choice([None, 1.0, 3, 20.5])
        value = {} if days is None else {"value": days}
        return {"type": "snoozed", **value}, Meaning.SNOOZE
    if draw < 0.36:
        return dict(rng.choice(_CONSENTS)), Meaning.CONSENT
    return dict(rng.choice(_NOISE)), Meaning.NOTHING


def _spoil(row: dict[str, Any], rng: random.Random) -> None:
    """Do to a row what clients do."""
    fault = rng.randrange(9)
    if fault == 0:
        row["occurred_at"] = str(row["occurred_at"])[:19]  # no offset
    elif fault == 1:
        row["occurred_at"] = rng.choice(["yesterday", "", 1_803_000_000, None])
    elif fault == 2:
        row["campaign"] = {"name": "spring", "tags": [1, 2]}
    elif fault == 3:
        row["value"] = "9"
    elif fault == 4:
        del row["occurred_at"]
    elif fault == 5:
        row["topic"] = "x" * 600
    elif fault == 6:
        row["properties"] = {"deep": [[[[["x"]]]]], "text": "ü\n"}
    elif fault == 7:
        row["is_machine"] = "no"
    else:
        row["message_id"] = 7


def broken_row(rng: random.Random) -> dict[str, Any]:
    """A neighbour that nobody can use and that says nothing against mail."""
    return rng.choice(
        [
            {"type": "click"},
            {"event_id": "", "contact_id": "x", "type": "open", "occurred_at": "2027-03-01"},
            {"event_id": "n", "contact_id": 7, "type": "click", "occurred_at": "2027-03-01T00:00Z"},
        ]
    )
