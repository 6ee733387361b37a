"""A file of any of the usual forms as columns of text, each row with its line."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.byte_window import DAMAGED
from nurture_rl.logs.csv_records import read_csv_lines
from nurture_rl.logs.quarantine import BadLine

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DEEPEST = 8  # objects inside of objects whose members become columns of their own


@dataclass(frozen=True, slots=True)
class FileCells:
    """What a file holds, before any of it means something."""

    columns: dict[str, pa.Array]  # text, null where a row says nothing, [n] each
    lines: Sequence[int]  # 1-based, [n]; in Parquet the row's number
    bad: list[BadLine]  # lines that are no row

    @property
    def rows(self) -> int:
        """How many rows could be read."""
        return len(self.lines)


def read_cells(path: Path, encoding: str = "utf-8", separator: str = ",") -> FileCells:
    """Read a CSV, JSON-lines or Parquet file; text may be gzipped.

    Members of objects in JSON are columns such as `user.email`; lists are their JSON text.

    Args:
        path: the file; its name tells the form.
        encoding: of text.
        separator: what parts the cells of a CSV file.

    Raises:
        LogError: the file as a whole cannot be read.
    """
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            return _parquet(path)
        if name.endswith((".jsonl", ".ndjson")):
            return _json_lines(decoded(path, encoding))
        records = read_csv_lines(decoded(path, encoding), path.name, separator)
    except DAMAGED as error:
        raise LogError(
            f"expected {path.name} to be a whole, readable file, got: {error}; write it again"
        ) from error
    columns = {key: _given(cells) for key, cells in records.columns.items()}
    return FileCells(columns, records.lines, records.bad)


def decoded(path: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file, with their ends.

    Raises:
        LogError: it is not in this encoding.
    """
    with _opened(path, encoding) as text:
        number = 0
        try:
            for number, line in enumerate(text, 1):
                yield line.removeprefix("\ufeff") if number == 1 else line
        except UnicodeError as error:
            raise LogError(
                f"expected {path.name} in {encoding}, after line {number} it is not: {error}; say "
                "its encoding in the mapping"
            ) from error


def _opened(path: Path, encoding: str) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open("r", encoding=encoding, newline="")


def _parquet(path: Path) -> FileCells:
    table = pq.read_table(path)
    table.validate(full=True)  # text that is not UTF-8 is found nowhere else
    columns = {name: _text(table[name].combine_chunks()) for name in table.column_names}
    return FileCells(columns, range(1, len(table) + 1), [])


def _text(cells: pa.Array) -> pa.Array:
    """Cells of any type as text: times in ISO, with their zone's Z where they have one."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return _text(cells.dictionary_decode())
    if pa.types.is_timestamp(kind):
        zoned = kind.tz is not None
        plain = cells.cast(pa.timestamp("us", tz="UTC" if zoned else None), safe=False)
        words = plain.cast(pa.timestamp("us")).cast(pa.string())
        return pc.binary_join_element_wise(words, pa.scalar("Z" * zoned), "")
    if pa.types.is_nested(kind):
        return _given([None if cell is None else _word(cell) for cell in cells.to_pylist()])
    return _given(cells.cast(pa.string()))


def _json_lines(lines: Iterator[str]) -> FileCells:
    decoder = msgspec.json.Decoder(dict[str, object])
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    bad: list[BadLine] = []
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            row = dict(_flat(decoder.decode(line), ""))
        except _UNREADABLE as error:
            bad.append(BadLine(number, f"malformed: {error}", line.strip()))
            continue
        rows.append(row)
        numbers.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return FileCells(
        {name: _given([row.get(name) for row in rows]) for name in names}, numbers, bad
    )


def _flat(value: dict[str, object], before: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    for name, cell in value.items():
        if isinstance(cell, dict) and cell and depth < _DEEPEST:
            yield from _flat(cell, f"{before}{name}.", depth + 1)
        elif cell is not None:
            yield f"{before}{name}", _word(cell)


def _word(cell: object) -> str:
    return cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()


def _given(cells: Sequence[str | None] | pa.Array) -> pa.Array:
    """Text without the spaces around it; what is empty then says nothing."""
    text = pc.utf8_trim_whitespace(
        cells if isinstance(cells, pa.Array) else pa.array(cells, pa.string())
    )
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
