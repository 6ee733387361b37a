"""One process at a time, however the one before it ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_ASKED_AGAIN = 1.0  # seconds after which a waiting process looks up, so that it can be interrupted


@contextmanager
def alone(path: Path, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; others wait until it is free.

    The lock is SQLite's on an empty database: it is portable, no child process inherits it, and it
    is free again when its process is killed. The file is never removed: two processes could then
    hold two locks of one name. Locks on network disks often do not work.

    Args:
        path: the lock file, in a folder that is there.
        waits: called once if another process holds it.

    Raises:
        OSError: the file cannot be made.
    """
    with closing(_taken(path, waits)):
        yield


def _taken(path: Path, waits: Callable[[], None]) -> sqlite3.Connection:
    told = False
    while True:
        try:
            timeout = _ASKED_AGAIN if told else 0.0
            lock = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                lock.execute("BEGIN EXCLUSIVE")
                return lock
            except BaseException:
                lock.close()
                raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise OSError(
                    f"expected a lock file at {path}, got: {error}; remove what is there, or mend "
                    "its permissions"
                ) from error
        if not told:
            waits()
        told = True
