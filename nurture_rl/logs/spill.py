"""Rows, and numbers of rows, that wait on disk until all of them have been seen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]


class Spill:
    """Tables of one schema in a file: written once, then read in order as often as needed."""

    def __init__(self, path: Path, schema: pa.Schema, compression: str = "zstd") -> None:
        """Begin an empty file.

        Args:
            path: the file.
            schema: of the rows.
            compression: `lz4` is quicker where parts are small, `zstd` takes less room.

        Raises:
            OSError: the disk refuses, here and on every other call.
        """
        self.schema = schema
        self._path = path
        self._lengths: list[int] = []
        options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
        self._writer = pa.ipc.new_file(str(path), schema, options=options)

    def __len__(self) -> int:
        """How many rows it holds."""
        return sum(self._lengths)

    def add(self, rows: pa.Table) -> None:
        """Write some rows as one part; no rows make no part."""
        if len(rows):
            self._writer.write_batch(rows.combine_chunks().to_batches()[0])
            self._lengths.append(len(rows))

    def end(self) -> None:
        """No more rows come; from now on they can be read."""
        self._writer.close()

    def remove(self) -> None:
        """Give the room back."""
        self._path.unlink()

    def places(self) -> Iterator[slice]:
        """Where each part stands among all rows."""
        start = 0
        for length in self._lengths:
            yield slice(start, start + length)
            start += length

    def parts(self, chosen: BoolArray | None = None) -> Iterator[tuple[int, slice, pa.Table]]:
        """Each part's number, place and rows.

        Args:
            chosen: parts without a chosen row are left out; None leaves none out, [rows].
        """
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source) as file:
            for i, place in enumerate(self.places()):
                if chosen is None or chosen[place].any():
                    yield i, place, pa.table(file.get_batch(i))


class SpilledNumbers:
    """One number of each row in a file, added part by part and then read at once.

    Kept in memory, so many arrays of middling size would hold apart what is freed between them.
    """

    def __init__(self, path: Path, kind: str) -> None:
        """Begin an empty file.

        Args:
            path: the file.
            kind: of numbers, as NumPy writes it.

        Raises:
            OSError: the disk refuses, here and on every other call.
        """
        self._path, self._kind = path, kind
        path.touch()

    def add(self, numbers: NDArray[np.generic]) -> None:
        """Write the numbers of some rows, [n]."""
        with self._path.open("ab") as file:
            file.write(numbers.astype(self._kind).tobytes())

    def taken(self) -> NDArray[Any]:
        """All numbers, [rows]; gives their room on disk back."""
        whole = np.fromfile(self._path, self._kind)
        self._path.unlink()
        return whole
