"""What contacts' events add to a journey's channels, one by one or folded into states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import local_microseconds
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.signals import NO_SIGNAL, ChannelRows, EventColumns, channel_rows, classify
from nurture_envs.stops import forbids, say_of
from nurture_rl.serving.records import STATE_ROW, ContactView
from nurture_rl.serving.storage.rows import Row
from nurture_rl.serving.storage.stored_events import columns_of_rows, rows_of

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
    kept = [_one_by_one(view) for view in views]
    contact = np.repeat(np.arange(len(views)), [len(own) for own in kept])
    told = columns_of_rows(list(chain.from_iterable(kept)))
    occurred = np.array(told["occurred_us"], np.int64)
    recorded = np.array(told["recorded_us"], np.int64)
    known = np.maximum(occurred, recorded) <= now_us[contact]
    certain = np.array([view.acknowledged for view in views], np.bool_)[contact]
    kinds = zip(told["type"], told["reply_class"], strict=True)
    against = np.array([_is_against(*kind) for kind in kinds], np.bool_)
    counts = known | certain | against
    gone = np.zeros(len(occurred), np.bool_)
    if any(lifted):
        names = zip(told["event_id"], contact.tolist(), strict=True)
        gone[:] = [name in lifted[row] for name, row in names]
    own = channel_rows_of(journey, told)
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


@lru_cache(maxsize=4096)
def _is_against(kind: str, reply_class: str | None) -> bool:
    return forbids(say_of(kind, reply_class))


def channel_rows_of(journey: Journey, events: Mapping[str, Sequence[Any]]) -> ChannelRows:
    """What events add to the journey's channels, and to the events that guardrails name.

    The latter follow the channels and have no amount of their own.

    Args:
        journey: whose channels.
        events: columns of the events table, each [m].
    """
    columns = EventColumns(*(events[name] for name in EventColumns.__slots__))
    value = np.array([np.nan if one is None else one for one in events["value"]], np.float64)
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


def _one_by_one(view: ContactView) -> Sequence[Row]:
    """Rows of the events that no sum holds."""
    own = rows_of(view.events)
    if view.state is None or not view.state.words.open:
        return own
    return [*rows_of(view.state.words.open), *own]


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
