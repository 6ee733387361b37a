"""Raw files of one table → typed rows and a quarantine of what could not be read.

Columns the contract does not know are kept: those of events go into `properties`, those of contacts
into `attributes`, under their own name, or under "column:<name>" where the object already says
something else by that name. Unknown columns of decisions are ignored: a decision is what the
policy logged, and outcomes are joined again from the events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_rl.errors import LogError
from nurture_rl.logs.by_action import BY_ACTION, lists_by_action
from nurture_rl.logs.byte_window import DAMAGED
from nurture_rl.logs.convert import canonical_objects, convert_column
from nurture_rl.logs.csv_blocks import csv_blocks
from nurture_rl.logs.csv_records import lines_of
from nurture_rl.logs.jsonl import read_jsonl
from nurture_rl.logs.quarantine import BadLine, first_reason, quarantine_lines, sift
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, QUARANTINE, TableKind, raw_schema

IntArray = NDArray[np.int64]

PART_ROWS = 1 << 17  # rows that are read and checked at once
TEXT_SUFFIXES = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}  # → what parts cells
SUFFIXES = (".parquet", *TEXT_SUFFIXES, ".jsonl", ".jsonl.gz")
OBJECT_COLUMNS = {TableKind.EVENTS: "properties", TableKind.CONTACTS: "attributes"}
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class RawTable:
    """What one file, or several of one table, gave."""

    rows: pa.Table  # of raw_schema(kind)
    quarantine: pa.Table  # of QUARANTINE


@dataclass(frozen=True, slots=True)
class RawCells:
    """Consecutive rows of a file before any conversion."""

    table: pa.Table  # known columns only, in any type, [n]
    extras: list[
        dict[str, object] | None
    ]  # unknown columns of each row, [n]; empty: no row has any
    lines: IntArray  # 1-based, [n]
    bad: list[BadLine]


def read_raw(path: Path, kind: TableKind, actions: Sequence[str] | None = None) -> RawTable:
    """Read a whole file of one table.

    Args:
        path: the file; its suffix tells the format.
        kind: the table it holds.
        actions: the catalogue's ids in order, by which decisions may write probabilities and masks;
            None takes lists alone.

    Returns:
        Rows whose every cell has the contract's type, and the quarantine of the others. A line is
        1-based; in Parquet it is the row number.

    Raises:
        LogError: the file's suffix is unknown, or the file as a whole cannot be read.
    """
    parts = [typed(cells, path.name, kind, actions) for cells in read_cells(path, kind)]
    return RawTable(
        pa.concat_tables([raw_schema(kind).empty_table(), *(part.rows for part in parts)]),
        pa.concat_tables([QUARANTINE.empty_table(), *(part.quarantine for part in parts)]),
    )


def read_cells(path: Path, kind: TableKind) -> Iterator[RawCells]:
    """Read a Parquet, CSV, TSV or JSONL file (all but the first also gzipped), part after part.

    Decisions in JSONL are one part: how one of them writes its lists tells how all are read.

    Raises:
        LogError: the file's suffix is unknown, its name is no text, or the file as a whole cannot
            be read.
    """
    if path.name.encode(errors="replace").decode() != path.name:  # no table could name it
        raise LogError(f"expected a file name in UTF-8, got {path.name!a}; rename it")
    known = [field.name for field in raw_schema(kind)][:-2]
    try:
        yield from _find(path, known, kind)
    except DAMAGED as error:
        raise LogError(
            f"expected {path.name} to be a whole, readable {kind} file, got: {error}; "
            "write it again, or take it out of the folder"
        ) from error


def _find(path: Path, known: Sequence[str], kind: TableKind) -> Iterator[RawCells]:
    name = path.name
    if name.endswith(".parquet"):
        return _find_parquet(path, known, kind)
    if name.endswith(tuple(TEXT_SUFFIXES)):
        return _find_csv(path, known, kind)
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _find_jsonl(path, kind)
    raise LogError(
        f"expected a file ending in one of {', '.join(SUFFIXES)}, got {name}; convert it"
    )


def _find_parquet(path: Path, known: Sequence[str], kind: TableKind) -> Iterator[RawCells]:
    before = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PART_ROWS):
            batch.validate(full=True)  # text that is not UTF-8 is found nowhere else
            lines = np.arange(before + 1, before + len(batch) + 1)
            before += len(batch)
            yield _split(pa.table(batch), lines, [], known, kind)


def _find_csv(path: Path, known: Sequence[str], kind: TableKind) -> Iterator[RawCells]:
    """Every cell as a string; a record's line is the one it starts on."""
    delimiter = next(part for end, part in TEXT_SUFFIXES.items() if path.name.endswith(end))
    for block in csv_blocks(path, delimiter):
        yield _split(block.table, block.lines, block.bad, known, kind)


def _find_jsonl(path: Path, kind: TableKind) -> Iterator[RawCells]:
    lines, before = lines_of(path), 0
    size = None if kind is TableKind.DECISIONS else PART_ROWS
    while some := list(islice(lines, size)):
        table, extras, numbers, bad = read_jsonl(some, kind, before)
        before += len(some)
        yield RawCells(table, extras, np.asarray(numbers, np.int64), bad)


def _split(
    table: pa.Table, lines: IntArray, bad: list[BadLine], known: Sequence[str], kind: TableKind
) -> RawCells:
    """Rows of a file, their columns parted into known ones and others."""
    names = [name for name in table.column_names if name in known]
    extra = [name for name in table.column_names if name not in known]
    extras: list[dict[str, object] | None] = []
    if extra and kind in OBJECT_COLUMNS:
        extras = [_given(row) for row in table.select(extra).to_pylist()]
    return RawCells(table.select(names), extras, lines, bad)


def typed(
    source: RawCells, file: str, kind: TableKind, actions: Sequence[str] | None = None
) -> RawTable:
    """Convert every column, merge the extras, and quarantine rows with a cell that does not fit.

    Args:
        source: rows of one file.
        file: its name.
        kind: the table it holds.
        actions: as for `read_raw`.
    """
    n = len(source.lines)
    asis = source.table.combine_chunks()
    place = {FILE_COLUMN: pa.array([file]).take(_zeros(n)), LINE_COLUMN: pa.array(source.lines)}
    columns: dict[str, pa.Array] = {}
    reasons = [pa.nulls(n, pa.string())]
    for field in raw_schema(kind):
        if field.name in place:
            columns[field.name] = place[field.name]
            continue
        cells = _cells(asis, field.name, n)
        if field.name in BY_ACTION and kind is TableKind.DECISIONS and actions is not None:
            listed = lists_by_action(field.name, cells, actions)
            cells = listed.values
            reasons.append(listed.reasons)
        if field.name == OBJECT_COLUMNS.get(kind):
            converted = canonical_objects(field.name, cells)
        else:
            converted = convert_column(field.name, cells, field.type)
        columns[field.name] = converted.values
        reasons.append(converted.reasons)
    if kind in OBJECT_COLUMNS and any(source.extras):
        name = OBJECT_COLUMNS[kind]
        columns[name] = _merged(columns[name], source.extras)
    reason = first_reason(reasons)
    rows = pa.table(columns, schema=raw_schema(kind))
    unreadable = quarantine_lines(file, kind, source.bad)
    if reason.null_count == n:
        return RawTable(rows, unreadable)
    rows = rows.filter(reason.is_null())
    for name, values in place.items():
        asis = asis.append_column(name, values)
    return RawTable(rows, pa.concat_tables([unreadable, sift(asis, kind, reason)[1]]))


def _cells(table: pa.Table, name: str, n: int) -> pa.Array:
    """One column as a single array, or nulls where the file lacks it."""
    if name not in table.column_names:
        return pa.nulls(n)
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _zeros(n: int) -> pa.Array:
    return pa.array(np.zeros(n, dtype=np.int64))


def _given(row: dict[str, object]) -> dict[str, object] | None:
    """The members that say something, or None where none does."""
    kept = {name: value for name, value in row.items() if value is not None and value != ""}
    return kept or None


def _merged(objects: pa.Array, extras: Sequence[dict[str, object] | None]) -> pa.Array:
    """Put the extra columns of each row into its JSON object; neither side overwrites the other."""
    merged: list[str | None] = []
    for text, extra in zip(objects.to_pylist(), extras, strict=True):
        if extra is None:
            merged.append(text)
            continue
        members: dict[str, object] = msgspec.json.decode(text) if text else {}
        for name, value in extra.items():
            clash = name in members and members[name] != value
            members[f"column:{name}" if clash else name] = value
        merged.append(_SORTED.encode(members).decode())
    return pa.array(merged, pa.string())
