"""Folding a contact's events, so that a decision need not read all of them.

A state stands for a contact's first events and gives every later decision what these would give
it, bit for bit. The sums of a channel are kept for each bin that features can still look back on,
and of what is older the last time. Who reads the events after the state adds them to it, late ones
too: they go into the bin in which they happened. A state is a copy: without it, or where it does
not fit, all events are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US, Clock, local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.guardrails.remembered import sends_kept
from nurture_envs.journey import ALL, Group, Journey
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.event_rows import changes, channel_rows_of
from nurture_rl.serving.contacts.mail_permission import (
    bounces_kept,
    said_us,
    snoozed_until_us,
    words_after,
)
from nurture_rl.serving.contacts.mail_preferences import WEEK_HOURS
from nurture_rl.serving.contacts.reply_handoffs import talk_in
from nurture_rl.serving.contacts.sends import Send, groups_of, is_among, told_sends
from nurture_rl.serving.records import STATE_ROW, ContactState, ContactView, Event, MailWords
from nurture_rl.serving.storage.stored_events import columns_of_rows, rows_of

IntArray = NDArray[np.int64]
Rows = NDArray[np.void]  # of STATE_ROW

_VERSION = 1  # of what a state keeps; states of another version are not read
# Zones shift the wall clock, and a slot that has passed is asked about until its day is over.
_SLACK_US = 2 * DAY_US
_WEEK_US = round(WEEK_HOURS * HOUR_US) + _SLACK_US  # in which contacts may have mail counted


@dataclass(frozen=True, slots=True)
class Folding:
    """What of a contact's events a journey still needs."""

    journey: Journey
    key: str  # hash of all that a state depends on, besides the events
    cycle_us: int  # bins of episodes that begin at a midnight never cross one of `edges_us` in it
    edges_us: IntArray
    reach_us: int  # how far features look back
    limits_us: int  # how far limits of sends look back, from the decision to send on
    sends: tuple[tuple[Group, int], ...]  # latest sends that limits can see, by group

    @classmethod
    def of(cls, journey: Journey) -> Folding:
        """What the features and guardrails of a journey need."""
        spec = FeatureSpec.of(journey)
        cycle = gcd(round(spec.clock.period_hours * HOUR_US), DAY_US)
        edges = {round(slot * HOUR_US) % cycle for slot in spec.clock.slots_hours}
        sends = _sends_seen(journey)
        named = [asdict(one) for one in (*journey.signals, *journey.guardrails.events)]
        groups = sorted(groups_of(journey).items())
        content = [_VERSION, named, journey.channels, asdict(spec.clock), spec.window]
        text = json.dumps([*content, sends, groups])
        return cls(
            journey=journey,
            key=hashlib.sha256(text.encode()).hexdigest()[:16],
            cycle_us=cycle,
            edges_us=np.array(sorted(edges), np.int64),
            reach_us=_reach_us(spec.clock, spec.window),
            limits_us=_limits_us(journey),
            sends=sends,
        )


@lru_cache(maxsize=8)
def folding_of(bundle: Bundle) -> Folding:
    """What a bundle needs of its contacts' events."""
    return Folding.of(bundle.journey)


def _reach_us(clock: Clock, window: int) -> int:
    periods = -(-window // len(clock.slots_hours)) + 1
    return periods * round(clock.period_hours * HOUR_US) + _SLACK_US


def _limits_us(journey: Journey) -> int:
    """A send may be told to leave until the bin of its decision is over."""
    settings = journey.guardrails
    account = () if settings.account is None else settings.account.caps
    tiers = () if settings.inactivity is None else settings.inactivity.tiers
    hours = [settings.min_gap_hours, WEEK_HOURS, *(tier.hours for tier in tiers)]
    hours += [cap.hours for cap in (*settings.caps, *account)]
    hours += [settings.slow.gap_hours] if settings.slow is not None else []
    hours += [settings.unanswered.hours] if settings.unanswered is not None else []
    return round((max(hours) + journey.clock.period_hours) * HOUR_US) + _SLACK_US


def _sends_seen(journey: Journey) -> tuple[tuple[Group, int], ...]:
    """How many latest sends limits of contacts and accounts can see, by group."""
    kept, account = sends_kept(journey.guardrails), journey.guardrails.account
    if account is not None:
        kept[ALL] = max([kept[ALL], *(cap.maximum for cap in account.caps)])
    return tuple(kept.items())


def is_of_use(state: ContactState, zone: str, anchor_us: int, now_us: int) -> bool:
    """Whether a state can stand for its events.

    Args:
        state: of a contact.
        zone: in which the contact's bins are counted now.
        anchor_us: of the episode, local wall time, microseconds.
        now_us: the moment of the decision, microseconds since 1970 UTC.
    """
    return state.zone == zone and state.as_of_us <= now_us and anchor_us % DAY_US == 0


def folded(folding: Folding, view: ContactView, zone: str, now_us: int) -> ContactView:
    """The same contact with the events that had happened and were recorded by now in their state.

    An event whose time has not come stays as it is, and so do all that were acknowledged after it.

    Args:
        folding: of the journey.
        view: the contact.
        zone: in which the contact's bins are counted; that of the state, where there is one.
        now_us: microseconds since 1970 UTC.

    Raises:
        TimeZoneError: the zone is unknown.
    """
    times = [max(event.occurred_us, event.recorded_us) for event in view.events]
    count = next((i for i, at_us in enumerate(times) if at_us > now_us), len(times))
    if count == 0 or view.episode.anchor_us % DAY_US != 0:
        return view
    events, before = view.events[:count], view.state
    words, lifted = words_after(MailWords() if before is None else before.words, events)
    standing = _not_outdone(words.open, zone)
    one_by_one = {word.event_id for word in standing}
    silent = lifted | ({word.event_id for word in words.open} - one_by_one)
    told = events if before is None else (*before.words.open, *events)
    rows = _rows_of(
        folding.journey, [e for e in told if e.event_id not in one_by_one], silent, zone
    )
    as_of_us = max(times[:count])
    if before is not None:
        rows, as_of_us = np.concatenate([before.rows, rows]), max(before.as_of_us, as_of_us)
    words = replace(
        words,
        open=tuple(map(_bare, standing)),
        soft_us=bounces_kept(words.soft_us, as_of_us),
    )
    made, plans = told_sends(replace(view, events=events))
    state = ContactState(
        through=events[-1].event_id,
        as_of_us=as_of_us,
        zone=zone,
        rows=_within_reach(folding, _summed(folding, rows), as_of_us),
        words=words,
        sends=_seen(folding, made, as_of_us),
    )
    replies = (*view.replies, *talk_in(folding.journey, view.events[:count]))
    return replace(view, events=view.events[count:], sends=plans, state=state, replies=replies)


def _bare(word: Event) -> Event:
    """A word without what only its own row need say."""
    return replace(word, decision_id=None, message_id=None, properties="{}")


def _not_outdone(words: Sequence[Event], zone: str) -> tuple[Event, ...]:
    """Words without those after which an equal one says as much for as long: both go together."""
    times = np.array([word.occurred_us for word in words], np.int64)
    local = local_microseconds(times, np.full(len(words), zone)).tolist()
    kept: dict[tuple[object, ...], list[tuple[tuple[int, ...], Event]]] = {}
    for word, local_us in zip(words, local, strict=True):
        kind = (word.type, word.reply_class, word.topic, word.page_category, word.stage)
        others = kept.setdefault((*kind, word.is_machine), [])
        strength = (said_us(word), word.occurred_us, local_us, snoozed_until_us(word))
        if not any(_outdoes(other, strength) for other, _ in others):
            others[:] = [one for one in others if not _outdoes(strength, one[0])]
            others.append((strength, word))
    left = {word.event_id for others in kept.values() for _, word in others}
    return tuple(word for word in words if word.event_id in left)


def _outdoes(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True))


def _rows_of(journey: Journey, events: Sequence[Event], silent: Container[str], zone: str) -> Rows:
    """What events add to channels, each alone; `silent` are ids of those that are lifted."""
    own = channel_rows_of(journey, columns_of_rows(rows_of(events)))
    occurred = np.array([event.occurred_us for event in events], np.int64)
    local = local_microseconds(occurred, np.full(len(events), zone))
    lifted = np.array([event.event_id in silent for event in events], np.bool_)
    rows = np.empty(len(own.event), STATE_ROW)
    rows["channel"], rows["amount"] = own.channel, own.amount
    rows["lifted"], rows["occurred_us"] = lifted[own.event], occurred[own.event]
    rows["local_us"] = local[own.event]
    return rows


def _summed(folding: Folding, rows: Rows) -> Rows:
    """One row for each channel, bin and whether it was lifted; in this order."""
    if len(rows) == 0:
        return rows
    whole, rest = np.divmod(rows["local_us"], folding.cycle_us)
    places = np.searchsorted(folding.edges_us, rest, side="right")
    cells = whole * len(folding.edges_us) + places
    order = np.lexsort((rows["occurred_us"], cells, rows["lifted"], rows["channel"]))
    rows, cells = rows[order], cells[order]
    new = np.flatnonzero(changes(rows["channel"], rows["lifted"], cells))
    summed: Rows = rows[np.append(new[1:], len(rows)) - 1]  # the latest of each
    summed["amount"] = np.add.reduceat(rows["amount"], new)
    return summed


def _within_reach(folding: Folding, rows: Rows, as_of_us: int) -> Rows:
    """Rows that features can still look back on, and of older ones the last of each kind.

    The last is twice the same where clocks never go back: of bins, and of moments.
    """
    old = np.flatnonzero(rows["occurred_us"] < as_of_us - folding.reach_us)
    if len(old) == 0:
        return rows
    keep = rows["occurred_us"] >= as_of_us - folding.reach_us
    for times in (np.arange(len(old)), rows["occurred_us"][old]):
        order = old[np.lexsort((times, rows["lifted"][old], rows["channel"][old]))]
        kinds = rows[order]
        keep[order[np.append(changes(kinds["channel"], kinds["lifted"])[1:], True)]] = True
    kept: Rows = rows[keep]
    return kept


def _seen(folding: Folding, made: Iterable[Send], as_of_us: int) -> tuple[Send, ...]:
    """Sends that limits can see: the latest of each group, and all that contacts may count."""
    ordered = sorted(made, key=lambda send: send[0], reverse=True)
    recent = [send for send in ordered if send[0] > as_of_us - _WEEK_US]
    older, groups = ordered[len(recent) :], groups_of(folding.journey)
    left = dict(folding.sends)
    kept: list[Send] = []
    for send in older:
        among = [group for group in left if is_among(groups.get(send[1] or ""), group)]
        if any(left[group] > 0 for group in among):
            kept.append(send)
        left |= {group: left[group] - 1 for group in among}
    return (*recent, *kept)
