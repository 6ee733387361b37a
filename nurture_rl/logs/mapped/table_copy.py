"""A table of a PostgreSQL database as a CSV file, as it stood at one moment."""

from __future__ import annotations

from pathlib import Path

from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_file

_READS = "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'"


def copy_table(address: str, table: str, out: Path) -> int:
    """Write a table or view to a file; the file is there whole or not at all.

    Only one read is made, in a transaction that may not write. Times with a zone are written in
    UTC, and what is null is an empty cell.

    Args:
        address: postgresql://...
        table: its name, perhaps with a schema before it, as `crm.leads`.
        out: the CSV file.

    Returns:
        How many rows it has.

    Raises:
        ConfigError: the database does not answer, or has no such table that may be read.
        OSError: the disk refuses.
    """
    try:
        import psycopg
        from psycopg import sql
    except ImportError as error:
        raise ConfigError(
            "database: postgresql needs psycopg; type pip install 'nurture-rl[postgres]'"
        ) from error
    place = address.rpartition("@")[2]
    query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')")
    whole = query.format(sql.Identifier(*table.split(".")))
    try:
        with (
            atomic_file(out) as partial,
            psycopg.connect(address) as connection,
            connection.cursor() as cursor,
        ):
            connection.read_only = True
            cursor.execute(_READS)
            with partial.open("wb") as file, cursor.copy(whole) as copy:
                for part in copy:
                    file.write(part)
            return cursor.rowcount
    except psycopg.Error as error:
        told = str(error).strip().splitlines()
        raise ConfigError(
            f"database: expected {table} to be a table or view of {place} that may be read, got: "
            f"{told[0] if told else type(error).__name__}"
        ) from error
