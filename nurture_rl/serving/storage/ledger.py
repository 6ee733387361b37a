"""Which events are new: an id stands for one event, and an opt-out is never taken for a repeat."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.records import Event, Withdrawal
from nurture_rl.serving.senders.known_senders import NAMING_MAILS

_AHEAD = "ahead_of_clock_us"  # property: when an event that came too early says it happened


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


def settle(
    events: Sequence[Event],
    stored: Mapping[str, Event],
    forbidding: Forbidding,
    sent: Iterable[Event] = (),
) -> Settled:
    """Tell new events from repeated ones and from ids used again for something else.

    A mail is sent once: who reports it a second time, under whatever id, repeats the first.

    Args:
        events: in the order in which they came.
        stored: those of the same ids that are there already.
        forbidding: which events must not get lost.
        sent: `sent` events that are there already, of the mails that `events` may be about.
    """
    seen, mails = dict(stored), _SentMails(sent)
    fresh: list[Event] = []
    renamed: list[int] = []
    conflicting: list[int] = []
    for position, event in enumerate(events):
        before = seen.get(event.event_id)
        if before is None:
            seen[event.event_id] = event
            if mails.are_new(event):
                fresh.append(event)
        elif _content(before) == _content(event):
            continue
        elif forbidding.may(event.type, event.reply_class):
            fresh.append(replace(event, event_id=f"{event.event_id}#{_digest(event)}"))
            renamed.append(position)
        else:
            conflicting.append(position)
    return Settled(tuple(fresh), tuple(renamed), tuple(conflicting))


def as_of(event: Event, now_us: int) -> Event:
    """An event as a server knows it that hears of it now: it has not happened later.

    Senders' clocks may run ahead. When such an event is sent again it must be known for the same.
    """
    if event.occurred_us <= now_us:
        return replace(event, recorded_us=now_us)
    said = {**json.loads(event.properties), _AHEAD: event.occurred_us}
    return replace(
        event,
        occurred_us=now_us,
        recorded_us=now_us,
        properties=json.dumps(said, sort_keys=True, separators=(",", ":")),
    )


class _SentMails:
    """The mails of which it was said that they were sent."""

    def __init__(self, sent: Iterable[Event]) -> None:
        self._by_name: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
        for event in sent:
            self.are_new(event)

    def are_new(self, event: Event) -> bool:
        """False where an event tells of a mail that was told of before; remembers it.

        One decision sends one mail. The message id of a sender's webhook names one mail, too; of
        other sources it may be the id of a text that many mails have.
        """
        if event.type != "sent":
            return True
        contact, decision, message = (
            contact_key(event.contact_id),
            event.decision_id,
            event.message_id,
        )
        same_message = self._by_name["message", contact, message or ""] if message else []
        same_decision = self._by_name["decision", contact, decision or ""] if decision else []
        known = bool(same_decision) or any(
            not (decision and one.decision_id)
            and not NAMING_MAILS.isdisjoint((one.source, event.source))
            for one in same_message
        )
        same_message.append(event)
        same_decision.append(event)
        return not known


def _content(event: Event) -> tuple[str, ...]:
    """What tells events apart. For one that forbids mail, the time is part of it."""
    word = forbids(say_of(event.type, event.reply_class))
    at = str(_said_us(event)) if word else ""
    return contact_key(event.contact_id), event.type, event.reply_class or "", at


def _said_us(event: Event) -> int:
    """When its sender says that it happened."""
    if event.occurred_us == event.recorded_us and _AHEAD in event.properties:
        return int(json.loads(event.properties).get(_AHEAD, event.occurred_us))
    return event.occurred_us


def _digest(event: Event) -> str:
    return hashlib.blake2b("\0".join(_content(event)).encode(), digest_size=8).hexdigest()
