"""What the server promises about mail, kept beside it and written from its description alone.

After an acknowledged signal that forbids mail, no answer says send until consent returns:

- an unsubscribe, a complaint, a withdrawn consent, a reply that asks for it or says no: until
  consent is acknowledged later and was given later; a hard bounce: for good;
- a snooze: for its days, counted from its acknowledgement at least, or until consent returns;
- a contact put without consent: until it is put with consent, or says so.

An answer that refuses a row acknowledges nothing. The very same row once more changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

DAY_US = 86_400_000_000
SNOOZE_DAYS = 30


class Meaning(StrEnum):
    """What a row of events says about mail."""

    STOP = "stop"
    BOUNCE = "bounce"
    SNOOZE = "snooze"
    CONSENT = "consent"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Word:
    """A signal that forbids mail, as it was acknowledged."""

    meaning: str  # a Meaning, or "put" for a contact without consent
    acknowledged_us: int
    said_us: int | None  # None: the row did not say so readably
    until_us: int | None = None  # of a snooze

    def forbids(self, now_us: int) -> bool:
        """Whether it still counts at a moment."""
        return self.until_us is None or now_us < self.until_us

    def outlives(self, given_us: int | None) -> bool:
        """Whether it stands after consent that was acknowledged later."""
        if self.meaning == Meaning.BOUNCE:
            return True
        if self.meaning == "put" or self.said_us is None or given_us is None:
            return False  # not plain which was said first: nothing is promised
        return given_us <= min(self.said_us, self.acknowledged_us)


@dataclass(slots=True)
class Promise:
    """Who must get no mail."""

    words: dict[int, list[Word]] = field(default_factory=dict)  # by person
    seen: set[tuple[str, str]] = field(default_factory=set)  # id and content of acknowledged rows

    def acknowledged(self, person: int, row: dict[str, Any], meaning: Meaning, now_us: int) -> None:
        """A row of events was acknowledged at a moment."""
        if meaning is Meaning.NOTHING:
            return
        content = (str(row.get("event_id")), json.dumps(row, sort_keys=True))
        if content in self.seen:
            return
        self.seen.add(content)
        said_us = said(row)
        standing = self.words.setdefault(person, [])
        if meaning is Meaning.CONSENT:
            self.words[person] = [word for word in standing if word.outlives(said_us)]
            return
        until_us = None
        if meaning is Meaning.SNOOZE:
            until_us = now_us + int(_days(row.get("value", SNOOZE_DAYS)) * DAY_US)
        standing.append(Word(str(meaning), now_us, said_us, until_us))

    def put(self, person: int, consent: bool, now_us: int) -> None:
        """A contact was put at a moment."""
        others = [word for word in self.words.get(person, []) if word.meaning != "put"]
        self.words[person] = others if consent else [*others, Word("put", now_us, None)]

    def forbids(self, person: int, now_us: int) -> Word | None:
        """A word that forbids mail to this person now, or None."""
        for word in self.words.get(person, ()):
            if word.forbids(now_us):
                return word
        return None


def _days(value: Any) -> float:
    """How long a snooze lasts at least; one that is not a number could mean anything."""
    return float(value) if isinstance(value, int | float) else 1.0


def said(row: dict[str, Any]) -> int | None:
    """When a row says that it happened, where it is written as the description asks."""
    try:
        moment = datetime.fromisoformat(row["occurred_at"])
    except (KeyError, TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        return None
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
