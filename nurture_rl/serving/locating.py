"""Opening a store where it is: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nurture_rl.serving.databases import Database, Location, ReadableDatabase
from nurture_rl.serving.on_sqlite import ReadSqlite, SqliteDatabase
from nurture_rl.serving.store_errors import StoreError


def is_url(location: Location) -> bool:
    """Whether a store is no file."""
    return isinstance(location, str) and "://" in location


def shown_location(location: Location) -> str:
    """Where a store is, as it may be printed and kept: without a password.

    Raises:
        StoreError: it is a URL that cannot be read.
    """
    if not is_url(location):
        return str(location)
    _require_psycopg()
    from nurture_rl.serving.postgres_connections import shown

    return shown(str(location))


def require_there(location: str) -> None:
    """Guard what must not make a new store.

    Raises:
        StoreError: there is no file at a path.
    """
    if not (is_url(location) or Path(location).is_file()):
        raise StoreError(f"no store at {location}; give the path that the server runs with")


def open_for_reading(location: Location) -> ReadableDatabase:
    """Open a store that exists.

    Args:
        location: path of a SQLite file, or URL of a PostgreSQL database.

    Raises:
        StoreError: there is no store, or it cannot be read.
    """
    if not is_url(location):
        return ReadSqlite(Path(location))
    _require_psycopg()
    from nurture_rl.serving.on_postgresql import ReadPostgres

    return ReadPostgres(str(location))


def open_for_writing(location: Location, fresh_seed: int) -> Database:
    """Open a store, making it where there is none.

    Args:
        location: as of `open_for_reading`.
        fresh_seed: of all decisions of a new store; an old one keeps its own.

    Raises:
        StoreError: it is no store of this version, cannot be written, or another process keeps it
            for itself.
    """
    if not is_url(location):
        return SqliteDatabase(Path(location), fresh_seed)
    _require_psycopg()
    from nurture_rl.serving.on_postgresql import PostgresDatabase

    return PostgresDatabase(str(location), fresh_seed)


def _require_psycopg() -> None:
    if find_spec("psycopg") is None:
        raise StoreError(
            "a store in PostgreSQL needs psycopg, which is not installed; type "
            "pip install 'nurture-rl[postgres]', or give the path of a SQLite file"
        )
