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


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """What a CSV file holds, before any conversion."""

    columns: dict[str, Sequence[str]]  # in the header's order, [n] each
    lines: list[int]  # 1-based line each record starts on, [n]
    bad: list[BadLine]  # lines that are no record


def read_csv_records(path: Path, delimiter: str = ",") -> CsvRecords:
    """Read a CSV file, also gzipped; every cell is a string.

    Raises:
        LogError: the header names a column twice.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    undecodable: list[int] = []
    reader = csv.reader(_decoded(lines_of(path), undecodable), strict=True, delimiter=delimiter)
    header = next(reader, [])
    if len(set(header)) < len(header):
        raise LogError(f"expected each column of {path.name} once, got the header {header}")
    records, lines, bad = _records(reader, len(header), undecodable)
    columns = list(zip(*records, strict=True)) if records else [()] * len(header)
    return CsvRecords(dict(zip(header, columns, strict=True)), lines, bad)


def lines_of(path: Path) -> Iterator[bytes]:
    """The file's lines, unzipped, without a byte order mark."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            yield line.removeprefix(BOM_UTF8)
            break
        yield from file


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
