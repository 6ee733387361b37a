"""Rows, and numbers of rows, that wait on disk until all of them have been seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_ALONE = pa.ipc.IpcReadOptions(use_threads=False)  # several threads read several parts


class Spill:
    """Tables of one schema in a file: written once, then read in order as often as needed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Begin an empty file.

        Args:
            path: the file.
            schema: of the rows.

        Raises:
            OSError: the disk refuses, here and on every other call.
        """
        self.schema = schema
        self.places: list[slice] = []  # where each part stands among all rows
        self._path = path
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = pa.ipc.new_file(str(path), schema, options=options)

    def __len__(self) -> int:
        """How many rows it holds."""
        return self.places[-1].stop if self.places else 0

    def add(self, rows: pa.Table) -> None:
        """Write some rows as one part; no rows make no part."""
        if len(rows):
            self._writer.write_batch(rows.combine_chunks().to_batches()[0])
            self.places.append(slice(len(self), len(self) + len(rows)))

    def end(self) -> None:
        """No more rows come; from now on they can be read."""
        self._writer.close()

    def remove(self) -> None:
        """Give the room back."""
        self._path.unlink()

    def part(self, number: int) -> pa.Table:
        """The rows of a part; several threads may read."""
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source, options=_ALONE) as file:
            return pa.table(file.get_batch(number))

    def whole(self) -> pa.Table:
        """All rows."""
        with pa.OSFile(str(self._path)) as source, pa.ipc.open_file(source, options=_ALONE) as file:
            return file.read_all()


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
