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

from nurture_rl.logs.in_turn import in_turn

_Chunks = Callable[[], Iterable[pa.Array]]  # of a column, each time that it is called
_KEPT_GROUPS = 16  # row groups of which a column is kept while it is read several times


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
    columns = [_Column(path, metadata, field.name) for field in schema]
    if metadata.num_row_groups == 1:  # then several columns are read at once, else several groups
        whole: Iterator[_Chunks] = (partial(list, one) for one in in_turn(list, columns))
    else:
        whole = (one.kept() for one in columns)
    for field, chunks in zip(schema, whole, strict=True):
        digest.update(f"{field.name} {field.type}\n".encode())
        _add(digest, chunks)


class _Column:
    """A column of a Parquet file, group by group, as often as it is gone through."""

    def __init__(self, path: Path, metadata: pq.FileMetaData, name: str) -> None:
        self._path, self._metadata, self._name = path, metadata, name

    def __iter__(self) -> Iterator[pa.Array]:
        return in_turn(self._group, range(self._metadata.num_row_groups))

    def kept(self) -> _Chunks:
        """What gives the chunks; it keeps them where they are few."""
        if self._metadata.num_row_groups > _KEPT_GROUPS:
            return self.__iter__
        return partial(list, list(self))

    def _group(self, number: int) -> pa.Array:
        with pq.ParquetFile(self._path, metadata=self._metadata) as file:
            read = file.read_row_group(number, columns=[self._name], use_threads=False)
        return read[self._name].combine_chunks()


def _add(digest: _Hash, chunks: _Chunks) -> None:
    """A column: which cells are there, then how long each is, then what each says."""
    valid = [np.zeros(0, np.bool_), *(np.asarray(chunk.is_valid()) for chunk in chunks())]
    digest.update(np.packbits(np.concatenate(valid)).tobytes())
    kind = next((chunk.type for chunk in chunks()), None)
    if kind is None:
        return

    def given() -> Iterator[pa.Array]:
        return (chunk.drop_null() if chunk.null_count else chunk for chunk in chunks())

    if pa.types.is_list(kind):
        for values in given():
            digest.update(np.asarray(pc.list_value_length(values)).astype("<i8").tobytes())
        _add(digest, lambda: (values.flatten() for values in given()))
    elif pa.types.is_string(kind):
        for values in given():
            digest.update(np.asarray(pc.binary_length(values)).astype("<i8").tobytes())
        for values in given():
            digest.update(_characters(values))
    else:
        for values in given():
            cells = np.asarray(values.cast(pa.int64()) if pa.types.is_timestamp(kind) else values)
            digest.update(cells.astype(cells.dtype.newbyteorder("<")).tobytes())


def _characters(values: pa.Array) -> memoryview:
    """The texts of an array without nulls, one after the other, in UTF-8."""
    if not len(values):
        return memoryview(b"")
    _, places, characters = values.buffers()
    ends = np.frombuffer(places, np.int32, len(values) + 1, 4 * values.offset)
    return memoryview(characters)[ends[0] : ends[-1]]
