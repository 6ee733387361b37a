"""What a file looks like: form, encoding, separator, columns, how times and numbers stand."""

from __future__ import annotations

import csv
import gzip
import itertools
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import LogError
from nurture_rl.logs.mapped.file_cells import decoded, read_cells
from nurture_rl.logs.mapped.mapping_file import DATA_SUFFIXES, SEPARATORS
from nurture_rl.logs.mapped.translating import to_number, to_utc

_BYTES = 1 << 24  # of a text file that its encoding is told from
_LINES = 200  # that its separator is told from
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y%m%d")
_SHORT_DAYS = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %I:%M %p")
PATTERNS = tuple(day + clock for day in (*_DAYS, *_SHORT_DAYS) for clock in _CLOCKS)
_EPOCHS = {"seconds": (10**9, 2 * 10**9), "milliseconds": (10**12, 2 * 10**12)}
_SAMPLE, _MOST_FIT = 200, 0.75  # cells that ways are first tried on, and the share that fits
_SHOWN = 50  # different cells of a column


@dataclass(frozen=True, slots=True)
class ColumnLook:
    """One column."""

    name: str
    filled: int  # rows that say something
    words: tuple[str, ...]  # different cells, most frequent first; few
    distinct: int
    times: tuple[str, ...]  # ways in which most of its cells are times, all equally well
    decimals: tuple[str, ...]  # every decimal sign by which all of its cells are numbers
    odd: str | None = None  # where most are times, a cell that is none
    odd_cells: int = 0  # how many different ones are none
    # Where most are no times: ways that fit some cells, and how many.
    some_times: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FileLook:
    """One file."""

    path: Path
    encoding: str
    separator: str
    rows: int
    columns: tuple[ColumnLook, ...]
    questions: tuple[str, ...]  # what the file itself does not tell


def look_at(path: Path, encoding: str | None = None, separator: str | None = None) -> FileLook:
    """Look at a whole file.

    Args:
        path: a CSV, JSON-lines or Parquet file, text also gzipped.
        encoding: of text, where somebody knows it; None: it is told from the bytes.
        separator: of a CSV file, likewise.

    Raises:
        LogError: there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise LogError(f"expected a file to look at, there is no {path}")
    if not path.name.endswith(DATA_SUFFIXES):
        ends = ", ".join(DATA_SUFFIXES)
        raise LogError(f"expected a file that ends in one of {ends}, got {path.name}; convert it")
    questions: list[str] = []
    is_text = not path.name.endswith(".parquet")
    if encoding is None:
        encoding = _encoding(path, questions) if is_text else "utf-8"
    is_csv = is_text and not path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))
    if separator is None:
        separator = _separator(path, encoding, questions) if is_csv else ","
    cells = read_cells(path, encoding, separator)
    if not cells.rows:
        raise LogError(f"expected rows in {path}, it has none that can be read")
    columns = tuple(_column(name, column) for name, column in cells.columns.items())
    return FileLook(path, encoding, separator, cells.rows, columns, tuple(questions))


def _column(name: str, column: pa.Array) -> ColumnLook:
    counts = Counter(cell for cell in column.to_pylist() if cell is not None)
    most = [cell for cell, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    different = pa.array(most, pa.string())
    times = _times(different) if most else ()
    odd = [] if not times else _odd(different, times[0])
    return ColumnLook(
        name=name,
        filled=counts.total(),
        words=tuple(most[:_SHOWN]),
        distinct=len(most),
        times=times,
        decimals=_decimals(different) if most else (),
        odd=odd[0] if odd else None,
        odd_cells=len(odd),
        some_times=() if times or not most else _some_times(different),
    )


def _times(cells: pa.Array) -> tuple[str, ...]:
    """Every way in which most of the cells are times, of those the ways that fit most of them."""
    number = pc.match_substring_regex(cells, r"^\d{9,13}$")
    if pc.all(number).as_py():
        span = pc.min_max(cells.cast(pa.int64())).as_py()
        return tuple(
            name
            for name, (low, high) in _EPOCHS.items()
            if low <= span["min"] <= span["max"] < high
        )
    sample = _spread(cells)
    fitting = [
        way for way in ("iso", *PATTERNS) if _fit(sample, way) >= _MOST_FIT * len(sample) / 2
    ]
    found = {way: _fit(cells, way) for way in fitting}
    best = max(found.values(), default=0)
    return tuple(way for way, n in found.items() if n == best >= _MOST_FIT * len(cells))


def _odd(cells: pa.Array, way: str) -> list[str]:
    """The cells that are no times when read in a way, in their order."""
    if way in _EPOCHS:
        return []
    found: list[str] = cells.filter(pc.invert(_are_times(cells, way))).to_pylist()
    return found


def _some_times(cells: pa.Array) -> tuple[tuple[str, int], ...]:
    """Ways that fit at least a tenth of the cells, the most frequent first."""
    number = pc.match_substring_regex(cells, r"^\d{9,13}$")
    if pc.all(number).as_py():
        counts = np.asarray(cells.cast(pa.int64()))
        fit = {way: int(((counts >= a) & (counts < b)).sum()) for way, (a, b) in _EPOCHS.items()}
    else:
        sample = _spread(cells)
        ways = [way for way in ("iso", *PATTERNS) if _fit(sample, way) >= len(sample) / 20]
        fit = {way: _fit(cells, way) for way in ways}
    found = [(way, n) for way, n in fit.items() if n >= len(cells) / 10]
    return tuple(sorted(found, key=lambda item: (-item[1], item[0])))


def _spread(cells: pa.Array) -> pa.Array:
    """Some of the cells, from the first to the last: neighbours may be written alike."""
    step = -(-len(cells) // _SAMPLE)
    return cells.take(pa.array(range(0, len(cells), step)))


def _fit(cells: pa.Array, way: str) -> int:
    """How many of the cells are times when read in a way."""
    return int(pc.sum(_are_times(cells, way)).as_py() or 0)


def _are_times(cells: pa.Array, way: str) -> pa.Array:
    """Which of the cells are times when read in a way."""
    read = to_utc("time", cells, way, "UTC")
    year = pc.cast(pc.utf8_slice_codeunits(read.values, 0, 4), pa.string())
    of_our_time = pc.match_substring_regex(year, r"^(19|20|21)\d\d$")
    return pc.and_(read.reasons.is_null(), pc.fill_null(of_our_time, False))


def _decimals(cells: pa.Array) -> tuple[str, ...]:
    if not pc.all(pc.match_substring_regex(cells, r"^[+-]?[\d.,\s]*\d$")).as_py():
        return ()
    return tuple(
        sign for sign in (".", ",") if to_number("x", cells, sign).reasons.null_count == len(cells)
    )


def _encoding(path: Path, questions: list[str]) -> str:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            start = file.read(_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(
            f"expected {path.name} to be a whole, readable file, got: {error}"
        ) from error
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(start) or len(start) < _BYTES:
            word = _around(start, error.start)
            questions.append(
                f"encoding: the file is not UTF-8. Read as cp1252, it says {word!r}: is that "
                "right? Else name its encoding, such as latin-2 or utf-16-le"
            )
            return "cp1252"
    return "utf-8"


def _around(data: bytes, place: int) -> str:
    part = data[max(0, place - 40) : place + 40].decode("cp1252", errors="replace")
    return " ".join(part.split())


def _separator(path: Path, encoding: str, questions: list[str]) -> str:
    """The one that parts the first lines most evenly into more than one cell."""
    lines = list(itertools.islice(decoded(path, encoding), _LINES))
    found = {sign: _evenness(lines, sign) for sign in SEPARATORS}
    best = sorted(SEPARATORS, key=lambda sign: found[sign], reverse=True)
    first, second = best[:2]
    if found[second] >= found[first] > (0, 0):
        questions.append(
            f"separator: {first!r} and {second!r} both part the lines evenly; which parts cells?"
        )
    return first if found[first] > (0, 0) else ","


def _evenness(lines: Sequence[str], sign: str) -> tuple[int, int]:
    """How many lines have as many cells as the header, and how many cells; (0, 0): one cell."""
    try:
        widths = [len(record) for record in csv.reader(lines, delimiter=sign) if record]
    except csv.Error:
        return 0, 0
    if not widths or widths[0] < 2:
        return 0, 0
    return sum(width == widths[0] for width in widths), widths[0]
