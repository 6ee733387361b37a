"""Opening a store where it is."""

from __future__ import annotations

from pathlib import Path

from nurture_rl.serving.databases import Database, Location, ReadableDatabase
from nurture_rl.serving.on_sqlite import ReadSqlite, SqliteDatabase


def open_for_reading(location: Location) -> ReadableDatabase:
    """Open a store that exists.

    Args:
        location: path of a SQLite file.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    return ReadSqlite(Path(location))


def open_for_writing(location: Location, fresh_seed: int) -> Database:
    """Open a store, making it where there is none.

    Args:
        location: as of `open_for_reading`.
        fresh_seed: of all decisions of a new store; an old one keeps its own.

    Raises:
        StoreError: it is no store of this version, cannot be written, or another process keeps it
            for itself.
    """
    return SqliteDatabase(Path(location), fresh_seed)
