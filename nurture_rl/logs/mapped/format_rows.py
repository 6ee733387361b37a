"""A file of rows as a sender, CRM or page stream writes them → raw rows of the log's tables."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_envs.stops import OTHER_TYPES, plain
from nurture_rl.errors import LogError
from nurture_rl.logs.csv_records import lines_of, read_csv_lines
from nurture_rl.logs.jsonl import read_jsonl
from nurture_rl.logs.mapped.file_cells import decoded
from nurture_rl.logs.mapped.mapping_file import FileMapping, plain_cell
from nurture_rl.logs.mapped.translating import LEFT_OUT
from nurture_rl.logs.quarantine import BadLine, quarantine_lines, shown
from nurture_rl.logs.readers import RawCells, RawTable, typed
from nurture_rl.logs.reported.known_formats import FORMATS
from nurture_rl.logs.reported.report_format import (
    ReportedContact,
    ReportedEvent,
    ReportFormat,
    Row,
    UntranslatedRow,
)
from nurture_rl.logs.reported.report_json import UNREADABLE, read_report
from nurture_rl.logs.reported.stage_timeline import along_timeline
from nurture_rl.logs.schema import QUARANTINE, TableKind, raw_schema

_AT_ONCE = 20_000  # rows of the file in memory, before they are columns
_line_in = msgspec.json.Decoder(Any)
_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(slots=True)
class _Read:
    """What some rows of a file say."""

    events: list[tuple[int, ReportedEvent]] = field(default_factory=list)
    contacts: list[tuple[int, ReportedContact]] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)


def read_exported(mapping: FileMapping, path: Path) -> dict[TableKind, RawTable]:
    """Read one file by the format that its mapping names, some rows at a time.

    A line in JSON is a row, a list of rows, or an envelope with rows inside, as a webhook's body.

    Returns:
        By table: rows of `raw_schema`, and the quarantine. Rows that the format does not
        understand stand in the quarantine of events.

    Raises:
        LogError: the file as a whole cannot be read.
    """
    known = FORMATS[str(mapping.format)]
    found: dict[TableKind, list[RawTable]] = {TableKind.EVENTS: [], TableKind.CONTACTS: []}
    bad: list[BadLine] = []
    rows = _whole(values_of(mapping, path), path)
    while part := list(islice(rows, None if known.is_timeline else _AT_ONCE)):
        read = _translated(mapping, known, part)
        bad += read.bad
        for kind, lines in _lines(read).items():
            if lines:
                found[kind].append(_typed(lines, path.name, kind))
    unread = quarantine_lines(path.name, TableKind.EVENTS, bad)
    found[TableKind.EVENTS].append(RawTable(raw_schema(TableKind.EVENTS).empty_table(), unread))
    return {kind: _joined(kind, parts) for kind, parts in found.items() if parts}


def _typed(lines: list[tuple[int, bytes]], file: str, kind: TableKind) -> RawTable:
    """Objects of a table's own columns, each with the line that it came from, as typed rows."""
    table, extras, places, bad = read_jsonl((text for _, text in lines), kind)
    numbers = np.asarray([line for line, _ in lines], np.int64)
    placed = [BadLine(lines[one.line - 1][0], one.reason, one.text) for one in bad]
    own = numbers[np.asarray(places, np.int64) - 1]
    return typed(RawCells(table, extras, own, placed), file, kind)


def _joined(kind: TableKind, parts: list[RawTable]) -> RawTable:
    rows = pa.concat_tables([raw_schema(kind).empty_table(), *(part.rows for part in parts)])
    refused = pa.concat_tables([QUARANTINE.empty_table(), *(part.quarantine for part in parts)])
    return RawTable(rows, refused)


def _whole(rows: Iterator[tuple[int, Any]], path: Path) -> Iterator[tuple[int, Any]]:
    try:
        yield from rows
    except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
        raise LogError(
            f"expected {path.name} to be a whole, readable file, got: {error}; write it again"
        ) from error


def values_of(mapping: FileMapping, path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a file with their lines; what is no value is a `BadLine`."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        batches = pq.ParquetFile(path).iter_batches(_AT_ONCE)
        rows = (row for batch in batches for row in batch.to_pylist())
        for line, row in enumerate(rows, 1):
            yield line, {name: _plain(cell) for name, cell in row.items()}
    elif name.endswith((".jsonl", ".ndjson")):
        yield from _json_lines(lines_of(path))
    else:
        text = decoded(path, mapping.encoding)
        records = read_csv_lines(text, path.name, mapping.separator)
        cells = zip(*records.columns.values(), strict=True)
        for line, row in zip(records.lines, cells, strict=True):
            yield (
                line,
                {name: cell for name, cell in zip(records.columns, row, strict=True) if cell},
            )
        yield from ((one.line, one) for one in records.bad)


def _plain(cell: Any) -> Any:
    """A cell of Parquet as JSON would have it."""
    if isinstance(cell, datetime):
        return cell.isoformat()
    return float(cell) if isinstance(cell, Decimal) else cell


def _json_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            yield number, read_report(_line_in, line)
        except UNREADABLE as error:
            yield number, BadLine(number, f"malformed: {error}", shown(line))


def _translated(
    mapping: FileMapping, known: ReportFormat, part: Iterable[tuple[int, Any]]
) -> _Read:
    read = _Read()
    for line, value in part:
        if isinstance(value, BadLine):
            read.bad.append(value)
            continue
        for row in _inside(known, line, value, read):
            _take(mapping, known, line, row, read)
    if known.is_timeline:
        kept, aside = along_timeline(read.events, known.stages)
        read.events = kept
        read.bad += [BadLine(line, f"{LEFT_OUT}: {why}", _text(one)) for line, one, why in aside]
    return read


def _inside(known: ReportFormat, line: int, value: Any, read: _Read) -> list[Any]:
    """The rows of a line."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        return [value]
    try:
        return known.unwrap(value)
    except UntranslatedRow as error:
        read.bad.append(_refused(line, value, error))
        return []


def _take(mapping: FileMapping, known: ReportFormat, line: int, row: Any, read: _Read) -> None:
    if not isinstance(row, dict):
        text = f"not understood: expected an object, got {type(row).__name__}"
        read.bad.append(BadLine(line, text, _encode(row).decode()))
        return
    try:
        contacts, events = known.contacts(row), known.events(row)
        events = [_mapped(mapping, one) for one in events]
    except UntranslatedRow as error:
        read.bad.append(_refused(line, row, error))
        return
    read.contacts += [(line, one) for one in contacts]
    read.events += [(line, one) for one in events]


def _refused(line: int, row: Row, error: UntranslatedRow) -> BadLine:
    kind = "not understood" if error.may_forbid_mail else LEFT_OUT
    return BadLine(line, f"{kind}: {error}", _encode(row).decode())


def _mapped(mapping: FileMapping, event: ReportedEvent) -> ReportedEvent:
    """An event with the mapping's own words for what it tells and for its stage."""
    cells = dict(event.cells)
    inner = cells.get("properties")
    inner = inner if isinstance(inner, dict) else {}
    own = {"type": ("event", mapping.types), "stage": ("stage", mapping.stages)}
    for name, (said, words) in own.items():
        word = inner.get(said)
        if isinstance(word, str) and (key := plain_cell(word)) in words:
            if words[key] is None:
                raise UntranslatedRow(f"{word!r} is left empty in the mapping", False)
            cells[name] = words[key]
    kind = cells.get("type")
    if isinstance(kind, str):
        cells["type"] = OTHER_TYPES.get(plain(kind), kind)
    return ReportedEvent(cells, event.recipient, event.keys)


def _lines(read: _Read) -> dict[TableKind, list[tuple[int, bytes]]]:
    """What was read as lines of the log's own tables."""
    events = []
    for line, event in read.events:
        email = (f"email:{event.recipient.strip().lower()}",) if event.recipient else ()
        events.append((line, _encode({**event.cells, "keys": [*event.keys, *email]})))
    contacts = [(line, _encode({**one.cells, "keys": one.keys})) for line, one in read.contacts]
    return {TableKind.EVENTS: events, TableKind.CONTACTS: contacts}


def _text(event: ReportedEvent) -> str:
    return _encode(event.cells).decode()
