"""The content of tables as one hash: equal tables have equal hashes, in any file format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nurture_rl.logs.in_turn import in_turn

IntArray = NDArray[np.int32]
_Chunks = Callable[[], Iterable[pa.Array]]  # of a column, each time that it is called
_KEPT_GROUPS = 16  # row groups of which a column is kept, so that it is read once


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def fingerprint(tables: Mapping[str, pa.Table | Path]) -> str:
    """SHA-256, in hex, of the tables' names, columns, types and cells, rows in their order.

    What lies in memory under a null, how a column is chunked and the tables' metadata are no part
    of it.

    Args:
        tables: by name, in memory or as Parquet files, which are read column by column.
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        if isinstance(table, Path):
            _add_file(digest, name, table)
            continue
        digest.update(f"{name} {len(table)}\n".encode())
        for field in table.schema:
            digest.update(f"{field.name} {field.type}\n".encode())
            column = [table[field.name].combine_chunks()]
            _add(digest, lambda column=column: column)  # type: ignore[misc]
    return digest.hexdigest()


def _add_file(digest: _Hash, name: str, path: Path) -> None:
    with pq.ParquetFile(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    digest.update(f"{name} {metadata.num_rows}\n".encode())
    words = _words(metadata)
    columns = [_Column(path, metadata, field.name, words) for field in schema]
    whole: Iterable[_Chunks] = (one.side_by_side for one in columns)
    if metadata.num_row_groups <= _KEPT_GROUPS:  # then whole columns are read side by side
        whole = (partial(list, one) for one in in_turn(list, columns))
    for field, chunks in zip(schema, whole, strict=True):
        digest.update(f"{field.name} {field.type}\n".encode())
        _add(digest, chunks)


class _Column:
    """A column of a Parquet file, group by group, as often as it is gone through."""

    def __init__(
        self, path: Path, metadata: pq.FileMetaData, name: str, words: frozenset[str]
    ) -> None:
        self._path, self._metadata, self._name = path, metadata, name
        self._words = [name] if name in words else []  # whose texts are each read once

    def __iter__(self) -> Iterator[pa.Array]:
        return map(self._group, range(self._metadata.num_row_groups))

    def side_by_side(self) -> Iterator[pa.Array]:
        """The same, several groups read at once."""
        return in_turn(self._group, range(self._metadata.num_row_groups))

    def _group(self, number: int) -> pa.Array:
        with pq.ParquetFile(
            self._path, metadata=self._metadata, read_dictionary=self._words
        ) as file:
            read = file.read_row_group(number, columns=[self._name], use_threads=False)
        return read[self._name].combine_chunks()


def _words(metadata: pq.FileMetaData) -> frozenset[str]:
    """The columns that are written as numbers of words, in every group."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(metadata.num_columns)]
    plain = {chunk.path_in_schema for chunk in chunks if not chunk.has_dictionary_page}
    return frozenset({chunk.path_in_schema for chunk in chunks} - plain)


def _add(digest: _Hash, chunks: _Chunks) -> None:
    """A column: which cells are there, then how long each is, then what each says."""
    valid, lengths = [np.zeros(0, np.bool_)], [np.zeros(0, np.int32)]
    nested = False
    for chunk in chunks():
        valid.append(np.asarray(chunk.is_valid()))
        lengths.append(_lengths(chunk.drop_null()))
        nested = pa.types.is_list(chunk.type)
    digest.update(np.packbits(np.concatenate(valid)).tobytes())
    for some in lengths:
        digest.update(some.astype("<i8").tobytes())
    given = (chunk.drop_null() for chunk in chunks())
    if nested:
        flat = [values.flatten() for values in given]
        _add(digest, lambda: flat)
        return
    for values in given:
        digest.update(_content(values))


def _lengths(values: pa.Array) -> IntArray:
    """How long each text or list is; nothing for other types."""
    if pa.types.is_dictionary(values.type):
        return np.take(_lengths(values.dictionary), np.asarray(values.indices))
    if pa.types.is_list(values.type):
        return np.asarray(pc.list_value_length(values))
    if pa.types.is_string(values.type):
        return np.asarray(pc.binary_length(values))
    return np.zeros(0, np.int32)


def _content(values: pa.Array) -> bytes | memoryview:
    """The cells of an array without nulls, one after the other; texts in UTF-8."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type):
        return _characters(values)
    cells = np.asarray(values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values)
    return cells.astype(cells.dtype.newbyteorder("<")).tobytes()


def _characters(values: pa.Array) -> memoryview:
    """The texts of an array without nulls, one after the other, in UTF-8."""
    if not len(values):
        return memoryview(b"")
    _, places, characters = values.buffers()
    ends = np.frombuffer(places, np.int32, len(values) + 1, 4 * values.offset)
    return memoryview(characters)[ends[0] : ends[-1]]
