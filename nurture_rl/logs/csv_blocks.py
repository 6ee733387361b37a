"""The records of a CSV file, block by block: whole blocks at once where nothing in them is unusual.

A block ends where a record does. Arrow parses it while its quotes stand where quotes must stand and
no carriage return stands alone. What Arrow does not take goes one by one through Python's reader,
so that cells, lines and reasons do not depend on how the file is cut.
"""

from __future__ import annotations

import csv
import io
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from nurture_rl.logs.byte_window import BLOCK_BYTES, ByteWindow, opened
from nurture_rl.logs.csv_records import decoded, read_header, read_some, require_text
from nurture_rl.logs.in_turn import in_turn
from nurture_rl.logs.quarantine import BadLine

IntArray = NDArray[np.int64]

LONGEST = 100_000  # bytes of a record; Python's reader refuses fields of more than 131,072 letters
_FEW = 64  # records that are no longer halved to find the one that Arrow does not take
_PATIENCE = 1_000  # records that Python reads before the next block is tried
_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Some consecutive records of a file, every cell a string."""

    table: pa.Table  # in the header's order, [n]
    lines: IntArray  # 1-based line each record starts on, [n]
    bad: list[BadLine]  # lines that are no record


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a record looks like."""

    header: Sequence[str]
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where records lie in a block, blank lines left out."""

    starts: IntArray  # byte, [n]
    ends: IntArray  # byte after the line's end, [n]
    lines: IntArray  # 1-based, [n]

    def part(self, first: int, end: int) -> _Extent:
        """Consecutive records of these."""
        return _Extent(self.starts[first:end], self.ends[first:end], self.lines[first:end])


def csv_blocks(path: Path, delimiter: str = ",", size: int = BLOCK_BYTES) -> Iterator[CsvBlock]:
    """Read a CSV file, also gzipped; lines end in LF, CRLF or CR.

    Args:
        path: the file.
        delimiter: what parts cells.
        size: bytes that are read at once.

    Yields:
        Blocks in the file's order; the first is empty and tells the columns.

    Raises:
        LogError: it is no text, its header cannot be read or names a column twice.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    with opened(path) as file:
        window = ByteWindow(file, size)
        first = window.first_line()
        if first:
            require_text(first, path)
        window.skip(len(BOM_UTF8) if first.startswith(BOM_UTF8) else 0, 0)
        reader = csv.reader(decoded(window.lines(), []), strict=True, delimiter=delimiter)
        shape = _Shape(read_header(reader, path.name), delimiter)
        yield _joined([], shape)
        yield from in_turn(lambda made: made(), _blocks(window, shape))


def read_csv(path: Path) -> CsvBlock:
    """Read a whole CSV file, also gzipped, as `csv_blocks` does.

    Raises:
        LogError: it is no text, its header cannot be read or names a column twice.
        OSError, EOFError, zlib.error: the file cannot be read.
    """
    first, *others = csv_blocks(path)
    return _joined([first, *others], _Shape(first.table.column_names, ","))


def _blocks(window: ByteWindow, shape: _Shape) -> Iterator[Callable[[], CsvBlock]]:
    """What makes each block; they may be made side by side."""
    patience = _PATIENCE
    while window.fill():
        data = window.data[: _usual(window, shape) if shape.header else 0]
        extent = _short(_extent(data, window.line))
        if extent.starts.size:
            data = data[: extent.ends[-1]]
            window.skip(len(data), int(np.count_nonzero(_letters(data) == _LINE_FEED)))
            yield partial(_made, data, extent, shape)
            patience = max(_PATIENCE, patience // 2)
        else:
            yield partial(replace, _one_by_one(window, shape, patience))
            patience *= 2


def _made(data: bytes, extent: _Extent, shape: _Shape) -> CsvBlock:
    return _joined(_parsed(data, extent, shape), shape)


def _letters(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _usual(window: ByteWindow, shape: _Shape) -> int:
    """How many bytes hold whole records with nothing unusual in their quotes and line ends."""
    data = window.data
    letters = _letters(data)
    quotes = np.flatnonzero(letters == _QUOTE)
    limit = min(_wrong_quote(data, quotes, shape.delimiter), _lone_return(data))
    if window.ended and limit == len(data) and quotes.size % 2 == 0:
        return limit
    end = data.rfind(b"\n", 0, limit) + 1
    while end and np.searchsorted(quotes, end) % 2:  # that line feed stands inside of quotes
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def _wrong_quote(data: bytes, quotes: IntArray, delimiter: str) -> int:
    """Where a quote neither begins nor ends a cell, nor stands for a quote; else the end."""
    letters = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    allowed = np.zeros(256, np.bool_)
    allowed[[_QUOTE, _LINE_FEED, ord(delimiter)]] = True
    good = np.empty(quotes.size, np.bool_)
    good[0::2] = allowed[letters[quotes[0::2]]]  # the byte before one that opens
    allowed[_RETURN] = True
    good[1::2] = allowed[letters[quotes[1::2] + 2]]  # the byte after one that closes
    wrong = np.flatnonzero(~good)
    return int(quotes[wrong[0]]) if wrong.size else len(data)


def _lone_return(data: bytes) -> int:
    """Where a carriage return is not followed by a line feed; else the end."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return len(data)
    letters = np.frombuffer(data + b"\0", np.uint8)
    returns = np.flatnonzero(letters == _RETURN)
    return int(returns[letters[returns + 1] != _LINE_FEED][0])


def _extent(data: bytes, line: int) -> _Extent:
    """The records of usual bytes, the first of which begins on line `line`."""
    letters = _letters(data)
    feeds = np.flatnonzero(letters == _LINE_FEED)
    outside = np.searchsorted(np.flatnonzero(letters == _QUOTE), feeds) % 2 == 0
    ends = feeds[outside] + 1
    if data and (not ends.size or ends[-1] < len(data)):
        ends = np.append(ends, len(data))
    starts = np.append(0, ends)[:-1]
    lines = line + np.searchsorted(feeds, starts)
    length = ends - starts - (letters[ends - 1] == _LINE_FEED)
    blank = (length == 0) | ((length == 1) & (letters[starts] == _RETURN))
    return _Extent(starts[~blank], ends[~blank], lines[~blank])


def _short(extent: _Extent) -> _Extent:
    """The records before the first that may hold a field too long for Python's reader."""
    long = np.flatnonzero(extent.ends - extent.starts > LONGEST)
    return extent.part(0, int(long[0])) if long.size else extent


def _parsed(data: bytes, extent: _Extent, shape: _Shape) -> list[CsvBlock]:
    """The records of usual bytes; those that Arrow does not take are looked for by halving."""
    n = extent.starts.size
    whole = _by_arrow(data, extent, shape)
    if whole is not None:
        return [whole]
    if n <= _FEW:
        return [_alone(data, extent, shape)]
    half = n // 2
    return [
        *_parsed(data, extent.part(0, half), shape),
        *_parsed(data, extent.part(half, n), shape),
    ]


def _by_arrow(data: bytes, extent: _Extent, shape: _Shape) -> CsvBlock | None:
    """The records as Arrow reads them, those of another width apart; None where it cannot."""
    piece = data[extent.starts[0] : extent.ends[-1]]
    if b"\0" in piece or not _is_text(piece):
        return None
    if piece.startswith(BOM_UTF8):  # Arrow takes away one; here it is a cell's own
        piece = BOM_UTF8 + piece
    odd: list[int] = []

    def note(row: pa_csv.InvalidRow) -> str:
        odd.append(row.number - 1)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.py_buffer(piece),
            pa_csv.ReadOptions(
                use_threads=False, block_size=len(piece) + 1, column_names=list(shape.header)
            ),
            pa_csv.ParseOptions(
                delimiter=shape.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(shape.header, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    apart = [_alone(data, extent.part(i, i + 1), shape) for i in odd]
    if len(table) + len(odd) != extent.starts.size or any(len(one.table) for one in apart):
        return None
    lines = np.delete(extent.lines, odd) if odd else extent.lines
    return CsvBlock(table, lines, [bad for one in apart for bad in one.bad])


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _alone(data: bytes, extent: _Extent, shape: _Shape) -> CsvBlock:
    """Some records as Python reads them."""
    piece = io.BytesIO(data[extent.starts[0] : extent.ends[-1]])
    return _one_by_one(ByteWindow(piece, line=int(extent.lines[0])), shape, extent.starts.size)


def _one_by_one(window: ByteWindow, shape: _Shape, most: int) -> CsvBlock:
    """The window's next records as Python reads them."""
    got = read_some(window.lines(), shape.header, shape.delimiter, window.line - 1, most)
    columns = {name: pa.array(cells, pa.string()) for name, cells in got.columns.items()}
    return CsvBlock(pa.table(columns), np.asarray(got.lines, np.int64), got.bad)


def _joined(parts: Sequence[CsvBlock], shape: _Shape) -> CsvBlock:
    """Consecutive blocks as one."""
    if len(parts) == 1:
        return parts[0]
    schema = pa.schema([pa.field(name, pa.string()) for name in shape.header])
    return CsvBlock(
        pa.concat_tables([schema.empty_table(), *(part.table for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.lines for part in parts)]),
        [bad for part in parts for bad in part.bad],
    )
