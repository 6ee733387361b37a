"""A store's rows in a PostgreSQL database, which several servers read and write together.

Work on a contact is one transaction under advisory locks, from the first row that is read to the
commit: whoever loses the locks loses what was written under them.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from nurture_rl.serving import postgres_tables
from nurture_rl.serving.chain import Link, append
from nurture_rl.serving.databases import Statement
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.postgres_connections import (
    Connection,
    Connections,
    placed,
    roll_back,
    shown,
    told,
)
from nurture_rl.serving.rows import Row
from nurture_rl.serving.store_errors import StoreError, StoreLost, StoreUnavailable

_log = logging.getLogger(__name__)

_MOST_LOCKS = 150  # of one block; who needs more takes the whole store
_EVERYTHING = 0x4E555255  # the lock of the whole store, which everybody else shares
_CHAIN = 0x4E555256  # the lock of the chain's end, taken after all others
_LOCK_SOME = (
    "SELECT CASE WHEN place = 1 THEN pg_advisory_xact_lock_shared(key) "
    "ELSE pg_advisory_xact_lock(key) END FROM unnest(?::bigint[]) WITH ORDINALITY AS _ (key, place)"
)
_LOCK = "SELECT pg_advisory_xact_lock(?)"
_ADD_UNLINKED = "INSERT INTO unlinked (kind, id, digest) VALUES (?, ?, ?)"
_TAKE_UNLINKED = "DELETE FROM unlinked RETURNING rowid, kind, id, digest"
_TELL = (
    "INSERT INTO news VALUES (?, pg_current_xact_id()) "
    "ON CONFLICT (contact_id) DO UPDATE SET told = excluded.told"
)
_NOW = "SELECT pg_current_snapshot()::text"
# What was committed after an earlier snapshot.
_HEAR = (
    "SELECT pg_current_snapshot()::text, ARRAY(SELECT contact_id FROM news "
    "WHERE told >= pg_snapshot_xmin(heard) AND NOT pg_visible_in_snapshot(told, heard)) "
    "FROM (SELECT ?::pg_snapshot AS heard) AS _"
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

    def close(self) -> None:
        """Let go of the database."""
        self._connections.close()

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
        with self._usable(), told():
            with closing(self._connections.connect()) as connection:
                postgres_tables.make(connection, self.name, fresh_seed)
            ((self._heard,),) = self.read(_NOW)

    def read(self, sql: str, given: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that a query finds, with what this thread has written and not committed."""
        if (own := self._connection) is None:
            return super().read(sql, given)
        with told():
            return own.execute(placed(sql), given).fetchall()

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Write all statements or none; what returns outside of `held` is on disk."""
        with told(), self._transaction() as connection:
            counts = [_written(connection, statement) for statement in statements]
            links = [link for one in statements for link in one.links]
            _written(connection, Statement(_ADD_UNLINKED, links))
            self._own.links = bool(links) or self._own.links
            return counts

    def write_linked(self, statements: Sequence[Statement]) -> list[int]:
        """As `write`, and link in the same transaction; nobody else links until it ends."""
        with told(), self._transaction() as connection:
            counts = [_written(connection, statement) for statement in statements]
            connection.execute(placed(_LOCK), [_CHAIN])
            _append(connection, [link for one in statements for link in one.links])
            return counts

    def link(self) -> None:
        """Append to the chain what waits for it."""
        connection, _ = self._connections.asked("BEGIN")
        try:
            _link(connection)
        except BaseException:
            roll_back(connection)
            raise
        finally:
            self._connections.put(connection)

    @contextmanager
    def held(self, kind: str, names: Iterable[str]) -> Iterator[None]:
        """Keep everybody else, in any process, from work on these names of a kind."""
        keys = sorted({_key(kind, contact_key(name)) for name in names})
        with told(), self._transaction() as connection:
            if len(keys) > _MOST_LOCKS:
                connection.execute(placed(_LOCK), [_EVERYTHING])
            else:
                connection.execute(placed(_LOCK_SOME), [[_EVERYTHING, *keys]])
            yield

    def tell(self, names: Iterable[str]) -> None:
        """Keep contacts of whom something arrived that may forbid mail, for all servers."""
        told_now = sorted({contact_key(name) for name in names})  # one order: no deadlock
        self.write([Statement(_TELL, [(name,) for name in told_now])])

    def heard(self) -> set[str]:
        """Contacts of whom something was told, and committed, since the last call."""
        ((self._heard, names),) = self.read(_HEAR, (self._heard,))
        return set(names)

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Nothing is ever lost."""

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
        self._own.connection, self._own.links = connection, False
        try:
            yield connection
            if connection.info.transaction_status != TransactionStatus.INTRANS:
                raise StoreUnavailable("a statement of the transaction failed; nothing was stored")
            connection.execute("COMMIT")
            if self._own.links:
                _link_committed(connection)
        except BaseException:
            roll_back(connection)
            raise
        finally:
            self._own.connection = None
            self._connections.put(connection)


def _link_committed(connection: Connection) -> None:
    """Link what is on disk already; where that fails, whoever is next does it."""
    try:
        connection.execute("BEGIN")
        _link(connection)
    except psycopg.Error:
        _log.exception("decisions wait for the chain, which could not be appended to")
        roll_back(connection)


def _link(connection: Connection) -> None:
    """Append what waits for it to the chain, and end the transaction.

    It is not waited for on disk: what a crash of the server undoes waits again.
    """
    connection.execute("SET LOCAL synchronous_commit = off")
    connection.execute(placed(_LOCK), [_CHAIN])
    waiting = connection.execute(_TAKE_UNLINKED).fetchall()
    new = [(kind, name, digest) for _, kind, name, digest in sorted(waiting)]
    _append(connection, new)
    connection.execute("COMMIT")


def _append(connection: Connection, new: Sequence[Link]) -> None:
    append(lambda sql, given: connection.execute(placed(sql), given).fetchall(), new)


def _written(connection: Connection, statement: Statement) -> int:
    if not statement.rows:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(placed(statement.sql), [_storable(row) for row in statement.rows])
        return cursor.rowcount


def _storable(row: Row) -> Row:
    """A row without the sign that PostgreSQL keeps in no text."""
    return tuple(cell.replace("\0", "") if isinstance(cell, str) else cell for cell in row)


def _key(kind: str, name: str) -> int:
    """The number of an advisory lock."""
    text = f"{kind} {name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)
