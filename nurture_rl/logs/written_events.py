"""Events to Parquet in their order: by contact, time and id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.logs.schema import EVENTS

GROUP_ROWS = 1 << 18  # of a row group
# Columns in which most cells differ: a dictionary of them is made in vain.
_DISTINCT = ("event_id", "message_id", "occurred_at", "recorded_at", "value")


@dataclass(frozen=True, slots=True)
class WrittenEvents:
    """A file of events."""

    path: Path
    rows: int
    contacts: pa.Array  # that have events in it, each once
    first_at: str | None  # `occurred_at` of the earliest, ISO-8601; None: there is no row
    last_at: str | None  # of the latest


def write_events(parts: Iterable[pa.Table], path: Path) -> WrittenEvents:
    """Write events ordered by contact, time and id; one part is made while another is written.

    Args:
        parts: of `EVENTS`, ordered by contact and time, all of each contact in
            one part.
        path: the Parquet file to write.

    Raises:
        OSError: the disk refuses.
    """
    spans: list[dict[str, datetime]] = []
    contacts = [pa.array([], pa.string())]
    repeating = [name for name in EVENTS.names if name not in _DISTINCT]
    count = 0

    def ordered() -> Iterator[pa.Table]:
        for rows in parts:
            contacts.append(pc.unique(rows["contact_id"].combine_chunks()))
            yield by_id_too(rows.combine_chunks())

    with (
        pq.ParquetWriter(path, EVENTS, compression="zstd", use_dictionary=repeating) as writer,
        ThreadPoolExecutor(1) as aside,
    ):
        writing = aside.submit(lambda: None)
        for group in _of_size(ordered()):
            spans.append(pc.min_max(group["occurred_at"]).as_py())
            count += len(group)
            writing.result()
            writing = aside.submit(writer.write_table, group)
        writing.result()
    return WrittenEvents(
        path,
        count,
        pa.concat_arrays(contacts),
        min(span["min"] for span in spans).isoformat() if spans else None,
        max(span["max"] for span in spans).isoformat() if spans else None,
    )


def by_id_too(rows: pa.Table) -> pa.Table:
    """Rows ordered by contact and time, those of one contact and time by their ids.

    Args:
        rows: events, in one chunk, no two of one id, [n].
    """
    again = pc.and_(_as_before(rows["contact_id"]), _as_before(rows["occurred_at"]))
    same = np.r_[False, np.asarray(again, np.bool_), False]
    tied = np.flatnonzero(same[1:] | same[:-1])[: len(rows)]
    if not tied.size:
        return rows
    ids = rows.select(["contact_id", "occurred_at", "event_id"]).take(pa.array(tied))
    order = np.arange(len(rows))
    order[tied] = tied[
        np.asarray(pc.sort_indices(ids, [(name, "ascending") for name in ids.column_names]))
    ]
    return rows.take(pa.array(order))


def _as_before(column: pa.ChunkedArray) -> pa.Array:
    """Whether each cell but the first equals the one before it."""
    cells = column.combine_chunks()
    return pc.equal(cells[1:], cells[:-1])


def _of_size(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of tables in parts of `GROUP_ROWS`."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += len(table)
        while count >= GROUP_ROWS:
            whole = pa.concat_tables(held)
            yield whole.slice(0, GROUP_ROWS).combine_chunks()
            held, count = [whole.slice(GROUP_ROWS)], count - GROUP_ROWS
    if count:
        yield pa.concat_tables(held).combine_chunks()
