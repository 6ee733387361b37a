"""A CSV file as records of strings, each with the line it starts on; broken lines kept apart."""

from __future__ import annotations

import csv
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_rl.errors import LogError
from nurture_rl.logs.byte_window import opened
from nurture_rl.logs.quarantine import BadLine

if TYPE_CHECKING:
    from _csv import Reader

# How files begin that are often named .csv or .jsonl by mistake.
_NO_TEXT = {
    b"\x1f\x8b": "gzipped; name it so: add .gz",
    b"PAR1": "Parquet; name it so: .parquet",
    b"PK\x03\x04": "a zip archive or a spreadsheet; save the table itself as CSV",
    b"\xff\xfe": "in UTF-16; save it as UTF-8",
    b"\xfe\xff": "in UTF-16; save it as UTF-8",
}


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """What a CSV file holds, before any conversion."""

    columns: dict[str, Sequence[str]]  # in the header's order, [n] each
    lines: list[int]  # 1-based line each record starts on, [n]
    bad: list[BadLine]  # lines that are no record


def read_csv_lines(lines: Iterator[str], name: str, delimiter: str = ",") -> CsvRecords:
    """Read the lines of a CSV file; every cell is a string.

    Args:
        lines: with their ends.
        name: of the file, for messages.
        delimiter: what parts cells.

    Raises:
        LogError: the header cannot be read or names a column twice.
    """
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    return _records(reader, read_header(reader, name), ())


def read_header(reader: Reader, name: str) -> list[str]:
    """The columns of a CSV file.

    Raises:
        LogError: the first line of the file called `name` cannot be read or names a column twice.
    """
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise LogError(
            f"expected the first line of {name} to name its columns, got: {error}; mend it"
        ) from error
    if len(set(header)) < len(header):
        raise LogError(f"expected each column of {name} once, got the header {header}")
    return header


def read_some(
    lines: Iterator[bytes], header: Sequence[str], delimiter: str, before: int, most: int
) -> CsvRecords:
    """Read the next records of a CSV file.

    Args:
        lines: the file's, with their ends; no more of them are used than the records need.
        header: the columns.
        delimiter: what parts cells.
        before: lines of the file that came before.
        most: how many records are read, lines that are no record among them.
    """
    undecodable: list[int] = []
    reader = csv.reader(decoded(lines, undecodable), strict=True, delimiter=delimiter)
    return _records(reader, header, undecodable, before, most)


def lines_of(path: Path) -> Iterator[bytes]:
    """The file's lines, unzipped, without a byte order mark; they end in LF, CRLF or CR.

    Raises:
        LogError: the file begins as no text in UTF-8 does.
    """
    with opened(path) as file:
        for line in file:
            require_text(line, path)
            yield from line.removeprefix(BOM_UTF8).splitlines(keepends=True)
            break
        for line in file:
            yield from line.splitlines(keepends=True) if b"\r" in line else (line,)


def require_text(start: bytes, path: Path) -> None:
    """Refuse a file whose first line is no text in UTF-8.

    Raises:
        LogError: it is not.
    """
    for mark, what in _NO_TEXT.items():
        if start.startswith(mark):
            raise LogError(f"expected {path.name} to be text in UTF-8, it is {what}")
    if b"\0" in start:
        raise LogError(f"expected {path.name} to be text in UTF-8, its first line is binary")


def decoded(lines: Iterator[bytes], undecodable: list[int]) -> Iterator[str]:
    """The text of each line; notes the 1-based numbers of lines that are not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            undecodable.append(number)
            yield line.decode("utf-8", errors="backslashreplace")


def _records(
    reader: Reader,
    header: Sequence[str],
    undecodable: Sequence[int],
    before: int = 0,
    most: int = sys.maxsize,
) -> CsvRecords:
    """The records as wide as the header, the line each starts on, and the lines that are none."""
    records: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadLine] = []
    width = len(header)
    while len(records) + len(bad) < most:
        first = reader.line_num + 1
        start = before + first
        try:
            record = next(reader, None)
        except csv.Error as error:
            swallowed = f"lines {start} to {before + reader.line_num}"
            bad.append(BadLine(start, f"malformed: {error} in {swallowed}", swallowed))
            continue
        if record is None:
            break
        if undecodable and undecodable[-1] >= first:
            bad.append(BadLine(start, "malformed: not UTF-8", ",".join(record)))
        elif len(record) == width:
            records.append(record)
            lines.append(start)
        elif record:
            reason = f"malformed: expected {width} fields, got {len(record)}"
            bad.append(BadLine(start, reason, ",".join(record)))
    columns = list(zip(*records, strict=True)) if records else [()] * width
    return CsvRecords(dict(zip(header, columns, strict=True)), lines, bad)
