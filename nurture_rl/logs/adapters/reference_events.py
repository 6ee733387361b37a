"""Raw events of what happened to simulated contacts in a bin: when, about what, known how late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import DAY_US, HOUR_US, Clock, utc_microseconds
from nurture_envs.journey import Journey, Signal
from nurture_rl.logs.schema import UTC_TIME

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
EventRows = dict[str, NDArray[Any]]

NO_ACTION = -1
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_MAIL = ("sent", "delivered", "hard_bounce", "open", "click", "reply", "unsubscribe", "complaint")
_WEB = ("page_view", "form_submitted")
_PRODUCT = ("product_used", "purchase")
_MORNING = 9 * HOUR_US  # when mail is answered on days without any

# Event type -> earliest, spread: microseconds into the send, or into the local day for other types.
_TIMES: dict[str, tuple[int, int]] = {
    "sent": (0, 0),
    "delivered": (30 * _SECOND, 0),
    "hard_bounce": (60 * _SECOND, 0),
    "open": (120 * _SECOND, 4 * HOUR_US),
    "click": (600 * _SECOND, 6 * HOUR_US),
    "reply": (HOUR_US, 7 * HOUR_US),
    "unsubscribe": (1200 * _SECOND, 6 * HOUR_US),
    "complaint": (1200 * _SECOND, 6 * HOUR_US),
    "page_view": (8 * HOUR_US, 13 * HOUR_US),
    "form_submitted": (21 * HOUR_US, HOUR_US),
    "product_used": (7 * HOUR_US, 14 * HOUR_US),
    "escalated": (9 * HOUR_US, 0),
    "slowed": (0, 0),
    "stage_changed": (17 * HOUR_US, 0),
}
_AT_WORK = (9 * HOUR_US, 9 * HOUR_US)  # every other type
_MACHINE_TIMES = (33 * _SECOND, 2 * _SECOND)  # a gateway follows links at once


@dataclass(frozen=True, slots=True)
class Happened:
    """What one bin brought to m contacts."""

    ids: NDArray[np.str_]  # [m]
    zones: NDArray[np.str_]  # of the clock the sender works with, [m]
    anchor_us: IntArray  # [m]
    bins: IntArray  # [m]
    action: IntArray  # catalogue index, NO_ACTION before entry, [m]
    decision_ids: NDArray[Any]  # [m]
    amounts: FloatArray  # [m, c]
    delays: IntArray  # bins until the log knows of each channel's events, [m, c]
    luck: FloatArray  # uniform, [m, signals]

    def of(self, rows: IntArray) -> Happened:
        """The contacts of some rows; one row may come several times."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True)
class EventWriter:
    """Turns channel sums into events; several of a channel in one bin become several events."""

    journey: Journey
    catalog: ActionCatalog

    def table(self, happened: Happened) -> pa.Table:
        """The raw events of a bin."""
        parts = [self._rows(*part) for part in self._parts(happened)]
        return _table(parts)

    def empty(self) -> pa.Table:
        """No events, with the columns of all."""
        nobody, none = np.zeros(0, "U1"), np.zeros(0, np.int64)
        empty = np.zeros((0, len(self.journey.channels)))
        luck = np.zeros((0, len(self.journey.signals)), np.float32)
        return self.table(
            Happened(
                ids=nobody,
                zones=nobody,
                anchor_us=none,
                bins=none,
                action=none,
                decision_ids=none.astype(object),
                amounts=empty.astype(np.float32),
                delays=empty.astype(np.int64),
                luck=luck,
            )
        )

    def _parts(self, happened: Happened) -> Iterator[tuple[Signal, int, Happened, IntArray]]:
        """Each signal with its column, the contacts it happened to, and which time in a row."""
        for column, signal in enumerate(self.journey.signals):
            times = happened.amounts[:, column].astype(np.int64)
            rows = np.repeat(np.arange(len(times)), times)
            nth = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
            yield signal, column, happened.of(rows), nth

    def _rows(self, signal: Signal, column: int, of: Happened, nth: IntArray) -> EventRows:
        mail = signal.type in _MAIL
        messages = [self.catalog.actions[a].message if a != NO_ACTION else None for a in of.action]
        about = messages if mail else [None] * len(of.ids)
        topics = [signal.topic or (m.topic if m else None) for m in about]
        local = self._local_us(signal, of, (of.luck[:, column] + 0.618 * nth) % 1.0)
        known = recorded_us(self.journey.clock, of.anchor_us, of.bins, local, of.delays[:, column])
        return {
            "event_id": _objects(
                f"{name}.{b}.{signal.name}" + (f".{k}" if k else "")
                for name, b, k in zip(of.ids, of.bins, nth, strict=True)
            ),
            "keys": _objects([_keys(signal.type, n) for n in of.ids]),
            "occurred_at": utc_microseconds(local, of.zones),
            "recorded_at": utc_microseconds(known, of.zones),
            "type": np.full(len(of.ids), signal.type, object),
            "source": np.full(len(of.ids), _source(signal.type), object),
            "message_id": _objects([m.id if m else None for m in about]),
            "decision_id": _objects(
                made if m else None for m, made in zip(about, of.decision_ids, strict=True)
            ),
            "topic": _objects(topics),
            "page_category": np.full(len(of.ids), signal.page_category, object),
            "reply_class": np.full(len(of.ids), signal.reply_class, object),
            "stage": np.full(len(of.ids), signal.stage, object),
            "value": self._values(signal, of, nth),
            "is_machine": np.full(len(of.ids), bool(signal.is_machine)),
        }

    def _values(self, signal: Signal, of: Happened, nth: IntArray) -> NDArray[np.float64]:
        """The bin's value on its first event; NaN where the signal has none."""
        if not signal.valued:
            return np.full(len(nth), np.nan)
        total = of.amounts[:, self.journey.channel_index(f"{signal.name}.value")]
        return np.where(nth == 0, total, 0.0).astype(np.float64)

    def _local_us(self, signal: Signal, of: Happened, luck: NDArray[np.float64]) -> IntArray:
        """When each event happened on the sender's clock, inside its bin, [k]."""
        clock = self.journey.clock
        begin = of.anchor_us + clock.start_us(of.bins)
        end = of.anchor_us + clock.start_us(of.bins + 1) - _MINUTE
        earliest, spread = _TIMES.get(signal.type, _AT_WORK)
        if signal.type == "click" and signal.is_machine:
            earliest, spread = _MACHINE_TIMES
        if signal.type in _MAIL:
            start, luck_of_day = self._sent_us(of, begin), luck
        else:
            whole, luck_of_day = np.divmod(luck * np.maximum((end - begin) // DAY_US + 1, 1), 1.0)
            midnight = begin - begin % DAY_US
            start = np.maximum(midnight + whole.astype(np.int64) * DAY_US, begin)
        at = start + earliest + (luck_of_day * spread).astype(np.int64)
        squeezed = start + (luck_of_day * np.maximum(end - start, 0)).astype(np.int64)
        return np.asarray(np.where(at <= end, at, np.minimum(squeezed, end)), np.int64)

    def _sent_us(self, of: Happened, begin: IntArray) -> IntArray:
        """When the bin's mail went out; in the morning where it had none."""
        slots = np.append(self.catalog.slots, 0)  # NO_ACTION reads the last
        slot, midnight = slots[of.action], begin - begin % DAY_US
        sends = np.append(self.catalog.routed("send"), False)[of.action]
        at = np.where(slot == NOW, begin, midnight + slot * HOUR_US)
        return np.asarray(np.where(sends, at, begin + _MORNING), np.int64)


def recorded_us(
    clock: Clock, anchor_us: IntArray, bins: IntArray, local_us: IntArray, delay: IntArray
) -> IntArray:
    """When the log knows of events, [k] local microseconds: in bin `bins + delay`, [k]."""
    begin = anchor_us + clock.start_us(bins)
    later = anchor_us + clock.start_us(bins + delay)
    last = anchor_us + clock.start_us(bins + delay + 1) - _SECOND
    waited = np.minimum(local_us + (later - begin), last)
    return np.asarray(np.where(delay > 0, waited, local_us), np.int64)


def _keys(event_type: str, name: str) -> list[str]:
    """Who the event says it is from: web pages know a cookie, a form joins it to the address."""
    address = [f"email:{name}@example.com"]
    if event_type == "page_view":
        return [f"cookie:{name}"]
    return [*address, f"cookie:{name}"] if event_type == "form_submitted" else address


def _source(event_type: str) -> str:
    if event_type in _WEB:
        return "web"
    if event_type in _PRODUCT:
        return "product"
    return "email" if event_type in _MAIL else "crm"


def _objects(values: Any) -> NDArray[Any]:
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def _table(parts: list[EventRows]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        if name in ("occurred_at", "recorded_at"):
            columns[name] = pa.array(values, UTC_TIME)
        elif name == "is_machine":
            columns[name] = pa.array(values.astype(bool))
        elif name == "value":
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        elif name == "keys":
            columns[name] = pa.array(values.tolist(), pa.list_(pa.string()))
        else:
            columns[name] = pa.array(values.tolist(), pa.string())
    return pa.table(columns)
