"""Events to Parquet in their order, however many there are: DuckDB sorts, on disk if it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.logs.schema import EVENTS

MEMORY = "2GB"  # that sorting may take before it goes on on disk
GROUP_ROWS = 1 << 20  # of a row group
_ORDER = "contact_id, occurred_at, event_id"  # no two events are equal in all of them


@dataclass(frozen=True, slots=True)
class WrittenEvents:
    """A file of events."""

    path: Path
    first_at: datetime  # `occurred_at` of the earliest
    last_at: datetime  # of the latest


def write_events(
    rows: Iterable[pa.Table],
    changed: Callable[[pa.Table], pa.Table],
    path: Path,
    folder: Path,
) -> WrittenEvents:
    """Write events ordered by contact, time and id.

    Args:
        rows: with the columns of `EVENTS`, at least one row.
        changed: is given all rows of some contacts, in order, and returns them as they are written.
        path: the Parquet file to write.
        folder: where there is room for what does not fit into memory.

    Raises:
        OSError: the disk refuses.
        duckdb.Error: the disk has no room to sort them.
    """
    spans: list[dict[str, datetime]] = []
    with pq.ParquetWriter(path, EVENTS, compression="zstd") as writer:
        contacts = _whole_contacts(_in_order(rows, folder))
        for part in _of_size(changed(some).cast(EVENTS) for some in contacts):
            writer.write_table(part)
            spans.append(pc.min_max(part["occurred_at"]).as_py())
    return WrittenEvents(
        path, min(span["min"] for span in spans), max(span["max"] for span in spans)
    )


def _in_order(rows: Iterable[pa.Table], folder: Path) -> Iterator[pa.Table]:
    tables = (table.select(EVENTS.names).cast(EVENTS) for table in rows)
    batches = (batch for table in tables for batch in table.to_batches())
    with duckdb.connect() as engine:
        engine.execute("SET memory_limit = $1", [MEMORY])
        engine.execute("SET temp_directory = $1", [str(folder)])
        engine.register("events", pa.RecordBatchReader.from_batches(EVENTS, batches))
        ordered = engine.execute(f"SELECT * FROM events ORDER BY {_ORDER}")
        for batch in ordered.to_arrow_reader(GROUP_ROWS):
            yield pa.table(batch).cast(EVENTS)


def _whole_contacts(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of ordered tables, cut where a contact ends."""
    held = EVENTS.empty_table()
    for table in tables:
        ids = table["contact_id"].combine_chunks()
        last = pc.index(ids, ids[-1]).as_py()
        if last or (len(held) and held["contact_id"][-1] != ids[-1]):
            yield pa.concat_tables([held, table.slice(0, last)]).combine_chunks()
            held = table.slice(last)
        else:
            held = pa.concat_tables([held, table])
    if len(held):
        yield held.combine_chunks()


def _of_size(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of tables in parts of `GROUP_ROWS`."""
    held = EVENTS.empty_table()
    for table in tables:
        held = pa.concat_tables([held, table])
        while len(held) >= GROUP_ROWS:
            yield held.slice(0, GROUP_ROWS).combine_chunks()
            held = held.slice(GROUP_ROWS)
    if len(held):
        yield held.combine_chunks()
