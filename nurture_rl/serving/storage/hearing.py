"""Who was noted in a PostgreSQL database since a mark, told while one connection to it lasts.

A mark is a snapshot: it says which transactions had ended. Their numbers grow as long as a server
runs. One that comes back after a crash, or takes another one's place, may give numbers again that a
mark counts as ended. It breaks all connections, too: what came after a lost connection is unknown.
"""

from __future__ import annotations

import threading

import psycopg

from nurture_rl.serving.names import EVERYBODY
from nurture_rl.serving.storage.postgres_connections import Connection, Connections, placed

_NOW = "SELECT pg_current_snapshot()::text"
# What was committed after an earlier snapshot.
_HEAR = (
    "SELECT pg_current_snapshot()::text, ARRAY(SELECT contact_id FROM {table} "
    "WHERE told >= pg_snapshot_xmin(heard) AND NOT pg_visible_in_snapshot(told, heard)) "
    "FROM (SELECT ?::pg_snapshot AS heard) AS _"
)


class Hearing:
    """Asks over a connection of its own. Any thread may ask."""

    def __init__(self, connections: Connections, table: str) -> None:
        """Nothing is connected yet.

        Args:
            connections: to the database.
            table: of contacts and of the transactions that noted them.
        """
        self._connections, self._table = connections, table
        self._door = threading.Lock()
        self._connection: Connection | None = None
        self._number = 0  # of the connection, counted up

    def since(self, mark: str | None) -> tuple[str, set[str]]:
        """A mark of what is committed now, and the contacts that were noted since an earlier one.

        Args:
            mark: an earlier one; None: nobody is asked for.

        Returns:
            Both; the contacts are `EVERYBODY` where the connection of the earlier mark was lost.

        Raises:
            psycopg.Error: the database cannot be asked.
        """
        with self._door:
            try:
                return self._asked(mark)
            except psycopg.Error:
                if self._connection is None or not self._connection.closed:
                    raise
            return self._asked(mark)

    def close(self) -> None:
        """Let go of the connection, once nobody asks."""
        if self._connection is not None:
            self._connection.close()

    def _asked(self, mark: str | None) -> tuple[str, set[str]]:
        if self._connection is None or self._connection.closed:
            self._connection = self._connections.connect()
            self._number += 1
        number, _, heard = ("" if mark is None else mark).partition(" ")
        if number != str(self._number):
            ((now,),) = self._connection.execute(_NOW).fetchall()
            return f"{self._number} {now}", set() if mark is None else {EVERYBODY}
        asked = placed(_HEAR.format(table=self._table))
        ((now, names),) = self._connection.execute(asked, (heard,)).fetchall()
        return f"{self._number} {now}", set(names)
