"""What is known of contacts at a moment: the past for features, the present for guardrails.

A pure function of journey, contacts, events, planned sends and the moment. Wall-clock hours count
from 1970 in the contact's zone, as in the simulator. The time since a send is the hours that have
really passed, also across a change to or from summer time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import (
    DAY_US,
    HOUR_US,
    local_microseconds,
    set_forward_hours,
    utc_microseconds,
)
from nurture_envs.features import NEVER, FeatureSpec, FeatureState, state_from_events
from nurture_envs.guardrails import GuardrailFacts, eligible, lags_of, standing
from nurture_envs.guardrails.guardrail_facts import Lag
from nurture_envs.guardrails.remembered import moments_watched, sends_kept
from nurture_envs.journey import Journey
from nurture_envs.once import once
from nurture_rl.serving.contacts.event_rows import PastRows, changes, event_rows
from nurture_rl.serving.contacts.mail_permission import MailPermission, permission_in
from nurture_rl.serving.contacts.mail_preferences import refused_messages, wanted_from
from nurture_rl.serving.contacts.probes import probed
from nurture_rl.serving.contacts.reply_handoffs import waiting
from nurture_rl.serving.contacts.sends import groups_of, is_among, sends_of
from nurture_rl.serving.records import Contact, ContactView

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_TRUSTED = 0.5  # confidence from which a stated zone counts as known


@dataclass(frozen=True, slots=True)
class Known:
    """n contacts at the moment of their decision."""

    bins: IntArray  # [n] current bin, negative before the first
    anchor_us: IntArray  # [n] local wall time
    local_us: IntArray  # [n] local wall time of the moment
    zones: NDArray[np.str_]  # [n] IANA names in use
    past: FeatureState  # completed bins
    attributes: NDArray[np.float32]  # [n, attribute columns]
    facts: GuardrailFacts
    ended_by: tuple[str, ...]  # [n] the terminal signal seen since the anchor, or empty


def offered(
    catalog: ActionCatalog,
    spec: FeatureSpec,
    facts: GuardrailFacts,
    features: NDArray[np.float32],
    left: Mapping[str, int] | None = None,
) -> GuardrailFacts:
    """The facts with what guardrails need to know of offers.

    Args:
        catalog: whose offers.
        spec: names the columns of `features`.
        facts: of n contacts.
        features: at the start of the bin, [n, d].
        left: sends left of each offer that has an inventory, by name; None: enough of all.
    """
    offers, everybody = catalog.limited_offers, np.ones(len(features), np.bool_)
    fits = eligible(offers, lambda name: features[:, spec.column(name)], everybody)
    if left is None or not offers:
        return replace(facts, eligible=fits)
    enough = np.iinfo(np.int64).max
    counts = np.array([left.get(offer.name, enough) for offer in offers], np.int64)
    return replace(facts, eligible=fits, left=np.broadcast_to(counts, (len(features), len(offers))))


def known(
    journey: Journey,
    spec: FeatureSpec,
    views: Sequence[ContactView],
    now_us: IntArray,
    default_zone: str,
) -> Known:
    """What is known of each contact.

    For features, an event is known once it has happened and was recorded. For guardrails, an
    event that forbids mail counts from its acknowledgement on, whatever its time stamps say.
    A planned send counts as a send at its time until a `sent` event names its decision. An
    escalation counts from its decision on.

    Args:
        journey: whose signals, clock and guardrails.
        spec: the journey's features.
        views: the contacts, [n].
        now_us: the moment of each decision, [n], microseconds since 1970 UTC.
        default_zone: zone of contacts who have none.

    Raises:
        TimeZoneError: a zone name is unknown.
    """
    zones = np.array([view.contact.time_zone or default_zone for view in views])
    anchor_us = np.array([view.episode.anchor_us for view in views], np.int64)
    local_us = local_microseconds(now_us, zones)
    bins = spec.clock.bin_of(local_us, anchor_us)
    words = [permission_in(view) for view in views]
    rows = event_rows(journey, spec, views, [word.lifted for word in words], now_us, zones)
    past = _past(spec, rows, bins)
    binned = rows.bins.astype(np.int32)
    last = _last(journey, rows, rows.counts & ~rows.lifted, binned, len(views))
    ended = _last(journey, rows, rows.counts, binned, len(views))
    _count_calls(journey, spec, views, zones, last)
    midnight_us = local_us - local_us % DAY_US
    snoozed = _snoozed(words, views, now_us)
    last_us = _last(journey, rows, rows.counts & ~rows.lifted, rows.occurred_us, len(views))
    since = _since(journey, last_us, views, now_us)
    signals = standing(journey.guardrails, lags_of(journey, last, bins), since)
    _add_words(signals, words, now_us)
    signals["conversation"] = signals["conversation"] | waiting(journey, views, now_us)
    facts = GuardrailFacts(
        consent=_consent(words, views),
        paused=snoozed | (bins < np.array([view.episode.paused_until for view in views], np.int64)),
        available=_available(journey, views),
        zone_known=np.array([_zone_known(view.contact) for view in views], np.bool_),
        sends_hours=_sends(journey, views, local_us - now_us),
        now_hours=local_us / HOUR_US,
        midnight_hours=midnight_us / HOUR_US,
        today=midnight_us // DAY_US,
        set_forward=set_forward_hours(now_us, local_us, zones),
        moments_hours=_moments(journey, last_us, local_us - now_us),
        **signals,
        **_asked_for(journey, views, bins, local_us - now_us),
    )
    attributes = spec.encode_attributes([view.contact.attributes for view in views])
    over = _ended_by(journey, ended)
    return Known(bins, anchor_us, local_us, zones, past, attributes, facts, over)


def _consent(words: Sequence[MailPermission], views: Sequence[ContactView]) -> BoolArray:
    stated = np.array([view.contact.consent for view in views], np.bool_)
    return stated & ~np.array([word.withdrawn for word in words], np.bool_)


def _snoozed(
    words: Sequence[MailPermission], views: Sequence[ContactView], now_us: IntArray
) -> BoolArray:
    """Who asked for no mail for some time, is away, or was paused by a person."""
    until = [
        max(word.snoozed_until_us, word.away_until_us, view.preferences.paused_until_us)
        for word, view in zip(words, views, strict=True)
    ]
    held = np.array([view.episode.held for view in views], np.bool_)
    return held | (np.array(until, np.int64) > now_us)


def _asked_for(
    journey: Journey, views: Sequence[ContactView], bins: IntArray, shift_us: IntArray
) -> dict[str, Any]:
    """Facts of what contacts prefer, and the lot of who does nothing."""
    return {
        "refused": refused_messages(journey, views),
        "wanted_from": wanted_from(views, shift_us),
        "probed": probed(journey, views, bins),
    }


def _add_words(signals: dict[str, Any], words: Sequence[MailPermission], now_us: IntArray) -> None:
    """Let what stands against mail in every journey count beside a journey's own signals."""
    out = np.array([word.opted_out or word.withdrawn for word in words], np.bool_)
    bounced = np.array([word.bounced for word in words], np.bool_)
    resting = np.array([word.resting_until_us for word in words], np.int64) > now_us
    signals["opted_out"] = signals["opted_out"] | out
    signals["hard_bounced"] = signals["hard_bounced"] | bounced | resting


def _past(spec: FeatureSpec, rows: PastRows, bins: IntArray) -> FeatureState:
    """The past of completed bins; each sum is rounded once, in whatever order its parts came."""
    kept = np.flatnonzero(rows.known & (rows.channel < len(spec.channels)))
    contact, channel = rows.contact[kept], rows.channel[kept]
    lag, amount = bins[contact] - rows.bins[kept], rows.amount[kept]
    order = np.lexsort((channel, lag, contact))
    contact, lag, channel = contact[order], lag[order], channel[order]
    first = np.flatnonzero(changes(contact, lag, channel))
    sums = np.add.reduceat(amount[order], first) if len(first) else amount
    return state_from_events(spec, contact[first], lag[first], channel[first], sums, bins)


def _last(
    journey: Journey, rows: PastRows, counted: BoolArray, times: NDArray[Any], n: int
) -> NDArray[Any]:
    """The last time of each channel, and of each event that guardrails name, [n, c].

    Times are those of rows, [k], which count where `counted` says so, [k].
    """
    columns = len(journey.channels) + len(journey.guardrails.events)
    table = np.full((n, columns), NEVER, times.dtype)
    np.maximum.at(table, (rows.contact[counted], rows.channel[counted]), times[counted])
    return table


def _since(
    journey: Journey, last_us: IntArray, views: Sequence[ContactView], now_us: IntArray
) -> Lag | None:
    """Microseconds since signals last happened, where the journey asks which came first."""
    if not journey.guardrails.conversation_until:
        return None
    last = last_us.copy()
    for channel in _call_channels(journey):
        for row, view in enumerate(views):
            for call in view.calls:
                last[row, channel] = max(last[row, channel], call.at_us)
    return lags_of(journey, last, now_us)


def _moments(journey: Journey, last_us: IntArray, shift_us: IntArray) -> FloatArray | None:
    """When signals that mail waits for last happened, [n, w] hours on the wall clock of now."""
    channels = _watched_channels(journey)
    if not channels:
        return None
    moments = np.empty((len(last_us), len(channels)), np.int64)
    for place, of in enumerate(channels):
        moments[:, place] = last_us[:, of].max(axis=1)
    return np.where(moments <= NEVER, -np.inf, (moments + shift_us[:, None]) / HOUR_US)


@once
def _watched_channels(journey: Journey) -> list[IntArray]:
    """The channels of each of `moments_watched`."""
    sets = moments_watched(journey.guardrails)
    return [np.array([journey.channel_index(name) for name in names], np.int64) for names in sets]


@once
def _call_channels(journey: Journey) -> list[int]:
    return [journey.channel_index(s.name) for s in journey.signals if s.type == "escalated"]


def _count_calls(
    journey: Journey,
    spec: FeatureSpec,
    views: Sequence[ContactView],
    zones: NDArray[np.str_],
    last: NDArray[np.int32],
) -> None:
    """Count every decided escalation as its signal, before the event is reported."""
    if not any(view.calls for view in views):
        return
    rows = np.array([row for row, view in enumerate(views) for _ in view.calls], np.int64)
    called = np.array([call.at_us for view in views for call in view.calls], np.int64)
    anchors = np.array([view.episode.anchor_us for view in views], np.int64)[rows]
    bins = spec.clock.bin_of(local_microseconds(called, zones[rows]), anchors).astype(np.int32)
    for channel in _call_channels(journey):
        np.maximum.at(last, (rows, np.full_like(rows, channel)), bins)


def _ended_by(journey: Journey, last: NDArray[np.int32]) -> tuple[str, ...]:
    if not journey.terminals:
        return ("",) * len(last)
    seen = last[:, [journey.channel_index(name) for name in journey.terminals]] >= 0
    first = seen.argmax(axis=1)
    return tuple(
        journey.terminals[first[row]] if seen[row].any() else "" for row in range(len(last))
    )


def _available(journey: Journey, views: Sequence[ContactView]) -> BoolArray:
    """Contacts with no stated availability: unavailable where the journey reads availability."""
    silent = not journey.guardrails.availability
    return np.array([silent if v.available is None else v.available for v in views], np.bool_)


def _zone_known(contact: Contact) -> bool:
    return contact.time_zone is not None and contact.zone_confidence >= _TRUSTED


def _sends(journey: Journey, views: Sequence[ContactView], shift_us: IntArray) -> FloatArray:
    """The latest sends, made or planned, latest first, [n, k] hours since 1970.

    On the wall clock as it is set now, which is `shift_us` [n] ahead of UTC: the hours between two
    of them, or between one and now, are those that have passed. A message that the journey does not
    know, as of another system, counts for every channel, and for no topic and no message.
    """
    kept = sends_kept(journey.guardrails)
    table = np.full((len(views), sum(kept.values())), -np.inf)
    made = [(row, *send) for row, view in enumerate(views) for send in sends_of(view)]
    if not made:
        return table
    rows = np.array([row for row, _, _ in made], np.int64)
    hours = (np.array([at_us for _, at_us, _ in made], np.int64) + shift_us[rows]) / HOUR_US
    groups = groups_of(journey)
    of = [groups.get(message or "") for _, _, message in made]
    first = 0
    for group, count in kept.items():
        among = [place for place, own in enumerate(of) if is_among(own, group)]
        if among:
            _put_latest(rows[among], hours[among], table[:, first : first + count])
        first += count
    return table


def slot_us(slot: int, local_us: int, zone: str) -> int:
    """UTC microseconds of an hour of a local day.

    Args:
        slot: the hour.
        local_us: any local wall time of the day, microseconds since 1970.
        zone: IANA name.
    """
    at_us = local_us - local_us % DAY_US + slot * HOUR_US
    return int(utc_microseconds(np.array([at_us], np.int64), np.array([zone]))[0])


def _put_latest(rows: IntArray, hours: FloatArray, table: FloatArray) -> None:
    """Write the latest hours of each row into a table, [n, count], latest first."""
    order = np.lexsort((-hours, rows))
    rows, hours = rows[order], hours[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = rank < table.shape[1]
    table[rows[kept], rank[kept]] = hours[kept]
