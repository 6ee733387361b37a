"""Rows that cannot be used, each with its file, line and reason: nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, QUARANTINE, TableKind

IntArray = NDArray[np.int64]

BROKEN = "broken episode"  # the kind of a row that is set aside for another's fault
SHARED_ONLY = "shared keys only: each joins too many others, or people who are not the same"
LONGEST_LINE = 100_000  # bytes of a line that cannot be read, of which all is kept
_AT_ONCE = 1 << 14  # rows that are put into words at once
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not even a row."""

    line: int  # 1-based
    reason: str
    text: str


def quarantine_lines(file: str, kind: TableKind, lines: Sequence[BadLine]) -> pa.Table:
    """The quarantine rows of unreadable lines; `raw` is the line as one JSON string.

    Of a line longer than `LONGEST_LINE` its begin is kept, and how long it was: one that is damaged
    may be as long as the file.
    """
    columns = [
        [file] * len(lines),
        [bad.line for bad in lines],
        [kind.value] * len(lines),
        [bad.reason for bad in lines],
        [msgspec.json.encode(_begin(bad.text)).decode() for bad in lines],
    ]
    return pa.table(columns, schema=QUARANTINE)


def shown(line: bytes) -> str:
    """A line that cannot be read, as text; a long one as `quarantine_lines` keeps it."""
    text = line[:LONGEST_LINE].decode(errors="backslashreplace").strip()
    return text if len(line) <= LONGEST_LINE else f"{text}... ({len(line)} bytes)"


def _begin(text: str) -> str:
    if len(text) <= 5 * LONGEST_LINE:  # of bytes that are no text each is four signs
        return text
    return f"{text[:LONGEST_LINE]}... ({len(text)} characters)"


def sift(rows: pa.Table, kind: TableKind, reasons: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Split rows into those without a reason against them and the quarantine rows of the others.

    Args:
        rows: rows with the file and line columns, [n].
        kind: the table the rows belong to.
        reasons: null where the row is good, else why it is not, [n] strings.
    """
    if reasons.null_count == len(reasons):
        return rows, QUARANTINE.empty_table()
    bad = np.flatnonzero(np.asarray(reasons.is_valid()))
    kept = rows.filter(reasons.is_null())
    refused = rows.take(bad)
    content = refused.drop_columns([FILE_COLUMN, LINE_COLUMN])
    columns = [
        refused[FILE_COLUMN].combine_chunks(),
        refused[LINE_COLUMN].combine_chunks(),
        pa.array([kind.value] * len(refused)),
        reasons.take(pa.array(bad)),
        pa.array(map(_json_text, _rows_of(content)), pa.string()),
    ]
    return kept, pa.table(columns, schema=QUARANTINE)


def first_reason(reasons: Sequence[pa.Array]) -> pa.Array:
    """The first reason against each row, null where there is none; all arrays are [n] strings."""
    given = [part for part in reasons if part.null_count < len(part)]
    return pc.coalesce(*given) if given else reasons[0]


def reason_where(bad: pa.Array, *parts: str | pa.Array) -> pa.Array:
    """The joined parts where `bad` is true, else null; [n] strings.

    Parts of other types are told as Arrow writes them. A part that is null in a bad row reads
    "null", so that no reason is lost. Good rows cost nothing: only bad ones are put into words.
    """
    rows = np.flatnonzero(np.asarray(pc.fill_null(bad, False)))
    if rows.size == 0:
        return pa.nulls(len(bad), pa.string())
    text = pc.binary_join_element_wise(*(_words(part, rows) for part in parts), "")
    place = np.full(len(bad), -1, dtype=np.int64)
    place[rows] = np.arange(rows.size)
    return text.take(pa.array(place, mask=place < 0))


def _words(part: str | pa.Array, rows: IntArray) -> pa.Array:
    """A part of a reason in each of some rows."""
    if isinstance(part, str):
        return pa.array([part] * rows.size, pa.string())
    return part.take(pa.array(rows)).cast(pa.string()).fill_null("null")


def causes_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Kinds of problem with their counts, most frequent first; what follows from others last."""
    return sorted(counts.items(), key=lambda kind: (kind[0] == BROKEN, -kind[1]))


def _rows_of(content: pa.Table) -> Iterator[dict[str, object]]:
    """The rows as Python's own objects, of which memory holds few at a time."""
    names = content.column_names
    content = content.select([name for name in names if content[name].null_count < len(content)])
    for some in content.to_batches(_AT_ONCE):
        yield from some.to_pylist()


def _json_text(row: dict[str, object]) -> str:
    return _SORTED.encode(
        {name: value for name, value in row.items() if value is not None}
    ).decode()
