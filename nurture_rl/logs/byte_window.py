"""A file's bytes through a window of bounded size, with the number of the line that comes next."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

# What reading a damaged file ends in; names of columns in Parquet may be no text either.
DAMAGED = (OSError, EOFError, zlib.error, pa.ArrowException, UnicodeDecodeError)
BLOCK_BYTES = 1 << 24  # 16 MiB: enough work at once, little memory


class ByteWindow:
    """What of a file was read and is not yet used up."""

    def __init__(self, file: IO[bytes], size: int = BLOCK_BYTES, line: int = 1) -> None:
        """Begin at the file's present place.

        Args:
            file: open for reading.
            size: bytes that are read at once.
            line: 1-based number of the first line.
        """
        self._file, self._size = file, size
        self._data, self._at = b"", 0
        self.line = line  # of the line that comes next
        self.ended = False  # nothing is left beyond the window

    @property
    def data(self) -> bytes:
        """The bytes in the window."""
        if self._at:
            self._data, self._at = self._data[self._at :], 0
        return self._data

    def fill(self) -> bool:
        """Read until the window holds its size or the rest of the file; whether there is any."""
        while not self.ended and len(self._data) - self._at < self._size:
            self._more()
        return len(self._data) > self._at

    def first_line(self) -> bytes:
        """The line that comes next, up to its line feed, left in the window."""
        while b"\n" not in self._data and not self.ended:
            self._more()
        return self.data[: self._data.find(b"\n") + 1 or None]

    def skip(self, length: int, lines: int) -> None:
        """Use up some bytes, which hold that many ends of lines."""
        self._at += length
        self.line += lines

    def lines(self) -> Iterator[bytes]:
        """Use up line after line; they end in LF, CRLF or CR."""
        while True:
            end = self._data.find(b"\n", self._at) + 1
            if not end and not self.ended:
                self._more()
                continue
            line = self._data[self._at : end or None]
            if not line:
                return
            for part in line.splitlines(keepends=True) if b"\r" in line else (line,):
                self.skip(len(part), 1)
                yield part

    def _more(self) -> None:
        part = self._file.read(self._size)
        self.ended = not part
        self._data = self.data + part


def opened(path: Path) -> IO[bytes]:
    """A file for reading, unzipped where its name ends in .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
