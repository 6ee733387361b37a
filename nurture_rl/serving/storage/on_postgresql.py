"""A store's rows in a PostgreSQL database, which several servers read and write together.

Work on a contact is one transaction under locks, from the first row that is read to the commit:
whoever loses the locks loses what was written under them. Names are locked as rows of a table, so
that a long list of them holds up nobody but whom it names.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from nurture_rl.serving.names import contact_key
from nurture_rl.serving.storage import postgres_tables
from nurture_rl.serving.storage.chain import append
from nurture_rl.serving.storage.databases import LOCK_KINDS, Statement
from nurture_rl.serving.storage.hearing import Hearing
from nurture_rl.serving.storage.postgres_connections import (
    Connection,
    Connections,
    Cursor,
    first_line,
    placed,
    roll_back,
    shown,
    told,
)
from nurture_rl.serving.storage.postgres_presence import Presence
from nurture_rl.serving.storage.rows import Row
from nurture_rl.serving.store_errors import StoreError, StoreLost, StoreUnavailable

_log = logging.getLogger(__name__)

_LOCK = "SELECT FROM stripes WHERE stripe = ANY(?) ORDER BY stripe FOR UPDATE"
_WAIT = "INSERT INTO waiting_links (kind, id, digest) VALUES (?, ?, ?)"
_LINK = "SELECT link_waiting()"
_COMMIT_UNCHANGED = "SET LOCAL synchronous_commit = off; COMMIT"  # locks are all that it wrote
# A commit that is on disk takes all with it that was committed before.
_REACH_DISK = (
    "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, 'nurture', '') END"
)
_TELL = (
    "INSERT INTO news VALUES (?, pg_current_xact_id()) "
    "ON CONFLICT (contact_id) DO UPDATE SET told = excluded.told"
)


class ReadPostgres:
    """A database that is read."""

    any_of = "= ANY(?)"
    numbered = "unnest(?::text[], ?::bigint[]) AS asked (key, value)"
    is_shared = True

    def __init__(self, url: str, read_only: bool = True) -> None:
        """Connect.

        Raises:
            StoreError: the URL cannot be read, or the database not be reached.
        """
        self.name = shown(url)
        self._connections = Connections(url, read_only)
        self._mail_hearing = Hearing(self._connections, "mail_changes")
        with self._usable(), told(), closing(self._connections.connect()) as connection:
            postgres_tables.require_usable(connection, self.name)

    def listed(self, values: Sequence[str]) -> list[str]:
        """The parameter of `any_of`; what no text can be is not among the values."""
        return [value for value in values if "\0" not in value]

    def numbers(self, values: Mapping[str, int]) -> tuple[list[str], list[int]]:
        """The parameters of `numbered`."""
        keys = self.listed(list(values))
        return keys, [values[key] for key in keys]

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds."""
        with told():
            connection, cursor = self._connections.asked(sql, given)
            self._connections.put(connection)
            return cursor.fetchall()

    @contextmanager
    def blocks(
        self, sql: str, size: int, given: tuple[Any, ...] = ()
    ) -> Iterator[Iterator[list[Row]]]:
        """The rows that a query finds, as of the first block, in blocks of a size."""
        with (
            told(),
            closing(self._connections.connect()) as connection,
            connection.transaction(),
            connection.cursor("blocks") as cursor,
        ):
            cursor.execute(placed(sql), given)
            yield iter(lambda: cursor.fetchmany(size), [])

    @contextmanager
    def as_of_now(self) -> Iterator[Connection]:
        """A connection that sees one moment; when the block ends, no crash can undo it."""
        with (
            told(),
            closing(self._connections.connect()) as connection,
            connection.transaction(),
        ):
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection
        self.await_disk()

    def mail_changes(self, mark: str | None) -> tuple[str, set[str]]:
        """A mark of what is committed now, and contacts whose mail may count otherwise since."""
        with told():
            return self._mail_hearing.since(mark)

    def await_disk(self) -> None:
        """Return when no crash can undo what was read before."""
        self.read(_REACH_DISK)

    def close(self) -> None:
        """Let go of the database."""
        self._connections.close()
        self._mail_hearing.close()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Tell of a database that cannot be opened what to do."""
        try:
            yield
        except StoreUnavailable as error:
            raise StoreError(
                f"expected a database that can be used at {self.name}, got: {error}; start its "
                "server, or mend the URL or the rights of its role"
            ) from error


class PostgresDatabase(ReadPostgres):
    """A database that is written; any thread may use it."""

    lost: StoreLost | None = None  # never: a server that is gone comes back

    def __init__(self, url: str, fresh_seed: int) -> None:
        """Connect, and make the tables where there are none.

        Args:
            url: of the database.
            fresh_seed: of all decisions of a new store; an old one keeps its own.

        Raises:
            StoreError: the database cannot be reached, or holds something else.
        """
        super().__init__(url, read_only=False)
        self._own = threading.local()  # the connection whose transaction this thread is in
        self._presence = Presence(self._connections)
        self._linking = threading.Lock()
        self._links_begun = self._links_done = 0
        with self._usable(), told():
            with closing(self._connections.connect()) as connection:
                postgres_tables.make(connection, self.name, fresh_seed)
            self._news_hearing = Hearing(self._connections, "news")
            self._heard, _ = self._news_hearing.since(None)

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds, with what this thread has written and not committed."""
        if (own := self._connection) is None:
            return super().read(sql, given)
        with told():
            return own.execute(placed(sql), given).fetchall()

    @contextmanager
    def blocks(
        self, sql: str, size: int, given: tuple[Any, ...] = ()
    ) -> Iterator[Iterator[list[Row]]]:
        """Rows in blocks, with what this thread has written and not committed."""
        if (own := self._connection) is None:
            with super().blocks(sql, size, given) as blocks:
                yield blocks
            return
        with told(), own.cursor("blocks") as cursor:
            cursor.execute(placed(sql), given)
            yield iter(lambda: cursor.fetchmany(size), [])

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Keep everybody else out of the whole store until the block ends, in one transaction."""
        with told(), self._transaction() as connection:
            # First what all others lock first.
            connection.execute("LOCK TABLE stripes, contacts, events, decisions, chain, meta")
            self._own.wrote = True
            yield connection

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Write all statements or none; what returns outside of `held` is on disk."""
        with told(), self._transaction() as connection:
            links = [link for one in statements for link in one.links]
            *counts, _ = self._written(connection, [*statements, Statement(_WAIT, links)])
            self._own.links = bool(links) or self._own.links
            return counts

    def write_linked(self, statements: Sequence[Statement]) -> list[int]:
        """As `write`, and link in the same transaction; nobody else links until it ends."""
        with told(), self._transaction() as connection:
            counts = self._written(connection, statements)
            connection.execute(f"SELECT {postgres_tables.LOCK_CHAIN}")
            new = [link for one in statements for link in one.links]
            append(lambda sql, given: connection.execute(placed(sql), given).fetchall(), new)
            self._own.wrote = True
            return counts

    def link(self) -> None:
        """Append to the chain what waits for it."""
        super().read(_LINK)  # not in the transaction that this thread is in

    @contextmanager
    def held(self, kind: str, names: Iterable[str]) -> Iterator[None]:
        """Keep everybody else, in any process, from work on these names of a kind."""
        stripes = sorted({_stripe(kind, contact_key(name)) for name in names})
        with told(), self._transaction() as connection:
            if connection.execute(placed(_LOCK), [stripes]).rowcount != len(stripes):
                raise StoreUnavailable("the table stripes lacks rows; bring the store back")
            yield

    def tell(self, names: Iterable[str]) -> None:
        """Keep contacts of whom something arrived that may forbid mail, for all servers."""
        told_now = sorted({contact_key(name) for name in names})  # one order: no deadlock
        self.write([Statement(_TELL, [(name,) for name in told_now])])

    def served_beside(self, what: str) -> list[str]:
        """What other servers serve that run now, where it is anything else than this."""
        return self._presence.others(what)

    def heard(self) -> set[str]:
        """Contacts of whom something was told, and committed, since the last call."""
        with told():
            self._heard, names = self._news_hearing.since(self._heard)
        return names

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Nothing is ever lost."""

    def close(self) -> None:
        """Let go of the database; nobody sees any more that it was served."""
        self._presence.end()
        super().close()
        self._news_hearing.close()

    @property
    def _connection(self) -> Connection | None:
        return getattr(self._own, "connection", None)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """The transaction of this thread, which ends with the outermost block."""
        if (own := self._connection) is not None:
            yield own
            return
        connection, _ = self._connections.asked("BEGIN")
        self._own.connection, self._own.links, self._own.wrote = connection, False, False
        try:
            yield connection
            if connection.info.transaction_status != TransactionStatus.INTRANS:
                raise StoreUnavailable("a statement of the transaction failed; nothing was stored")
            connection.execute("COMMIT" if self._own.wrote else _COMMIT_UNCHANGED)
            if self._own.links:
                self._link_committed(connection)
        except BaseException:
            roll_back(connection)
            raise
        finally:
            self._own.connection = None
            self._connections.put(connection)

    def _link_committed(self, connection: Connection) -> None:
        """Link what is on disk already; where that fails, whoever is next does it.

        Threads that wait for each other here share one: whatever begins after a commit links it.
        """
        next_one = self._links_begun + 1
        with self._linking:
            if self._links_done >= next_one:
                return
            self._links_begun += 1
            try:
                connection.execute(_LINK)
                self._links_done = self._links_begun
            except psycopg.errors.RaiseException as error:
                raise StoreLost(first_line(error)) from error
            except psycopg.Error:
                _log.exception("decisions wait for the chain, which could not be appended to")

    def _written(self, connection: Connection, statements: Sequence[Statement]) -> list[int]:
        """Run statements in one round trip; rows changed by each."""
        with ExitStack() as stack:
            cursors: list[Cursor | None] = []
            with connection.pipeline():
                for one in statements:
                    if not one.rows:
                        cursors.append(None)
                        continue
                    self._own.wrote = True
                    cursor = stack.enter_context(connection.cursor())
                    cursor.executemany(placed(one.sql), [_storable(row) for row in one.rows])
                    cursors.append(cursor)
            return [0 if cursor is None else cursor.rowcount for cursor in cursors]


def _storable(row: Row) -> Row:
    """A row without the sign that PostgreSQL keeps in no text."""
    return tuple(cell.replace("\0", "") if isinstance(cell, str) else cell for cell in row)


def _stripe(kind: str, name: str) -> int:
    """The row that is locked for a name; kinds share none, or their order would not hold."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "big") % postgres_tables.STRIPES
    return LOCK_KINDS.index(kind) * postgres_tables.STRIPES + number
