"""What contacts' events add to a journey's channels, one by one or folded into states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.signals import NO_SIGNAL, ChannelRows, EventColumns, channel_rows, classify
from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.records import STATE_ROW, ContactView, Event

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PastRows:
    """What happened to the contacts: a row per event and channel, or per bin that was folded."""

    contact: IntArray  # position of the contact, [k], as all that follow
    channel: IntArray  # of the journey, then of the events that only guardrails name
    amount: NDArray[np.float64]
    occurred_us: IntArray
    bins: IntArray
    known: BoolArray  # happened and recorded by the moment of their contact's decision
    counts: BoolArray  # for guardrails: known, or acknowledged whatever the clock says
    lifted: BoolArray  # against mail, and taken back by consent since


def event_rows(
    journey: Journey,
    spec: FeatureSpec,
    views: Sequence[ContactView],
    lifted: Sequence[frozenset[str]],
    now_us: IntArray,
    zones: NDArray[np.str_],
) -> PastRows:
    """Everything that happened to contacts, as far as features and guardrails read it.

    Args:
        journey: whose channels.
        spec: its features, for the clock.
        views: the contacts, [n].
        lifted: ids of the events of each that consent took back, [n].
        now_us: the moment of each, [n], microseconds since 1970 UTC.
        zones: in which bins are counted, [n].

    Raises:
        TimeZoneError: a zone name is unknown.
        ValueError: a state holds events from after the moment.
    """
    kept = [(event, row) for row, view in enumerate(views) for event in _one_by_one(view)]
    events, contact = [event for event, _ in kept], np.array([row for _, row in kept], np.int64)
    occurred = np.array([event.occurred_us for event in events], np.int64)
    recorded = np.array([event.recorded_us for event in events], np.int64)
    known = np.maximum(occurred, recorded) <= now_us[contact]
    certain = np.array([view.acknowledged for view in views], np.bool_)[contact]
    against = [forbids(say_of(event.type, event.reply_class)) for event in events]
    counts = known | certain | np.array(against, np.bool_)
    gone = np.array([event.event_id in lifted[row] for event, row in kept], np.bool_)
    own = channel_rows_of(journey, events)
    of, local_us = own.event, local_microseconds(occurred, zones[contact])
    folded, folded_of = _folded(views, now_us)
    certainly = np.ones(len(folded), np.bool_)
    contacts = np.concatenate([contact[of], folded_of])
    anchors = np.array([view.episode.anchor_us for view in views], np.int64)[contacts]
    return PastRows(
        contact=contacts,
        channel=np.concatenate([own.channel, folded["channel"]]),
        amount=np.concatenate([own.amount, folded["amount"]]),
        occurred_us=np.concatenate([occurred[of], folded["occurred_us"]]),
        bins=spec.clock.bin_of(np.concatenate([local_us[of], folded["local_us"]]), anchors),
        known=np.concatenate([known[of], certainly]),
        counts=np.concatenate([counts[of], certainly]),
        lifted=np.concatenate([gone[of], folded["lifted"]]),
    )


def channel_rows_of(journey: Journey, events: Sequence[Event]) -> ChannelRows:
    """What events add to the journey's channels, and to the events that guardrails name.

    The latter follow the channels and have no amount of their own.
    """
    columns = EventColumns(
        *([getattr(event, name) for event in events] for name in EventColumns.__slots__)
    )
    value = np.array([np.nan if event.value is None else event.value for event in events])
    rows = channel_rows(classify(columns, journey.signals), value, journey)
    named = classify(columns, journey.guardrails.events)
    event = np.flatnonzero(named != NO_SIGNAL)
    return ChannelRows(
        np.concatenate([rows.event, event]),
        np.concatenate([rows.channel, len(journey.channels) + named[event]]),
        np.concatenate([rows.amount, np.zeros(len(event))]),
    )


def changes(*columns: NDArray[Any]) -> BoolArray:
    """Whether a row differs from the one before it, [k]; the first does."""
    changed = np.ones(len(columns[0]), np.bool_)
    changed[1:] = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return changed


def _one_by_one(view: ContactView) -> tuple[Event, ...]:
    return view.events if view.state is None else (*view.state.words.open, *view.events)


def _folded(views: Sequence[ContactView], now_us: IntArray) -> tuple[NDArray[np.void], IntArray]:
    """The rows of all states, and whose they are."""
    tables, sizes = [np.empty(0, STATE_ROW)], [0] * len(views)
    for row, view in enumerate(views):
        if view.state is None:
            continue
        if view.state.as_of_us > now_us[row]:
            raise ValueError(
                f"expected a moment from {view.state.as_of_us} on, up to which the state of "
                f"{view.contact.contact_id!r} was folded, got {now_us[row]}; read all its events"
            )
        tables.append(view.state.rows)
        sizes[row] = len(view.state.rows)
    return np.concatenate(tables), np.repeat(np.arange(len(views)), sizes)
