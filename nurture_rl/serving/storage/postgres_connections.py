"""Connections to a PostgreSQL database, replaced where its server was gone meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from nurture_rl.serving.storage.rows import Row
from nurture_rl.serving.store_errors import StoreConflict, StoreError, StoreUnavailable

Connection = psycopg.Connection[Row]
Cursor = psycopg.Cursor[Row]

_SCHEMES = ("postgresql://", "postgres://")
_CONNECTING = {  # unless the URL says otherwise: a server that is gone is noticed
    "connect_timeout": "5",  # seconds
    "keepalives_idle": "10",  # seconds
    "tcp_user_timeout": "10000",  # ms
    "application_name": "nurture",
}
_SETTINGS = (
    "SELECT set_config('synchronous_commit', 'on', false), "  # what is acknowledged is on disk
    "set_config('lock_timeout', '10s', false), "  # behind a server that hangs
    "set_config('idle_in_transaction_session_timeout', '60s', false), "  # of one that hangs
    "set_config('default_transaction_read_only', "
    "CASE WHEN %s THEN 'on' ELSE current_setting('default_transaction_read_only') END, false)"
)


class Connections:
    """Open connections that nobody uses at the moment, and new ones as they are needed."""

    def __init__(self, url: str, read_only: bool) -> None:
        """Nothing is connected yet.

        Args:
            url: of the database.
            read_only: refuse to write.

        Raises:
            StoreError: the URL cannot be read.
        """
        self._parameters = {**_CONNECTING, **_parsed(url)}
        self._read_only = read_only
        self._idle: list[Connection] = []  # the one used last is taken first
        self._closed = False
        self._door = threading.Lock()

    def connect(self) -> Connection:
        """A connection that commits every statement by itself, and on disk."""
        self._require_open()
        connection = psycopg.connect(**self._parameters, autocommit=True)
        connection.execute(_SETTINGS, [self._read_only])
        return connection

    def asked(self, sql: str, given: tuple[Any, ...] = ()) -> tuple[Connection, Cursor]:
        """Run a statement on a connection that works; give it back to `put`.

        The statement must change nothing: it runs again where the server was restarted meanwhile.
        """
        while (connection := self._taken()) is not None:
            try:
                return connection, connection.execute(placed(sql), given)
            except psycopg.Error:
                self.put(connection)
                if not connection.closed:
                    raise
        connection = self.connect()
        try:
            return connection, connection.execute(placed(sql), given)
        except psycopg.Error:
            self.put(connection)
            raise

    def put(self, connection: Connection) -> None:
        """Keep a connection for the next who asks; one that is broken is forgotten."""
        with self._door:
            if not (self._closed or connection.closed):
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close what nobody uses now, and what is used as soon as it is put back."""
        with self._door:
            self._closed, idle, self._idle = True, self._idle, []
        for connection in idle:
            connection.close()

    def _taken(self) -> Connection | None:
        with self._door:
            self._require_open()
            return self._idle.pop() if self._idle else None

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store was closed; open it again")


@lru_cache(maxsize=256)
def placed(sql: str) -> str:
    """SQL with the places of its cells as psycopg writes them."""
    return sql.replace("%", "%%").replace("?", "%s")


@contextmanager
def told() -> Iterator[None]:
    """Tell PostgreSQL's errors as those of a store."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise StoreConflict(first_line(error)) from error
    except psycopg.Error as error:
        raise StoreUnavailable(first_line(error)) from error
    except UnicodeError as error:  # of a host's name that no resolver can be asked for
        raise StoreUnavailable(f"no host has such a name: {first_line(error)}") from error


def roll_back(connection: Connection) -> None:
    """Undo what a transaction did, if the server is there to be told; else it does so by itself."""
    with suppress(psycopg.Error):
        connection.rollback()


def shown(url: str) -> str:
    """A URL without its password.

    Raises:
        StoreError: it cannot be read.
    """
    parts = _parsed(url)
    user = f"{parts['user']}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{user}{parts.get('host', '')}{port}/{parts.get('dbname', '')}"


def first_line(error: Exception) -> str:
    """What an error says, without the rows that its further lines may show."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _parsed(url: str) -> dict[str, Any]:
    if url.startswith(_SCHEMES):
        with suppress(psycopg.Error):  # which may repeat the password
            return conninfo_to_dict(url)
    raise StoreError(
        "expected a URL such as postgresql://USER@HOST/DATABASE, got one that cannot be read; "
        "write signs such as @ and / in a password as %40 and %2F"
    )
