"""Whether a contact may be written to at all: a ledger of what was acknowledged, in that order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nurture_envs.clock import DAY_US
from nurture_envs.stops import LONGEST_SNOOZE_DAYS, SNOOZE_DAYS, Say, say_of
from nurture_rl.serving.records import Event


@dataclass(frozen=True, slots=True)
class MailPermission:
    """What a contact's words about mail come to."""

    opted_out: bool = False
    withdrawn: bool = False
    bounced: bool = False
    snoozed_until_us: int = 0  # microseconds since 1970 UTC
    lifted: frozenset[str] = frozenset()  # event ids of what consent took back


def permission_of(events: Iterable[Event]) -> MailPermission:
    """Read the ledger.

    An event that forbids mail counts from its acknowledgement on, whatever its time stamp and
    whatever the clock says since. Only a consent that was acknowledged later *and* given later
    takes it back; where both have the same time, the event that forbids mail wins.

    Args:
        events: of one contact, in the order in which they were acknowledged.
    """
    open_: dict[str, Event] = {}
    lifted: set[str] = set()
    for event in events:
        say = say_of(event.type, event.reply_class)
        if say is Say.CONSENT:
            over = {name for name, word in open_.items() if _is_taken_back(word, event)}
            lifted |= over
            open_ = {name: word for name, word in open_.items() if name not in over}
        elif say is not None:
            open_[event.event_id] = event
    said = [(say_of(word.type, word.reply_class), word) for word in open_.values()]
    against = {say for say, _ in said}
    return MailPermission(
        opted_out=Say.STOP in against,
        withdrawn=Say.WITHDRAWN in against,
        bounced=Say.BOUNCED in against,
        snoozed_until_us=max((_until(word) for say, word in said if say is Say.SNOOZE), default=0),
        lifted=frozenset(lifted),
    )


def _is_taken_back(word: Event, consent: Event) -> bool:
    if say_of(word.type, word.reply_class) is Say.BOUNCED:
        return False
    return consent.occurred_us > min(word.occurred_us, word.recorded_us)


def _until(snooze: Event) -> int:
    """A snooze runs for `value` days from when it was said or acknowledged, whichever is later."""
    asked = snooze.value
    days = asked if asked is not None and asked > 0.0 else float(SNOOZE_DAYS)
    days = min(days, LONGEST_SNOOZE_DAYS)
    return max(snooze.occurred_us, snooze.recorded_us) + int(days * DAY_US)
