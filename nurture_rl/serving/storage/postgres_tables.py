"""The tables of a store in PostgreSQL: made where there are none, brought up to date where old."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from nurture_rl.serving.storage import (
    arm_rows,
    chain,
    episode_rows,
    mail_notes,
    permission_rows,
    policy_rows,
    rows,
    state_tables,
)
from nurture_rl.serving.storage.databases import LOCK_KINDS
from nurture_rl.serving.storage.erased_marks import SALT
from nurture_rl.serving.storage.postgres_connections import placed
from nurture_rl.serving.store_errors import StoreError

_OLDEST = 130_000  # server version: the first with `pg_current_snapshot`
_OPENING = 0x4E555254  # "NURT": the advisory lock of whoever makes or changes tables
_TYPES = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION", "BLOB": "BYTEA"}
_FIRST_TABLES = frozenset({"meta", "contacts", "events", "decisions"})  # of every version
STRIPES = 16_384  # of each kind of lock; names that share one wait for each other
# Rows that are locked for names: any number of them, where other locks take shared memory.
_LOCKED = f"""
CREATE TABLE stripes (stripe INTEGER PRIMARY KEY);
INSERT INTO stripes SELECT generate_series(0, {STRIPES * len(LOCK_KINDS) - 1});
"""
LOCK_CHAIN = "pg_advisory_xact_lock(1314214486)"  # of the chain's end, after all other locks
# `chain.append` for what waits, in one round trip while the end is locked. It is not waited for on
# disk: what a crash of the server undoes waits again.
_LINKING = f"""
CREATE FUNCTION link_waiting() RETURNS void LANGUAGE plpgsql AS $$
DECLARE last BIGINT; head BYTEA; one RECORD;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true), {LOCK_CHAIN};
  SELECT number, link INTO last, head FROM chain ORDER BY number DESC LIMIT 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the store''s chain is gone; bring the store back from a backup';
  END IF;
  FOR one IN WITH taken AS (DELETE FROM waiting_links RETURNING rowid, kind, id, digest)
    SELECT kind, id, digest FROM taken ORDER BY rowid
  LOOP
    IF one.kind IN ({", ".join(map(repr, chain.MADE_ONCE))}) THEN
      CONTINUE WHEN EXISTS (SELECT 1 FROM chain WHERE id = one.id AND kind = one.kind);
    END IF;
    last := last + 1;
    head := sha256(head || one.digest);
    INSERT INTO chain (number, kind, id, digest, link)
      VALUES (last, one.kind, one.id, one.digest, head);
  END LOOP;
END $$;
"""
_BY_ROW = "CREATE INDEX decisions_by_row ON decisions (rowid);"  # as every table of SQLite has
# What servers of one store need beside the tables that SQLite has: who was told of whom in which
# transaction, and the sends of an offer.
_SHARED = f"""
CREATE TABLE news (contact_id TEXT PRIMARY KEY, told xid8 NOT NULL);
CREATE INDEX news_told ON news (told);
CREATE INDEX decisions_of_action ON decisions (journey, action) WHERE scheduled_us IS NOT NULL;
{_BY_ROW}{_LOCKED}{_LINKING}{mail_notes.TABLES}"""


def require_usable(connection: Connection[Any], name: str) -> None:
    """Look at a server before anything is asked of it.

    Raises:
        StoreError: it is too old, or keeps text in another encoding.
    """
    if connection.info.server_version < _OLDEST:
        raise StoreError(
            f"expected PostgreSQL 13 or newer at {name}, got {connection.info.server_version}; "
            "give a database of a newer server"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"expected a database in UTF8 at {name}, got {encoding}; make one by "
            "createdb --encoding UTF8 --template template0"
        )


def make(connection: Connection[Any], name: str, fresh_seed: int) -> None:
    """Make the tables where there are none, and bring an older store up to date.

    Args:
        connection: to the database, in whose current schema they lie.
        name: of the database in messages.
        fresh_seed: of all decisions of a new store; an old one keeps its own.

    Raises:
        StoreError: the schema is another program's, or of a version that cannot be read.
        psycopg.Error: the database refuses.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_OPENING])
        found = _version(connection, name)
        if found is None:
            connection.execute(_tables() + _SHARED)
            about = [("version", rows.VERSION), ("seed", str(fresh_seed))]
            about.append((SALT, secrets.token_hex(32)))
            connection.cursor().executemany("INSERT INTO meta VALUES (%s, %s)", about)
        while found not in (None, rows.VERSION):
            if found not in _STEPS:
                raise StoreError(
                    f"expected a store of version {rows.VERSION} at {name}, got {found}; serve it "
                    "with the version that made it, or give a new database"
                )
            connection.execute(_STEPS[found])
            found = _version(connection, name)
        connection.execute(mail_notes.RENUMBER)
        asked = connection.execute("SELECT value FROM meta WHERE name = 'seed'").fetchone()
        seed = fresh_seed if asked is None else int(asked[0])
        chain.begin(lambda sql, given: connection.execute(placed(sql), given).fetchall(), seed)


def _version(connection: Connection[Any], name: str) -> str | None:
    """The version of the store that lies there; None: there is none."""
    asked = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
    tables = {table for (table,) in connection.execute(asked)}
    if tables.isdisjoint(_FIRST_TABLES):
        return None
    if tables >= _FIRST_TABLES:
        asked = "SELECT value FROM meta WHERE name = 'version'"
        if (row := connection.execute(asked).fetchone()) is not None:
            return str(row[0])
    raise StoreError(
        f"expected a store of this server at {name}, got another program's tables "
        f"{', '.join(sorted(tables)[:5])}; nothing was written: give a database of its own"
    )


def _tables(sqlite: str = rows.TABLES) -> str:
    """The tables of a store as PostgreSQL writes them; `rowid` numbers rows as SQLite does.

    It ends every index of SQLite; here the one by which events after a place are found names it.
    """
    made = sqlite.replace("IF NOT EXISTS ", "")
    made = made.replace("ON events (contact_id);", "ON events (contact_id, rowid);")
    made = made.replace(") STRICT;", ", rowid BIGINT GENERATED ALWAYS AS IDENTITY);")
    for theirs, ours in _TYPES.items():
        made = made.replace(theirs, ours)
    return made


# What version 7 lacked of episodes; `_tables` writes the types of the new columns.
_OF_EPISODES = """
ALTER TABLE episodes DROP CONSTRAINT episodes_contact_id_journey_key;
ALTER TABLE episodes ADD COLUMN number INTEGER NOT NULL DEFAULT 1,
  ADD COLUMN priority INTEGER NOT NULL DEFAULT 0, ADD COLUMN began_us INTEGER,
  ADD COLUMN over_us INTEGER, ADD COLUMN ended_us INTEGER, ADD COLUMN reason TEXT,
  ADD COLUMN why TEXT, ADD COLUMN paused_us INTEGER, ADD COLUMN decided_step INTEGER,
  ADD COLUMN paused_until INTEGER, ADD UNIQUE (contact_id, journey, number);
ALTER TABLE policy_log ADD COLUMN journey TEXT NOT NULL DEFAULT '';
"""
_STEPS: Mapping[str, str] = {  # SQL from each older version to the next; 4 is the first here
    "10": f"{_tables(arm_rows.OF_DECISIONS + arm_rows.TABLES)}"
    "UPDATE meta SET value = '11' WHERE name = 'version';",
    "9": f"{_tables(policy_rows.AFTER_ROWS)}{_BY_ROW}"
    "UPDATE meta SET value = '10' WHERE name = 'version';",
    # The table has another name, so that a server of an older version, which would not see who is
    # locked here, can write nothing any more.
    "8": "ALTER TABLE unlinked RENAME TO waiting_links;"
    "CREATE INDEX IF NOT EXISTS decisions_by_moment ON decisions (journey, decided_us);"
    f"{_LOCKED}{_LINKING}{mail_notes.TABLES}{mail_notes.BEGIN}"
    "UPDATE meta SET value = '9' WHERE name = 'version';",
    "7": _tables(_OF_EPISODES)
    + episode_rows.ONE_EACH
    + episode_rows.OF_JOURNEY
    + episode_rows.OTHER_INDEXES
    + state_tables.LONG_PAUSES
    + _tables(episode_rows.LOCK + episode_rows.BESIDE)
    + "UPDATE meta SET value = '8' WHERE name = 'version';",
    "6": f"{_tables(state_tables.TABLES)}DROP INDEX IF EXISTS decisions_of_contact;"
    "UPDATE meta SET value = '7' WHERE name = 'version';",
    "5": f"{_tables(permission_rows.TABLES)}UPDATE meta SET value = '6' WHERE name = 'version';",
}
