"""A store copied between a PostgreSQL database and a SQLite file: every row, as of one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from nurture_rl.serving.storage import opening
from nurture_rl.serving.storage.on_postgresql import PostgresDatabase, ReadPostgres
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.upkeep.verifying import walked

_BLOCK = 5_000  # rows at a time
# Empty in a new store. A server notes its policies as it starts; with the copy it would decide by
# another seed than the store says.
_KNOWN = ("contacts", "events", "decisions", "erasures", "quarantine", "policy_log")


def copy_out(url: str, path: Path) -> None:
    """Copy a database into a file that is there and empty; servers may write meanwhile.

    Raises:
        StoreUnavailable: the database cannot be read.
        sqlite3.Error: the file cannot be written.
    """
    opening.make(path, 0)
    with (
        closing(ReadPostgres(url)) as source,
        closing(opening.connect(path)) as copy,
        source.as_of_now() as connection,
    ):
        copy.execute("BEGIN IMMEDIATE")
        for table, columns in _tables(copy):
            copy.execute(f"DELETE FROM {table}")
            places = ", ".join("?" * len(columns))
            added = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
            with connection.cursor("rows") as cursor:
                asked = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]}"
                cursor.execute(asked.encode())
                while block := cursor.fetchmany(_BLOCK):
                    copy.executemany(added, block)
        copy.execute("COMMIT")


def copy_in(path: Path, url: str) -> None:
    """Copy a file into a database without a store, or with one that knows nothing yet.

    Raises:
        StoreError: a store is there, or what arrived is not what was logged; nothing was copied.
        StoreUnavailable: the database cannot be written.
    """
    with (
        closing(PostgresDatabase(url, 0)) as database,
        closing(opening.connect_reading(path)) as source,
        database.alone() as connection,
    ):
        for table in _KNOWN:
            if database.read(f"SELECT 1 FROM {table} LIMIT 1"):
                raise StoreError(
                    f"expected no store at {database.name}, got one with {table}; it stays as it "
                    "is: give an empty database, and servers its URL afterwards"
                )
        for table, columns in _tables(source):
            names = ", ".join(columns)
            connection.execute(f"DELETE FROM {table}".encode())
            with connection.cursor().copy(f"COPY {table} ({names}) FROM STDIN".encode()) as rows:
                for row in source.execute(f"SELECT {names} FROM {table} ORDER BY {columns[0]}"):
                    rows.write_row(row)
            if columns[0] == "rowid":  # the next row comes after these
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'rowid'), max(rowid)) "
                    f"FROM {table} HAVING max(rowid) > 0".encode()
                )
        walk = walked(StoreReader(url, database))
        if walk.broken:
            raise StoreError(
                f"expected what was logged in {path}, got {walk.broken_places[0]} in "
                f"{database.name}; nothing was copied"
            )


def _tables(store: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """Every table of a file with its columns; the first tells the order of the rows."""
    asked = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in store.execute(asked).fetchall():
        columns = store.execute(f"PRAGMA table_info({table})").fetchall()
        numbered = any(kind == "INTEGER" and place for _, _, kind, _, _, place in columns)
        names = [name for _, name, *_ in columns]
        yield table, names if numbered else ["rowid", *names]
