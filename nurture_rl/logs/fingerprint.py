"""The content of tables as one hash: equal tables have equal hashes, in any file format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def fingerprint(tables: Mapping[str, pa.Table]) -> str:
    """SHA-256, in hex, of the tables' names, columns, types and cells, rows in their order.

    What lies in memory under a null, how a column is chunked and the tables' metadata are no part
    of it.
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        digest.update(f"{name} {len(table)}\n".encode())
        for field in table.schema:
            digest.update(f"{field.name} {field.type}\n".encode())
            _add(digest, table[field.name].combine_chunks())
    return digest.hexdigest()


def _characters(values: pa.Array) -> memoryview:
    """The texts of an array without nulls, one after the other, in UTF-8."""
    if not len(values):
        return memoryview(b"")
    _, places, characters = values.buffers()
    ends = np.frombuffer(places, np.int32, len(values) + 1, 4 * values.offset)
    return memoryview(characters)[ends[0] : ends[-1]]


def _add(digest: _Hash, values: pa.Array) -> None:
    digest.update(np.packbits(np.asarray(values.is_valid())).tobytes())
    values = values.drop_null()
    kind = values.type
    if pa.types.is_list(kind):
        digest.update(np.asarray(pc.list_value_length(values)).astype("<i8").tobytes())
        _add(digest, values.flatten())
    elif pa.types.is_string(kind):
        digest.update(np.asarray(pc.binary_length(values)).astype("<i8").tobytes())
        digest.update(_characters(values))
    elif pa.types.is_timestamp(kind):
        digest.update(np.asarray(values.cast(pa.int64())).astype("<i8").tobytes())
    else:
        cells = np.asarray(values)
        digest.update(cells.astype(cells.dtype.newbyteorder("<")).tobytes())
