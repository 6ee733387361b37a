"""Which events are new: an id stands for one event, and an opt-out is never taken for a repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Event, Withdrawal


@dataclass(frozen=True, slots=True)
class Settled:
    """Events against what is stored; positions count in what was given."""

    fresh: tuple[Event, ...]  # to store
    renamed: tuple[int, ...]  # may forbid mail under an id that is taken: stored under another
    conflicting: tuple[int, ...]  # other content under an id that is taken: not stored


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of events; positions count in what was given."""

    stored: int
    repeated: int
    settled: Settled
    withdrawn: Sequence[Withdrawal]  # planned sends that the events took back


def settle(events: Sequence[Event], stored: Mapping[str, Event], forbidding: Forbidding) -> Settled:
    """Tell new events from repeated ones and from ids used again for something else.

    Args:
        events: in the order in which they came.
        stored: those of the same ids that are there already.
        forbidding: which events must not get lost.
    """
    seen = dict(stored)
    fresh: list[Event] = []
    renamed: list[int] = []
    conflicting: list[int] = []
    for position, event in enumerate(events):
        before = seen.get(event.event_id)
        if before is None:
            seen[event.event_id] = event
            fresh.append(event)
        elif _content(before) == _content(event):
            continue
        elif forbidding.may(event.type, event.reply_class):
            fresh.append(replace(event, event_id=f"{event.event_id}#{_digest(event)}"))
            renamed.append(position)
        else:
            conflicting.append(position)
    return Settled(tuple(fresh), tuple(renamed), tuple(conflicting))


def _content(event: Event) -> tuple[str, ...]:
    """What tells events apart. For one that forbids mail, the time is part of it."""
    word = forbids(say_of(event.type, event.reply_class))
    at = str(event.occurred_us) if word else ""
    return contact_key(event.contact_id), event.type, event.reply_class or "", at


def _digest(event: Event) -> str:
    return hashlib.blake2b("\0".join(_content(event)).encode(), digest_size=8).hexdigest()
