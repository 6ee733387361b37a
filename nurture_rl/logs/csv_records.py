"""A CSV file as records of strings, each with the line it starts on; broken lines kept apart."""

from __future__ import annotations

import csv
import gzip
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nurture_rl.errors import LogError
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


def read_csv_records(path: Path, delimiter: str = ",") -> CsvRecords:
    """Read a CSV file, also gzipped; every cell is a string, lines end in LF, CRLF or CR.

    Raises:
        LogError: it is no text, its header cannot be read or names a column twice.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    undecodable: list[int] = []
    text = _decoded(lines_of(path), undecodable)
    return read_csv_lines(text, path.name, delimiter, undecodable)


def read_csv_lines(
    lines: Iterator[str], name: str, delimiter: str = ",", undecodable: Sequence[int] = ()
) -> CsvRecords:
    """Read the lines of a CSV file; every cell is a string.

    Args:
        lines: with their ends.
        name: of the file, for messages.
        delimiter: what parts cells.
        undecodable: 1-based numbers of lines that are not in the file's encoding; may grow.

    Raises:
        LogError: the header cannot be read or names a column twice.
    """
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise LogError(
            f"expected the first line of {name} to name its columns, got: {error}; mend it"
        ) from error
    if len(set(header)) < len(header):
        raise LogError(f"expected each column of {name} once, got the header {header}")
    records, numbers, bad = _records(reader, len(header), undecodable)
    columns = list(zip(*records, strict=True)) if records else [()] * len(header)
    return CsvRecords(dict(zip(header, columns, strict=True)), numbers, bad)


def lines_of(path: Path) -> Iterator[bytes]:
    """The file's lines, unzipped, without a byte order mark; they end in LF, CRLF or CR.

    Raises:
        LogError: the file begins as no text in UTF-8 does.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            _require_text(line, path)
            yield from line.removeprefix(BOM_UTF8).splitlines(keepends=True)
            break
        for line in file:
            yield from line.splitlines(keepends=True) if b"\r" in line else (line,)


def _require_text(start: bytes, path: Path) -> None:
    for mark, what in _NO_TEXT.items():
        if start.startswith(mark):
            raise LogError(f"expected {path.name} to be text in UTF-8, it is {what}")
    if b"\0" in start:
        raise LogError(f"expected {path.name} to be text in UTF-8, its first line is binary")


def _decoded(lines: Iterator[bytes], undecodable: list[int]) -> Iterator[str]:
    """The text of each line; notes the 1-based numbers of lines that are not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            undecodable.append(number)
            yield line.decode("utf-8", errors="backslashreplace")


def _records(
    reader: Reader, width: int, undecodable: Sequence[int]
) -> tuple[list[list[str]], list[int], list[BadLine]]:
    """The records of `width` fields, the line each starts on, and the lines that are no record."""
    records: list[list[str]] = []
    lines: list[int] = []
    bad: list[BadLine] = []
    while True:
        start = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            swallowed = f"lines {start} to {reader.line_num}"
            bad.append(BadLine(start, f"malformed: {error} in {swallowed}", swallowed))
            continue
        if record is None:
            return records, lines, bad
        if undecodable and undecodable[-1] >= start:
            bad.append(BadLine(start, "malformed: not UTF-8", ",".join(record)))
        elif len(record) == width:
            records.append(record)
            lines.append(start)
        elif record:
            reason = f"malformed: expected {width} fields, got {len(record)}"
            bad.append(BadLine(start, reason, ",".join(record)))
