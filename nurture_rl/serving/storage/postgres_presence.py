"""Servers of one store in PostgreSQL see what the others of them serve, for as long as they run."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg

from nurture_rl.serving.storage.postgres_connections import Connection, Connections, told

# A lock that everybody can have, and that ends with its connection, however that ends.
_KEY = "hashtext('nurture serves ' || current_schema())"
_BE_SEEN = f"SELECT pg_advisory_lock_shared({_KEY}, hashtext(%s))"
_NAME = "SELECT set_config('application_name', %s, false)"
_OTHERS = f"""
SELECT DISTINCT coalesce(nullif(a.application_name, ''), 'others')
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND l.classid = ({_KEY}::bigint & 4294967295)::oid
AND l.objid <> (hashtext(%s)::bigint & 4294967295)::oid
ORDER BY 1
"""
_LONGEST = 63  # signs of a name that PostgreSQL keeps


class Presence:
    """What this process serves, which others of the store can see. Any thread may ask."""

    def __init__(self, connections: Connections) -> None:
        """Nobody sees anything yet; see `Connections`."""
        self._connections, self._door = connections, threading.Lock()
        self._seen: Connection | None = None

    def others(self, what: str) -> list[str]:
        """Be seen to serve this from now on, also after a restart of the database.

        Returns:
            What other servers serve, where that is anything else.

        Raises:
            StoreUnavailable: the database cannot be asked.
        """
        with self._door, told():
            if self._seen is not None and not self._seen.closed:
                with suppress(psycopg.OperationalError):  # its server was restarted
                    return self._found(self._seen, what)
                self._seen.close()
            self._seen = connection = self._connections.connect()
            connection.execute(_NAME, [what[:_LONGEST]])
            connection.execute(_BE_SEEN, [what])
            return self._found(connection, what)

    def end(self) -> None:
        """Be seen no more."""
        with self._door:
            if self._seen is not None:
                self._seen.close()

    @staticmethod
    def _found(connection: Connection, what: str) -> list[str]:
        return [str(name) for (name,) in connection.execute(_OTHERS, [what])]
