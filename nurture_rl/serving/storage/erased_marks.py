"""What stays of an erased contact: a salted hash, and a stop for whoever comes back by the id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Event

SALT = "erasure_salt"  # its name in `meta`
SAY_LATER = "UPDATE erased_contacts SET at_us = ? WHERE mark = ?"

Marks = Mapping[str, tuple[str, int]]  # a contact's key -> its mark, and when it was made


def mark_of(salt: str, key: str) -> str:
    """The mark of a contact.

    Args:
        salt: the store's, hexadecimal.
        key: by `contact_key`.
    """
    return hashlib.sha256(bytes.fromhex(salt) + key.encode()).hexdigest()


def stop_of(key: str, mark: str, erased_us: int) -> Event:
    """The stop that a contact who was erased begins with: only consent given later lifts it."""
    return Event(
        event_id=f"erased.{mark[:32]}.{erased_us}",
        contact_id=key,
        occurred_us=erased_us,
        recorded_us=erased_us,
        type="unsubscribe",
        source="erasure",
    )


def marks_after(marks: Marks, events: Sequence[Event]) -> dict[str, tuple[str, int]]:
    """The marks of contacts who said a word against mail since, moved to the latest such word.

    Args:
        marks: of contacts who were erased and are not back.
        events: told of now.
    """
    found: dict[str, tuple[str, int]] = {}
    for event in events:
        key = contact_key(event.contact_id)
        if key in marks and forbids(say_of(event.type, event.reply_class)):
            mark, at_us = found.get(key, marks[key])
            found[key] = (mark, max(at_us, min(event.occurred_us, event.recorded_us)))
    return found
