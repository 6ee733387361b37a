"""Group commit: many small durable writes, one disk sync for all that wait together."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from nurture_rl.serving.storage.chain import append
from nurture_rl.serving.storage.databases import Statement
from nurture_rl.serving.storage.rows import Row

_GROUP_ROWS = 512  # rows of one transaction; a job larger than this commits alone


@dataclass(frozen=True, slots=True)
class _Job:
    statements: Sequence[Statement]
    done: Future[list[int]] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return sum(len(statement.rows) for statement in self.statements)


class GroupCommit:
    """The only writer of a database; a thread of its own that commits for everybody waiting."""

    def __init__(
        self, connection: sqlite3.Connection, require_there: Callable[[], None] | None = None
    ) -> None:
        """Start the thread.

        Args:
            connection: to the database.
            require_there: raises StoreLost when the committed rows are lost, as with a deleted
                file; then they are not acknowledged.
        """
        self._connection = connection
        self._require_there = require_there
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._door = threading.Lock()  # no job may enter the queue after its end
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="group-commit", daemon=True)
        self._thread.start()

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Write all statements or none; returns only when they are on disk.

        Returns:
            Rows changed by each statement.

        Raises:
            sqlite3.Error: the database refuses or was closed; no statement took effect.
            StoreLost: as told by `require_there`.
        """
        job = _Job(statements)
        with self._door:
            if self._closed:
                raise sqlite3.ProgrammingError("the store was closed; open it again")
            self._queue.put(job)
        return job.done.result()

    def close(self) -> None:
        """Finish what was queued, then stop."""
        with self._door:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, size, last = [first], first.size, False
            while size < _GROUP_ROWS and not last:
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    break
                last = job is None
                if job is not None:
                    group.append(job)
                    size += job.size
            self._commit(group)
            if last:
                return

    def _commit(self, group: Sequence[_Job]) -> None:
        done: list[tuple[_Job, list[int]]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for job in group:
                counts = self._try(job)
                if counts is not None:
                    done.append((job, counts))
            statements = [one for job, _ in done for one in job.statements]
            append(self._asked, [link for one in statements for link in one.links])
            self._connection.execute("COMMIT")
            if self._require_there is not None:
                self._require_there()
        except Exception as error:  # whatever it is, the next who write need this thread
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for job in group:
                if not job.done.done():
                    job.done.set_exception(error)
            return
        for job, counts in done:
            job.done.set_result(counts)

    def _asked(self, sql: str, given: Sequence[object]) -> list[Row]:
        return self._connection.execute(sql, given).fetchall()

    def _try(self, job: _Job) -> list[int] | None:
        """Run one job inside the transaction; its failure must not undo the other jobs."""
        self._connection.execute("SAVEPOINT job")
        try:
            counts = [
                self._connection.executemany(statement.sql, statement.rows).rowcount
                for statement in job.statements
            ]
        except Exception as error:  # also of a cell that no database takes
            if not self._connection.in_transaction:  # as where the disk is full: all is undone
                raise
            self._connection.execute("ROLLBACK TO job")
            job.done.set_exception(error)
            return None
        finally:
            if self._connection.in_transaction:
                self._connection.execute("RELEASE job")
        return counts
