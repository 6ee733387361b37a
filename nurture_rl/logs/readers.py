"""Raw files of one table → typed rows and a quarantine of what could not be read.

Columns the contract does not know are kept: those of events go into `properties`, those of contacts
into `attributes`, under their own name, or under "column:<name>" where the object already says
something else by that name. Unknown columns of decisions are ignored: a decision is what the
policy logged, and outcomes are joined again from the events.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.by_action import BY_ACTION, lists_by_action
from nurture_rl.logs.convert import canonical_objects, convert_column
from nurture_rl.logs.csv_records import lines_of, read_csv_records
from nurture_rl.logs.jsonl import read_jsonl
from nurture_rl.logs.quarantine import BadLine, first_reason, quarantine_lines, sift
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, TableKind, raw_schema

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
    """A file's cells before any conversion."""

    table: pa.Table  # known columns only, in any type, [n]
    extras: list[
        dict[str, object] | None
    ]  # unknown columns of each row, [n]; empty: no row has any
    lines: Sequence[int]  # 1-based, [n]
    bad: list[BadLine]


def read_raw(path: Path, kind: TableKind, actions: Sequence[str] | None = None) -> RawTable:
    """Read a Parquet, CSV, TSV or JSONL file (all but the first also gzipped) of one table.

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
    known = [field.name for field in raw_schema(kind)][:-2]
    try:
        source = _find(path, known, kind)
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
        raise LogError(
            f"expected {path.name} to be a whole, readable {kind} file, got: {error}; "
            "write it again, or take it out of the folder"
        ) from error
    unreadable = quarantine_lines(path.name, kind, source.bad)
    typed = _typed(source, path.name, kind, actions)
    return RawTable(typed.rows, pa.concat_tables([unreadable, typed.quarantine]))


def read_lines(lines: Sequence[tuple[int, bytes]], file: str, kind: TableKind) -> RawTable:
    """Read rows of one table that are JSON objects of its columns.

    Args:
        lines: the line of the file that each came from, 1-based, and the object.
        file: its name.
        kind: the table.
    """
    table, extras, places, bad = read_jsonl((text for _, text in lines), kind)
    source = RawCells(table, extras, [lines[place - 1][0] for place in places], [])
    typed = _typed(source, file, kind, None)
    placed = [BadLine(lines[one.line - 1][0], one.reason, one.text) for one in bad]
    refused = quarantine_lines(file, kind, placed)
    return RawTable(typed.rows, pa.concat_tables([refused, typed.quarantine]))


def _find(path: Path, known: Sequence[str], kind: TableKind) -> RawCells:
    name = path.name
    if name.endswith(".parquet"):
        return _find_parquet(path, known, kind)
    if name.endswith(tuple(TEXT_SUFFIXES)):
        return _find_csv(path, known, kind)
    if name.endswith((".jsonl", ".jsonl.gz")):
        table, extras, lines, bad = read_jsonl(lines_of(path), kind)
        return RawCells(table, extras, lines, bad)
    raise LogError(
        f"expected a file ending in one of {', '.join(SUFFIXES)}, got {name}; convert it"
    )


def _find_parquet(path: Path, known: Sequence[str], kind: TableKind) -> RawCells:
    table = pq.ParquetFile(path).read()
    names = [name for name in table.column_names if name in known]
    extra = [name for name in table.column_names if name not in known]
    extras: list[dict[str, object] | None] = []
    if extra and kind in OBJECT_COLUMNS:
        extras = [_given(row) for row in table.select(extra).to_pylist()]
    return RawCells(table.select(names), extras, range(1, len(table) + 1), [])


def _find_csv(path: Path, known: Sequence[str], kind: TableKind) -> RawCells:
    """Every cell as a string; a record's line is the one it starts on."""
    delimiter = next(part for end, part in TEXT_SUFFIXES.items() if path.name.endswith(end))
    records = read_csv_records(path, delimiter)
    cells = {name: pa.array(values, pa.string()) for name, values in records.columns.items()}
    table = pa.table({name: values for name, values in cells.items() if name in known})
    extra = [name for name in records.columns if name not in known]
    extras: list[dict[str, object] | None] = []
    if extra and kind in OBJECT_COLUMNS:
        rows = zip(*(records.columns[name] for name in extra), strict=True)
        extras = [_given(dict(zip(extra, row, strict=True))) for row in rows]
    return RawCells(table, extras, records.lines, records.bad)


def _typed(source: RawCells, file: str, kind: TableKind, actions: Sequence[str] | None) -> RawTable:
    """Convert every column, merge the extras, and quarantine rows with a cell that does not fit."""
    n = len(source.lines)
    asis = source.table.combine_chunks()
    place = {FILE_COLUMN: pa.array([file]).take(_zeros(n)), LINE_COLUMN: _line_array(source.lines)}
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
    if any(source.extras):
        name = OBJECT_COLUMNS[kind]
        columns[name] = _merged(columns[name], source.extras)
    reason = first_reason(reasons)
    good = reason.is_null()
    rows = pa.table(columns, schema=raw_schema(kind)).filter(good)
    for name, values in place.items():
        asis = asis.append_column(name, values)
    return RawTable(rows, sift(asis, kind, reason)[1])


def _cells(table: pa.Table, name: str, n: int) -> pa.Array:
    """One column as a single array, or nulls where the file lacks it."""
    if name not in table.column_names:
        return pa.nulls(n)
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _zeros(n: int) -> pa.Array:
    return pa.array(np.zeros(n, dtype=np.int64))


def _line_array(lines: Sequence[int]) -> pa.Array:
    return pa.array(np.asarray(lines, dtype=np.int64))


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
