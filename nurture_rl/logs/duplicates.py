"""One row per id, whatever the order the rows came in."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nurture_rl.logs.quarantine import reason_where, sift
from nurture_rl.logs.readers import RawTable
from nurture_rl.logs.schema import FILE_COLUMN, LINE_COLUMN, TableKind

IntArray = NDArray[np.int64]

_ID_AND_TIME = {
    TableKind.EVENTS: ("event_id", "recorded_at"),
    TableKind.DECISIONS: ("decision_id", "decided_at"),
}
_WORD = 8  # bytes
_LONGEST = 64  # bytes of an id that are hashed word by word; longer ones are rare
_SECRET = np.uint64(hash("ids") % 2**64)  # of this process, so that no log can aim at collisions
_FACTOR, _HALF = np.uint64(0xBF58476D1CE4E5B9), np.uint64(32)  # splitmix64's
_FIRST_BYTES = np.array([2 ** (8 * n) - 1 for n in range(_WORD + 1)], np.uint64)  # masks
_FIELD_END, _ABSENT, _ITEM_END = "\x1e", "\x00", "\x1f"


def drop_duplicates(rows: pa.Table, kind: TableKind) -> RawTable:
    """Keep the first row of each id and quarantine the later ones, naming where the first was.

    First is by recording time, then by content, so a shuffled log keeps the same rows. A later
    row equal to the first in every field is `redelivered`; any other is a `duplicate`.

    Args:
        rows: checked events or decisions, [n].
        kind: events or decisions; contacts have no row identity and are merged instead.
    """
    repeated = _repeated(rows[_ID_AND_TIME[kind][0]])
    if repeated.size == 0:
        return RawTable(*sift(rows, kind, pa.nulls(len(rows), pa.string())))
    later, reasons = later_rows(rows.take(pa.array(repeated)), repeated, kind)
    every = np.full(len(rows), -1, dtype=np.int64)
    every[later] = np.arange(later.size)
    return RawTable(*sift(rows, kind, reasons.take(pa.array(every, mask=every < 0))))


def later_rows(rows: pa.Table, position: IntArray, kind: TableKind) -> tuple[IntArray, pa.Array]:
    """The positions of rows that are not the first of their id, and the reason against each.

    Args:
        rows: all rows of some ids, [n].
        position: where each stands in the log, [n].
        kind: events or decisions.
    """
    id_column, time_column = _ID_AND_TIME[kind]
    rows = rows.combine_chunks()
    sortable = pa.table(
        {
            "id": rows[id_column],
            "time": rows[time_column],
            "content": _content(rows),
            "file": rows[FILE_COLUMN],
            "line": rows[LINE_COLUMN],
            "position": pa.array(position),
        }
    )
    sortable = sortable.sort_by([(name, "ascending") for name in sortable.column_names])
    return _against_first(sortable.combine_chunks(), id_column)


def hashed(ids: pa.Array) -> IntArray:
    """A hash of each id: equal ids, equal hashes; others hardly ever. In this process alone.

    Args:
        ids: strings, none null, [n].
    """
    _, places, characters = ids.buffers()
    ends = np.frombuffer(places, np.int32, len(ids) + 1, 4 * ids.offset).astype(np.int64)
    letters = np.frombuffer(characters or b"", np.uint8, int(ends[-1]))
    letters = np.append(letters, np.zeros(_WORD, np.uint8))  # a word begins at every letter
    words = np.ndarray(letters.size - _WORD + 1, "<u8", letters, strides=(1,))
    length = np.diff(ends)
    found = (length.astype(np.uint64) ^ _SECRET) * _FACTOR
    for at in range(0, min(int(length.max(initial=0)), _LONGEST), _WORD):
        begin = np.minimum(ends[:-1] + at, words.size - 1)
        found ^= words[begin] & _FIRST_BYTES[np.clip(length - at, 0, _WORD)]
        found *= _FACTOR
        found ^= found >> _HALF
    long = np.flatnonzero(length > _LONGEST)
    rest = map(hash, ids.take(pa.array(long)).to_pylist())
    found[long] ^= np.fromiter(rest, np.int64, long.size).view(np.uint64)
    return found.view(np.int64)


def _repeated(ids: pa.ChunkedArray) -> IntArray:
    """The rows whose id occurs more than once."""
    codes = np.asarray(ids.combine_chunks().dictionary_encode().indices)
    counts = np.bincount(codes) if codes.size else codes
    return np.flatnonzero(counts[codes] > 1).astype(np.int64)


def _against_first(ordered: pa.Table, id_column: str) -> tuple[IntArray, pa.Array]:
    codes = np.asarray(ordered["id"].combine_chunks().dictionary_encode().indices)
    starts = np.r_[True, codes[1:] != codes[:-1]][: codes.size]
    first = np.maximum.accumulate(np.where(starts, np.arange(codes.size), 0))
    later = np.flatnonzero(~starts)
    rows, firsts = ordered.take(pa.array(later)), ordered.take(pa.array(first[later]))
    place = pc.binary_join_element_wise(firsts["file"], firsts["line"].cast(pa.string()), ":")
    same = pc.equal(rows["content"], firsts["content"]).combine_chunks()
    place = place.combine_chunks()
    again = reason_where(same, "redelivered: the very row of ", place)
    other = reason_where(
        pc.invert(same), f"duplicate {id_column}: another row of this id came first at ", place
    )
    return np.asarray(rows["position"]), pc.coalesce(again, other)


def _content(rows: pa.Table) -> pa.Array:
    """Each row's fields as one text, equal exactly when the rows are."""
    texts = [
        _text(rows[name].combine_chunks()).fill_null(_ABSENT)
        for name in rows.column_names
        if name not in (FILE_COLUMN, LINE_COLUMN)
    ]
    return pc.binary_join_element_wise(*texts, _FIELD_END)


def _text(values: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64()).cast(pa.string())
    if not pa.types.is_list(values.type):
        return values.cast(pa.string())
    if pa.types.is_string(values.type.value_type):
        return pc.binary_join(values, _ITEM_END)
    lists = values.to_pylist()
    return pa.array(
        [None if x is None else msgspec.json.encode(x).decode() for x in lists], pa.string()
    )
