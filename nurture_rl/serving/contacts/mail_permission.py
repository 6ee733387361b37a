"""Whether a contact may be written to at all: a ledger of what was acknowledged, in that order."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from nurture_envs.clock import DAY_US
from nurture_envs.guardrails.reasons import Reason
from nurture_envs.stops import (
    AWAY_DAYS,
    AWAY_REPLY,
    LONGEST_AWAY_DAYS,
    LONGEST_SNOOZE_DAYS,
    SNOOZE_DAYS,
    SOFT_BOUNCE_DAYS,
    SOFT_BOUNCE_REST_DAYS,
    SOFT_BOUNCES,
    Say,
    plain,
    say_of,
)
from nurture_rl.serving.records import ContactView, Event, MailWords
from nurture_rl.serving.storage.consent_entries import group_of
from nurture_rl.serving.storage.stored_events import events_that

_NOTHING = MailWords()


@dataclass(frozen=True, slots=True)
class MailPermission:
    """What a contact's words about mail come to."""

    opted_out: bool = False
    withdrawn: bool = False
    bounced: bool = False
    snoozed_until_us: int = 0  # microseconds since 1970 UTC, as all that follow
    away_until_us: int = 0  # out of office
    resting_until_us: int = 0  # after repeated soft bounces
    lifted: frozenset[str] = frozenset()  # event ids of what consent took back

    def against(self, consent: bool, now_us: int) -> int:
        """What forbids all mail now, whatever the journey: bits of `Reason`.

        Args:
            consent: as the contact was put.
            now_us: the moment, microseconds since 1970 UTC.
        """
        until_us = max(self.snoozed_until_us, self.away_until_us, self.resting_until_us)
        held = (
            (not consent or self.withdrawn, Reason.NO_CONSENT),
            (self.opted_out, Reason.OPTED_OUT),
            (self.bounced, Reason.HARD_BOUNCE),
            (until_us > now_us, Reason.PAUSED),
        )
        return sum(int(reason) for holds, reason in held if holds)


_FREE = MailPermission()


def permission_of(events: Iterable[Event], before: MailWords = _NOTHING) -> MailPermission:
    """Read the ledger.

    An event that forbids mail counts from its acknowledgement on, whatever its time stamp and
    whatever the clock says since. Only a consent that was acknowledged later *and* given later
    takes it back; where both have the same time, the event that forbids mail wins. Consent to one
    group of mail takes back no more than what was refused of that group. An automatic
    reply and soft bounces are nobody's words: they pass with their time, whatever consent says.

    Args:
        events: of one contact, in the order in which they were acknowledged.
        before: what the events before them came to.
    """
    words, lifted = words_after(before, events)
    if words == _NOTHING:
        return _FREE if not lifted else MailPermission(lifted=lifted)
    said = [(say_of(word.type, word.reply_class), word) for word in words.open]
    against = {say for say, _ in said}
    return MailPermission(
        opted_out=Say.STOP in against,
        withdrawn=Say.WITHDRAWN in against,
        bounced=words.bounced,
        snoozed_until_us=max((snoozed_until_us(word) for _, word in said), default=0),
        away_until_us=words.away_until_us,
        resting_until_us=_rested(words.soft_us),
        lifted=lifted,
    )


def permission_in(view: ContactView) -> MailPermission:
    """What the words of a contact come to, those that are folded into its state and those after."""
    return permission_of(view.events, _NOTHING if view.state is None else view.state.words)


def words_after(before: MailWords, events: Iterable[Event]) -> tuple[MailWords, frozenset[str]]:
    """What was said after some more events, and the ids of what consent among them took back."""
    spoken = events_that(events, _speaks)
    if not spoken:
        return before, frozenset()
    open_ = {word.event_id: word for word in before.open}
    lifted: set[str] = set()
    away, soft, bounced = before.away_until_us, list(before.soft_us), before.bounced
    for event in spoken:
        if event.type == "soft_bounce":
            soft.append(event.occurred_us)
        elif plain(event.reply_class or "") == AWAY_REPLY:
            away = max(away, _back(event))
        say = say_of(event.type, event.reply_class)
        if say is Say.CONSENT:
            over = {name for name, word in open_.items() if _takes_back(event, word)}
            lifted |= over
            open_ = {name: word for name, word in open_.items() if name not in over}
        elif say is Say.BOUNCED:
            bounced = True
        elif say is not None:
            open_[event.event_id] = event
    return MailWords(tuple(open_.values()), bounced, away, tuple(soft)), frozenset(lifted)


@lru_cache(maxsize=4096)
def _speaks(kind: str, reply_class: str | None) -> bool:
    """Whether an event of this type and reply class says anything of mail."""
    if say_of(kind, reply_class) is not None or kind == "soft_bounce":
        return True
    return plain(reply_class or "") == AWAY_REPLY


def said_us(word: Event) -> int:
    """The moment after which consent takes a word back."""
    return min(word.occurred_us, word.recorded_us)


def _takes_back(consent: Event, word: Event) -> bool:
    """Consent to one group of mail takes back only what was said of the same group."""
    group = group_of(consent)
    return consent.occurred_us > said_us(word) and group in (None, group_of(word))


def snoozed_until_us(word: Event) -> int:
    """When the snooze that a word asks for is over; 0: it asks for none.

    It runs for `value` days from when it was said or acknowledged, whichever is later.
    """
    if say_of(word.type, word.reply_class) is not Say.SNOOZE:
        return 0
    asked = word.value
    days = asked if asked is not None and asked > 0.0 else float(SNOOZE_DAYS)
    days = min(days, LONGEST_SNOOZE_DAYS)
    return max(word.occurred_us, word.recorded_us) + int(days * DAY_US)


def bounces_kept(bounces: Sequence[int], as_of_us: int) -> tuple[int, ...]:
    """The soft bounces that tell when a rest is over, from some moment on and whatever comes late.

    Those are the last that make the latest rest, and all after it that may make the next.
    """
    since_us = as_of_us - (SOFT_BOUNCE_DAYS + SOFT_BOUNCE_REST_DAYS) * DAY_US
    ordered = sorted(at_us for at_us in bounces if at_us > since_us)
    done = bisect_right(ordered, _rested(ordered) - SOFT_BOUNCE_REST_DAYS * DAY_US)
    return tuple(ordered[max(0, done - SOFT_BOUNCES) :])


def _back(reply: Event) -> int:
    """When somebody who is away may be written to again.

    The property `until` is their first day back, such as 2026-12-28: it counts from noon UTC, when
    it has begun in every zone. Without one, `value` is a number of days, as of a snooze.
    """
    said = max(reply.occurred_us, reply.recorded_us)
    days = reply.value if reply.value is not None and reply.value > 0.0 else float(AWAY_DAYS)
    back = _day_of(reply.properties)
    until = said + int(min(days, LONGEST_AWAY_DAYS) * DAY_US)
    if back is not None:
        until = (back - date(1970, 1, 1)).days * DAY_US + DAY_US // 2
    return min(until, said + LONGEST_AWAY_DAYS * DAY_US)


def _day_of(properties: str) -> date | None:
    """The property `until` as a day; None where there is none that can be read."""
    try:
        return date.fromisoformat(str(json.loads(properties)["until"])[:10])
    except (ValueError, KeyError, TypeError):
        return None


def _rested(bounces: Sequence[int]) -> int:
    """When the rest after repeated soft bounces is over; 0: there was no need of one."""
    ordered = sorted(bounces)
    pairs = zip(ordered, ordered[SOFT_BOUNCES - 1 :], strict=False)
    ends = [last for first, last in pairs if last - first <= SOFT_BOUNCE_DAYS * DAY_US]
    return ends[-1] + SOFT_BOUNCE_REST_DAYS * DAY_US if ends else 0
