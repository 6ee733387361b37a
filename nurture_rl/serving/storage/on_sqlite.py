"""A store's rows in one SQLite file, which one process writes."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.databases import LOCK_KINDS, Statement
from nurture_rl.serving.storage.locks import Locks
from nurture_rl.serving.storage.rows import Row
from nurture_rl.serving.storage.writer import GroupCommit
from nurture_rl.serving.store_errors import (
    StoreConflict,
    StoreError,
    StoreLost,
    StoreUnavailable,
)


class ReadSqlite:
    """A file that is read, perhaps beside the process that writes it."""

    any_of = "IN (SELECT value FROM json_each(?))"
    numbered = "json_each(?) AS asked"
    is_shared = False

    def __init__(self, path: Path) -> None:
        """Open a file that exists.

        Raises:
            StoreError: it is no store, or cannot be read.
        """
        opening.require_own(path)
        self.name = str(path)
        self._path = path
        try:
            self._reader = opening.connect_reading(path)
        except sqlite3.Error as error:
            raise StoreError(
                f"expected a store at {path}, got: {error}; give what the server runs with"
            ) from error
        self._reading = threading.Lock()

    def listed(self, values: Sequence[str]) -> str:
        """The parameter of `any_of`."""
        return json.dumps(list(values))

    def numbers(self, values: Mapping[str, int]) -> tuple[str]:
        """The parameters of `numbered`."""
        return (json.dumps(dict(values)),)

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds."""
        with _told(), self._reading:
            return self._reader.execute(sql, given).fetchall()

    @contextmanager
    def blocks(
        self, sql: str, size: int, given: tuple[Any, ...] = ()
    ) -> Iterator[Iterator[list[Row]]]:
        """The rows that a query finds, as of the first block, in blocks of a size."""
        with _told(), closing(opening.connect_reading(self._path)) as reader:
            cursor = reader.execute(sql, given)
            yield iter(lambda: cursor.fetchmany(size), [])

    def mail_changes(self, mark: str | None) -> tuple[str, set[str]]:
        """Nothing: whoever counts mail writes here too."""
        return "", set()

    def await_disk(self) -> None:
        """At once: nothing is seen before it is on disk."""

    def close(self) -> None:
        """Let go of the file, once nobody reads: a connection closed under a query crashes."""
        with self._reading:
            self._reader.close()


class SqliteDatabase(ReadSqlite):
    """A file that this process alone writes."""

    def __init__(self, path: Path, fresh_seed: int) -> None:
        """Take the file for this process, and make what is missing.

        Args:
            path: of the file.
            fresh_seed: of all decisions of a new store; an old one keeps its own.

        Raises:
            StoreError: it is no store of this version, cannot be written, or another process
                writes it.
        """
        opening.require_own(path)
        self._claim = opening.claim(path)
        try:
            opening.make(path, fresh_seed)
            super().__init__(path)
        except BaseException:
            self._claim.release()
            raise
        self.lost: StoreLost | None = None
        self._tell_lost: Callable[[], None] = lambda: None
        self._locks = {kind: Locks() for kind in LOCK_KINDS}
        self._writer = GroupCommit(opening.connect(path), self._require_file)
        self._path_watch: opening.PathWatch | None = opening.PathWatch(path.resolve())

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds, of the file that is still at its path."""
        self._require_file()
        return super().read(sql, given)

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Write all statements or none; what returns is on disk."""
        with _told():
            return self._writer.write(statements)

    def write_linked(self, statements: Sequence[Statement]) -> list[int]:
        """As `write`: here all is."""
        return self.write(statements)

    def link(self) -> None:
        """Nothing waits: what is committed is linked."""

    def held(self, kind: str, names: Iterable[str]) -> AbstractContextManager[None]:
        """Keep the other threads from work on these names of a kind."""
        return self._locks[kind].held(names)

    def tell(self, names: Iterable[str]) -> None:
        """Nobody: there is no other process."""

    def served_beside(self, what: str) -> list[str]:
        """Nothing: there is no other process."""
        return []

    def heard(self) -> set[str]:
        """Nothing: there is no other process."""
        return set()

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call this, from any thread, when the file is found gone from its path."""
        self._tell_lost = tell

    def close(self) -> None:
        """Commit what waits and let go of the file."""
        self._path_watch = None
        super().close()
        self._writer.close()  # the last to close takes the -wal file in; a reader cannot
        self._claim.release()

    def _require_file(self) -> None:
        if self._path_watch is None:
            return
        try:
            self._path_watch.require_there()
        except StoreLost as error:
            first, self.lost = self.lost is None, error
            if first:
                self._tell_lost()
            raise


@contextmanager
def _told() -> Iterator[None]:
    """Tell SQLite's errors as those of a store."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreConflict(str(error)) from error
    except sqlite3.Error as error:
        raise StoreUnavailable(str(error)) from error
