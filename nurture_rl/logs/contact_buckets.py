"""The named events of a log on disk, cut into buckets of whole contacts in the contacts' order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.logs.in_turn import in_turn
from nurture_rl.logs.schema import UTC_TIME, TableKind, raw_schema
from nurture_rl.logs.spill import Spill
from nurture_rl.logs.spilled_events import NamedEvents, NamedPart

IntArray = NDArray[np.int64]

BUCKET_ROWS = 1 << 18  # of a bucket, but for one of a single contact with more
MOST_BUCKETS = 256  # files that are open at once
_NUMBER = "_contact"  # place of a row's contact among all contacts
_NOWHERE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class _Scattered:
    """Rows of one part, ordered by bucket."""

    rows: pa.Table
    ends: IntArray  # after the last row of each bucket, [buckets]
    last_us: int  # the latest `occurred_at`, UTC microseconds


class ContactBuckets:
    """Events by contact; memory holds some buckets at a time."""

    def __init__(self, events: NamedEvents, names: pa.Array, folder: Path) -> None:
        """Put every event into its contact's bucket.

        Args:
            events: at least one.
            names: by which contacts are ordered, of each of `events.contacts`, distinct.
            folder: where there is room for all events.

        Raises:
            OSError: the disk refuses.
        """
        order = np.asarray(pc.array_sort_indices(names)).astype(np.int64)
        self._contacts = events.contacts.take(pa.array(order))
        self._place = np.empty_like(order)
        self._place[order] = np.arange(order.size)
        self._bucket_of = _buckets(events.counts()[order])
        self.last_us = _NOWHERE  # UTC microseconds of the latest event's `occurred_at`
        fields = [f for f in raw_schema(TableKind.EVENTS) if f.name not in ("contact_id", "keys")]
        self._schema = pa.schema([*fields, pa.field(_NUMBER, pa.int32())])
        count = int(self._bucket_of[-1]) + 1
        self._spills = [Spill(folder / f"bucket-{i}.arrow", self._schema) for i in range(count)]
        for part in in_turn(lambda i: self._scattered(events.part(i)), events.parts()):
            self.last_us = max(self.last_us, part.last_us)
            start = 0
            for spill, end in zip(self._spills, part.ends.tolist(), strict=True):
                spill.add(part.rows.slice(start, end - start))
                start = end
        for spill in self._spills:
            spill.end()

    def parts(self) -> Iterator[pa.Table]:
        """The buckets in order, each once: its rows by contact and time, of raw_schema less keys.

        Rows of one contact and time stand in any order.
        """
        return in_turn(self._ordered, self._spills)

    def _scattered(self, part: NamedPart) -> _Scattered:
        number = self._place[part.contact]
        bucket = self._bucket_of[number]
        order = _grouped(bucket) if self._bucket_of[-1] else slice(None)
        rows = part.rows.take(pa.array(part.kept[order]))
        changed = {
            "recorded_at": pa.array(part.known_us[order]).cast(UTC_TIME),
            _NUMBER: pa.array(number[order].astype(np.int32)),
        }
        columns = [changed[name] if name in changed else rows[name] for name in self._schema.names]
        ends = np.cumsum(np.bincount(bucket, minlength=len(self._spills)))
        last = pc.max(rows["occurred_at"]).cast(pa.int64()).as_py()
        return _Scattered(pa.table(columns, schema=self._schema), ends, last)

    def _ordered(self, spill: Spill) -> pa.Table:
        """The rows of a bucket in order; gives its room back."""
        rows = spill.whole().combine_chunks()
        spill.remove()
        number = np.asarray(rows[_NUMBER]).astype(np.int64)
        by_time = np.argsort(np.asarray(rows["occurred_at"].cast(pa.int64())))
        order = by_time[_grouped(number[by_time])]
        names = self._contacts.take(pa.array(number[order]))
        rows = rows.drop_columns([_NUMBER]).take(pa.array(order))
        return rows.add_column(0, pa.field("contact_id", pa.string()), names)


def _grouped(numbers: IntArray) -> IntArray:
    """The order that puts equal numbers together, ascending, and else changes nothing, [n]."""
    small = numbers - numbers.min()
    # NumPy sorts numbers of 16 bits several times as fast as wider ones.
    return np.argsort(small.astype(np.min_scalar_type(int(small.max()))), kind="stable")


def _buckets(counts: IntArray) -> IntArray:
    """The bucket of each contact, ascending from 0, [contacts].

    Args:
        counts: how many events each has, [contacts].
    """
    ends = np.cumsum(counts)
    size = max(BUCKET_ROWS, -(-int(ends[-1]) // MOST_BUCKETS))
    _, bucket = np.unique((ends - counts) // size, return_inverse=True)
    return np.asarray(bucket, np.int64)
