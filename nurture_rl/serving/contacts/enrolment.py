"""Who may enter a journey, and when an episode is over: pure functions of a contact's episodes.

Nobody is in two journeys at once. Whoever is in one enters another where that one's priority is
higher; else they wait or are refused, as the journey file says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from nurture_envs.clock import DAY_US, Clock, local_microseconds, require_zone, utc_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails.eligibility import COMPARISONS
from nurture_envs.journey import Enrolment, Journey, JourneyRule, Signal
from nurture_rl.errors import TimeZoneError
from nurture_rl.serving.records import Contact, Ending, Episode, EpisodeRow, Event

BY_NOBODY = Enrolment(enter=None, leave=None, rest_days=None, priority=0, busy="refuse")


@dataclass(frozen=True, slots=True)
class EntryOutcome:
    """What becomes of an enrolment."""

    outcome: Literal["enters", "is in", "waits", "refused"]
    why: str = ""  # where the contact does not enter
    episode: EpisodeRow | None = None  # the open one of this journey, where the contact is in it
    number: int = 1  # of the episode that begins
    ends: tuple[Ending, ...] = ()  # episodes whose time is over
    supersedes: EpisodeRow | None = None  # the one that ends for this one


def entry(
    journey: Journey,
    passes: Sequence[EpisodeRow],
    now_us: int,
    zone: str,
    served: Collection[str],
) -> EntryOutcome:
    """Whether a contact enters a journey now.

    Args:
        journey: which.
        passes: all episodes of the contact, in whatever journeys.
        now_us: the moment, microseconds since 1970 UTC.
        zone: of the contact, IANA name.
        served: journeys; an episode of another one is in nobody's way.
    """
    terms = terms_of(journey)
    found = {row.episode_id: over(row, now_us, zone, served) for row in passes}
    ends = tuple(ending for ending in found.values() if ending is not None)
    ended = [_ended(row, found[row.episode_id]) for row in passes]
    open_ = next((row for row in ended if row.ended_us is None), None)
    if open_ is not None and open_.journey == journey.name:
        return EntryOutcome("is in", episode=open_, ends=ends)
    own = [row for row in ended if row.journey == journey.name]
    number = 1 + max((row.number for row in own), default=0)
    last_us = max((row.ended_us or 0 for row in own), default=None)
    if last_us is not None and terms.rest_days is None:
        why = f"the contact was in journey {journey.name} before, which lets nobody in twice"
        return EntryOutcome("refused", why, ends=ends)
    if last_us is not None and now_us < (again_us := last_us + _days_us(terms.rest_days)):
        why = f"the contact left journey {journey.name} at {_shown(last_us)} and rests until "
        return EntryOutcome("refused", why + _shown(again_us), ends=ends)
    if open_ is None:
        return EntryOutcome("enters", number=number, ends=ends)
    if terms.priority > open_.priority:
        return EntryOutcome("enters", number=number, ends=ends, supersedes=open_)
    why = f"the contact is in journey {open_.journey} of priority {open_.priority}"
    return EntryOutcome("waits" if terms.busy == "wait" else "refused", why, ends=ends)


def terms_of(journey: Journey) -> Enrolment:
    """On what terms contacts are in a journey; one without any has everybody, once."""
    return journey.enrolment or BY_NOBODY


def usable_zone(zone: str | None, default_zone: str) -> str:
    """A contact's zone, or the default one where it has none or one that nobody knows."""
    try:
        require_zone(zone or default_zone)
    except TimeZoneError:
        return default_zone
    return zone or default_zone


@lru_cache(maxsize=4096)
def local_time(now_us: int, zone: str) -> int:
    """Local wall time of a moment, microseconds.

    Raises:
        TimeZoneError: the zone is unknown.
    """
    return int(local_microseconds(np.array([now_us], np.int64), np.array([zone]))[0])


def span_us(journey: Journey) -> int:
    """From the anchor of an episode until its bins are over, microseconds of local time."""
    return _span_us(journey.clock)


@lru_cache(maxsize=64)
def _span_us(clock: Clock) -> int:
    return int(clock.start_us(np.int64(clock.horizon)))


def new_row(
    journey: Journey, contact: Contact, number: int, now_us: int, zone: str, anchor_us: int | None
) -> EpisodeRow:
    """The episode that begins for a contact.

    Args:
        journey: which.
        contact: who.
        number: of the contact's episodes in the journey, from 1.
        now_us: the moment, microseconds since 1970 UTC.
        zone: of the contact.
        anchor_us: local wall time at which its first period began; None: this day's midnight.
    """
    anchor_us = _midnight(now_us, zone) if anchor_us is None else anchor_us
    return EpisodeRow(
        episode_id=_episode_id(journey, contact, number, anchor_us),
        contact_id=contact.contact_id,
        journey=journey.name,
        anchor_us=anchor_us,
        number=number,
        priority=terms_of(journey).priority,
        began_us=now_us,
        over_us=anchor_us + span_us(journey),
    )


def opened(journey: Journey, contact: Contact, now_us: int, zone: str) -> Episode:
    """What is known of a contact who has no episode in a journey yet.

    A first decision opens one where the journey has everybody; else they are not in it.
    """
    anchor_us, barred = _midnight(now_us, zone), None
    if journey.enrolment is not None:
        barred = f"nobody enrolled the contact in journey {journey.name}"
    return Episode(_episode_id(journey, contact, 1, anchor_us), anchor_us, barred=barred)


def _episode_id(journey: Journey, contact: Contact, number: int, anchor_us: int) -> str:
    name = f"{journey.name}:{contact.contact_id}:{shown_day(anchor_us)}"
    return name if number == 1 else f"{name}#{number}"


def _midnight(now_us: int, zone: str) -> int:
    """The anchor of an episode that begins at a moment: its day's midnight, local wall time."""
    local_us = local_time(now_us, zone)
    return local_us - local_us % DAY_US


def beside(
    episode: Episode,
    others: Sequence[EpisodeRow],
    now_us: int,
    zone: str,
    served: Collection[str],
) -> Episode:
    """An episode of a contact who has open ones in other journeys, where these go on or not.

    Arguments as of `entry`.
    """
    if not others:
        return episode
    found = [over(row, now_us, zone, served) for row in others]
    lapsed = tuple(ending for ending in found if ending is not None)
    busy = [row.journey for row, end in zip(others, found, strict=True) if end is None]
    barred = f"the contact is in journey {busy[0]}" if busy else episode.barred
    return replace(episode, lapsed=lapsed, barred=barred)


def fulfils(journey: Journey, rule: JourneyRule, attributes: Mapping[str, Any]) -> bool:
    """Whether a contact fulfils the comparisons of a rule; without any everybody does."""
    spec = FeatureSpec.of(journey)
    row = spec.encode_attributes([attributes])[0]
    values = dict(zip(spec.attribute_columns, row, strict=True))
    return all(
        bool(COMPARISONS[one.operator](values[one.column], np.float32(one.threshold)))
        for one in rule.when
    )


def moving_signals(journey: Journey) -> list[Signal]:
    """The signals by which contacts enter or leave a journey."""
    names, terms = set(journey.terminals), terms_of(journey)
    for rule in (terms.enter, terms.leave):
        names |= set() if rule is None else set(rule.on)
    return [signal for signal in journey.signals if signal.name in names]


def moving_signal(journey: Journey, event: Event) -> Signal | None:
    """The signal of those that move contacts which an event is; None: it is none of them."""
    return signal_of(moving_signals(journey), event)


def applies(
    journey: Journey, rule: JourneyRule | None, event: Event | None, contact: Contact
) -> bool:
    """Whether a rule holds by an event, or, where there is none, by what is known alone."""
    if rule is None or bool(rule.on) != (event is not None):
        return False
    signal = None if event is None else moving_signal(journey, event)
    if event is not None and (signal is None or signal.name not in rule.on):
        return False
    return fulfils(journey, rule, contact.attributes)


def signal_of(signals: Sequence[Signal], event: Event) -> Signal | None:
    """The signal of these that an event is; None: it is none of them."""
    for signal in signals:
        if all(getattr(event, name) == value for name, value in signal.filters().items()):
            return signal
    return None


def ended_by(journey: Journey, event: Event, anchor_us: int, zone: str) -> tuple[str, str] | None:
    """The reason and why, where an event ends an episode of a journey; None: it does not.

    Args:
        journey: of the episode.
        event: of its contact.
        anchor_us: local wall time at which the episode's first period began.
        zone: of the contact.
    """
    ends = [signal for signal in journey.signals if signal.name in journey.terminals]
    signal = signal_of(ends, event)
    if signal is None or local_time(event.occurred_us, zone) < anchor_us:
        return None
    reason = "goal" if signal.name in journey.north_star.of else "stopped"
    return reason, f"the signal {signal.name}"


def over(row: EpisodeRow, now_us: int, zone: str, served: Collection[str]) -> Ending | None:
    """The ending of an episode that is over and that nobody has ended; None: there is none.

    Its bins are over, or nobody serves its journey any more. Arguments as of `entry`.
    """
    if row.ended_us is not None:
        return None
    if row.over_us is not None and row.over_us <= local_time(now_us, zone):
        local_us = np.array([row.over_us], np.int64)
        at_us = int(utc_microseconds(local_us, np.array([zone]))[0])
        return Ending(row.episode_id, at_us, "completed", "its bins are over")
    if row.journey not in served:
        return Ending(row.episode_id, now_us, "closed", "its journey is served no more")
    return None


@lru_cache(maxsize=4096)
def shown_day(local_us: int) -> str:
    """The day of a local wall time, as in 2026-04-06."""
    return str(np.datetime64(local_us, "us").astype("datetime64[D]"))


def _ended(row: EpisodeRow, ending: Ending | None) -> EpisodeRow:
    return row if ending is None else replace(row, ended_us=ending.at_us)


def _days_us(days: float | None) -> int:
    return round((days or 0.0) * DAY_US)


def _shown(us: int) -> str:
    """A moment for a message, to the second."""
    return f"{np.datetime64(us, 'us').astype('datetime64[s]')}Z"
