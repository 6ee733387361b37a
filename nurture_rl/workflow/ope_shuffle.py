"""Bringing the rows of a large table together by contact, on disk, in bounded memory.

Every unit of row groups is written anew with its rows in parts by a hash of their contact, so that
a part of the whole table is that part of each unit. What is written is never written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from nurture_rl.interchange.frame_batches import FrameDoor, ids_of, needed
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.streaming.passes import Pace, RowGroup, batches, in_order, joined
from nurture_rl.progress import PROGRESS

ROW = "__row"  # where a row stood in the table, 0-based
LEAST_ROWS = 262_144  # of a unit


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Where a table's rows lie, by contact."""

    door: FrameDoor
    groups: Sequence[RowGroup]  # of the table
    folder: Path
    n_parts: int  # a power of two

    @property
    def units(self) -> list[RowGroup]:
        """Row groups that are written together."""
        return joined(self.groups, LEAST_ROWS)

    def file(self, unit: RowGroup) -> Path:
        """Where a unit's rows lie."""
        return self.folder / f"rows-{unit.first_row:012d}.arrow"

    def part(self, number: int) -> tuple[pa.Table, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """All rows of some contacts, and where they stood in the table, ascending, [n]."""
        found = []
        for unit in self.units:
            with pa.memory_map(str(self.file(unit))) as source:
                file = pa.ipc.open_file(source)
                places = range(number, file.num_record_batches, self.n_parts)
                found += [pa.Table.from_batches([file.get_batch(at)]) for at in places]
        table = pa.concat_tables(found).combine_chunks()
        return table.drop([ROW]), table[ROW].to_numpy()


def parts_for(rows: int, most: int) -> int:
    """How many parts leave about `most` rows in each, a power of two."""
    return 1 << max(0, -(-rows // most) - 1).bit_length()


def shuffled(given: Shuffle, workers: int) -> None:
    """Write every unit that is not written yet.

    Raises:
        OSError: the disk refuses.
    """
    given.folder.mkdir(parents=True, exist_ok=True)
    waiting = [unit for unit in given.units if not given.file(unit).exists()]
    total = sum(unit.n_rows for unit in given.units)
    done = total - sum(unit.n_rows for unit in waiting)
    pace = Pace(total, done)

    def work(unit: RowGroup) -> None:
        _write(given, unit)

    for unit, _ in in_order(waiting, work, workers):
        done += unit.n_rows
        PROGRESS.info("bringing contacts together: %s", pace.line(done))


def _write(given: Shuffle, unit: RowGroup) -> None:
    door, sink = given.door, pa.BufferOutputStream()
    writer = None
    columns = needed(door.columns, door.meaning)
    for batch, first in batches(door.path, unit, columns, LEAST_ROWS):
        table = _plain(batch).append_column(ROW, pa.array(np.arange(first, first + len(batch))))
        part = np.zeros(len(table), dtype=np.int64)
        if given.n_parts > 1:
            part = bucket_of(ids_of(table[door.columns.contact]), given.n_parts)
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(given.n_parts + 1))
        sorted_rows = table.take(order).combine_chunks()
        writer = writer or pa.ipc.new_file(sink, table.schema)
        for k in range(given.n_parts):
            rows = sorted_rows.slice(ends[k], ends[k + 1] - ends[k])
            writer.write_batch(_one_batch(rows))
    if writer is not None:
        writer.close()
    atomic_write_bytes(given.file(unit), sink.getvalue())


def _plain(table: pa.Table) -> pa.Table:
    """Categories as what they stand for: each batch has categories of its own."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table[field.name].cast(field.type.value_type)
            table = table.set_column(place, field.name, column)
    return table


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    found = table.to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=table.schema)
