"""A mapped file → raw rows of the log's tables, and the quarantine of rows that do not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import LogError
from nurture_rl.logs.convert import Converted, convert_column
from nurture_rl.logs.mapped.file_cells import FileCells, read_cells
from nurture_rl.logs.mapped.format_rows import read_exported
from nurture_rl.logs.mapped.mapping_file import (
    CellSource,
    FileMapping,
    TableMapping,
    mappings_in,
    plain_cell,
)
from nurture_rl.logs.mapped.translating import LEFT_OUT, by_values, to_number, to_truth, to_utc
from nurture_rl.logs.privacy_rules import PRIVACY_FILE, PrivacyRules
from nurture_rl.logs.quarantine import first_reason, quarantine_lines, reason_where, sift
from nurture_rl.logs.readers import OBJECT_COLUMNS, RawTable
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, QUARANTINE, TableKind, raw_schema

_KEYS = "key:"  # such as key:email, whose cells name a contact together with the kind
_IS, _AND = "\x1f", "\x1e"  # between a column's name and its cell, and between cells
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class MappedTables:
    """What the mappings of a folder give."""

    tables: Mapping[TableKind, Mapping[str, RawTable]]  # by table, and by name of the file
    notes: tuple[str, ...]  # words of mappings that no row says


def mapped_tables(folder: Path, privacy: PrivacyRules | None = None) -> MappedTables:
    """Read every file that a mapping names.

    Args:
        folder: of the log's files.
        privacy: rules of the same folder; None: it has none.

    Raises:
        LogError: a mapping, or a file that one names, cannot be read; or one keeps names of people
            that the rules of privacy hide.
    """
    found: dict[TableKind, dict[str, RawTable]] = {kind: {} for kind in TableKind}
    notes: list[str] = []
    for mapping in mappings_in(folder):
        if privacy is not None:
            _require_hidden(mapping, privacy)
        heard: set[tuple[str, str]] = set()
        for path in mapping.files():
            for kind, table in read_mapped(mapping, path, heard).items():
                found[kind][path.name] = table
        notes += _unheard(mapping, heard)
    return MappedTables(found, tuple(notes))


def _unheard(mapping: FileMapping, heard: set[tuple[str, str]]) -> list[str]:
    """Words that a mapping gives a meaning, and no row says: they may be misspelt."""
    asked: dict[str, list[str]] = {}
    for table in mapping.tables:
        for source in table.sources.values():
            words = asked.setdefault(source.column or "", [])
            words += [w for w in source.values if (source.column, w) not in heard]
    return [
        f"{mapping.path.name}: no row says {', '.join(map(repr, dict.fromkeys(words)))} in "
        f"{column!r}, which the mapping gives a meaning"
        for column, words in asked.items()
        if words
    ]


def _require_hidden(mapping: FileMapping, privacy: PrivacyRules) -> None:
    """Guard against pseudonyms beside the very names that they hide.

    Raises:
        LogError: a column that names people goes on as a property or an attribute.
    """
    naming = {
        source.column
        for table in mapping.tables
        for name, source in table.sources.items()
        if name == "contact_id" or name.startswith(_KEYS)
    }
    lists = {TableKind.EVENTS: privacy.properties, TableKind.CONTACTS: privacy.attributes}
    for table in mapping.tables:
        shown = [name for name in table.keep if name in naming]
        if shown and privacy.key is not None and lists[table.kind] is None:
            told = ", ".join(map(repr, shown))
            raise LogError(
                f"{mapping.path}: {table.kind} keep {told}, which names people, and {PRIVACY_FILE} "
                "asks for pseudonyms: take it out of `keep`, or list what is kept under "
                f"`{OBJECT_COLUMNS[table.kind]}` there"
            )


def read_mapped(
    mapping: FileMapping, path: Path, heard: set[tuple[str, str]]
) -> dict[TableKind, RawTable]:
    """Read one file by its mapping.

    An event without an id gets one from what its row says, so the same row twice is one event.

    Args:
        mapping: of the file.
        path: the file.
        heard: columns and their cells, of those that the mapping gives a meaning; added to.

    Returns:
        By table: rows of `raw_schema`, and the quarantine. Lines that are no row stand in the
        quarantine of the first table of the mapping.

    Raises:
        LogError: the file cannot be read, or lacks a column that the mapping names.
    """
    if mapping.format is not None:
        return read_exported(mapping, path)
    cells = read_cells(path, mapping.encoding, mapping.separator)
    cells = _with_named_columns(mapping, path, cells)
    for source in (source for table in mapping.tables for source in table.sources.values()):
        if source.values and source.column is not None:
            said = cells.columns[source.column].unique().drop_null().to_pylist()
            heard |= {(source.column, plain_cell(cell)) for cell in said}
    found: dict[TableKind, list[RawTable]] = {}
    for i, table in enumerate(mapping.tables):
        made = _rows(mapping, table, path.name, cells)
        bad = quarantine_lines(path.name, table.kind, cells.bad if i == 0 else [])
        refused = pa.concat_tables([bad, made.quarantine])
        found.setdefault(table.kind, []).append(RawTable(made.rows, refused))
    return {kind: _joined(kind, parts) for kind, parts in found.items()}


def _joined(kind: TableKind, parts: Sequence[RawTable]) -> RawTable:
    rows = pa.concat_tables([raw_schema(kind).empty_table(), *(part.rows for part in parts)])
    refused = pa.concat_tables([QUARANTINE.empty_table(), *(part.quarantine for part in parts)])
    return RawTable(rows, refused)


def _with_named_columns(mapping: FileMapping, path: Path, cells: FileCells) -> FileCells:
    """The cells with every column that the mapping names; a file without rows may tell of none.

    Raises:
        LogError: a file with rows, or with a header, lacks a column.
    """
    named = [
        name
        for table in mapping.tables
        for name in (
            *(source.column for source in table.sources.values()),
            *table.keep,
            table.if_given,
        )
        if name is not None
    ]
    missing = [name for name in dict.fromkeys(named) if name not in cells.columns]
    if missing and (cells.rows or not path.name.endswith((".jsonl", ".ndjson", ".gz"))):
        raise LogError(
            f"{mapping.path}: {path.name} has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, cells.columns)) or 'none'}"
        )
    nothing = {name: pa.nulls(cells.rows, pa.string()) for name in missing}
    return replace(cells, columns={**cells.columns, **nothing})


def _rows(mapping: FileMapping, table: TableMapping, file: str, cells: FileCells) -> RawTable:
    asis = pa.table(
        {
            **cells.columns,
            FILE_COLUMN: pa.array([file] * cells.rows, pa.string()),
            LINE_COLUMN: pa.array(np.asarray(cells.lines, dtype=np.int64)),
        }
    )
    if table.if_given is not None:
        asis = asis.filter(asis[table.if_given].is_valid())
    asis = asis.combine_chunks()
    columns: dict[str, pa.Array] = {}
    reasons = [pa.nulls(len(asis), pa.string())]
    for field in raw_schema(table.kind):
        if field.name in (FILE_COLUMN, LINE_COLUMN):
            columns[field.name] = _column(asis, field.name)
            continue
        if field.name == OBJECT_COLUMNS[table.kind]:
            columns[field.name] = _kept(asis, table.keep)
            continue
        if field.name == "keys":
            columns[field.name] = _keys(asis, table)
            continue
        source = table.sources.get(field.name)
        words, against = _words(mapping, field, source, asis)
        converted = convert_column(field.name, words, field.type)
        columns[field.name] = converted.values
        reasons += [*against, converted.reasons]
    if table.kind is TableKind.EVENTS:
        columns["event_id"] = _with_ids(columns, asis)
    reason = first_reason(reasons)
    rows = pa.table(columns, schema=raw_schema(table.kind)).filter(reason.is_null())
    return RawTable(rows, sift(asis, table.kind, reason)[1])


def _words(
    mapping: FileMapping, field: pa.Field, source: CellSource | None, asis: pa.Table
) -> tuple[pa.Array, list[pa.Array]]:
    """One column of a table as text that the tables' own reader takes, and reasons against it."""
    if source is None:
        return pa.nulls(len(asis)), []
    chosen = _chosen(source, asis)
    if pa.types.is_timestamp(field.type):
        read = to_utc(field.name, chosen.values, mapping.times, mapping.zone)
    elif pa.types.is_floating(field.type):
        read = to_number(field.name, chosen.values, mapping.decimal)
    elif pa.types.is_boolean(field.type):
        read = to_truth(field.name, chosen.values)
    elif field.name == "type" and source.column is not None:
        return chosen.values, [chosen.reasons, _left_out(asis, source, chosen)]
    else:
        return chosen.values, [chosen.reasons]
    return read.values, [chosen.reasons, read.reasons]


def _chosen(source: CellSource, asis: pa.Table) -> Converted:
    if source.column is not None:
        return by_values(_column(asis, source.column), source)
    words = pa.array([source.constant] * len(asis), pa.string())
    return Converted(words, pa.nulls(len(asis), pa.string()))


def _left_out(asis: pa.Table, source: CellSource, chosen: Converted) -> pa.Array:
    """The reason against rows whose type the mapping leaves empty."""
    given = _column(asis, source.column)
    nothing = pc.and_(given.is_valid(), chosen.values.is_null())
    return reason_where(nothing, f"{LEFT_OUT}: {source.column} is '", given, "'")


def _keys(asis: pa.Table, table: TableMapping) -> pa.Array:
    """The keys that name each row's contact, such as `email:ada@example.com`."""
    named = [
        (name.removeprefix(_KEYS), _key_cells(name, _column(asis, source.column)))
        for name, source in table.sources.items()
        if name.startswith(_KEYS) and source.column is not None
    ]
    kinds = [kind for kind, _ in named]
    rows = zip(*(cells.to_pylist() for _, cells in named), strict=True)
    keys: list[list[str] | None] = [
        [f"{kind}:{cell}" for kind, cell in zip(kinds, row, strict=True) if cell is not None]
        for row in rows
    ]
    return pa.array(keys or [None] * len(asis), pa.list_(pa.string()))


def _key_cells(name: str, cells: pa.Array) -> pa.Array:
    """An address is the same however it is written."""
    return pc.utf8_lower(cells) if name == f"{_KEYS}email" else cells


def _kept(asis: pa.Table, keep: Sequence[str]) -> pa.Array:
    """The columns that go on under their own names, as a JSON object."""
    if not keep:
        return pa.nulls(len(asis), pa.string())
    rows = zip(*(_column(asis, name).to_pylist() for name in keep), strict=True)
    objects = [
        {name: cell for name, cell in zip(keep, row, strict=True) if cell is not None}
        for row in rows
    ]
    return pa.array([_SORTED.encode(one).decode() for one in objects], pa.string())


def _with_ids(columns: dict[str, pa.Array], asis: pa.Table) -> pa.Array:
    """Each event's id: the given one, or a hash of all that its row says, and of its type."""
    given = columns["event_id"]
    if not given.null_count:
        return given
    names = sorted({*asis.column_names} - {FILE_COLUMN, LINE_COLUMN})
    parts = [
        pc.binary_join_element_wise(pa.scalar(name), _column(asis, name), _IS)  # null: says nothing
        for name in names
    ]
    # Arrow leaves a row out of the joined ones, not empty, where all of its parts are null.
    nothing = reduce(pc.and_, [part.is_null() for part in (*parts, columns["type"])])
    kind = pc.if_else(nothing, pa.scalar(""), columns["type"])
    said = pc.binary_join_element_wise(*parts, kind, _AND, null_handling="skip")
    made = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in said.to_pylist()]
    return pc.coalesce(given, pa.array(made, pa.string()))


def _column(table: pa.Table, name: str | None) -> pa.Array:
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
