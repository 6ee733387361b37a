"""A store's chain with the rows that it vouches for, read in blocks as of one moment."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from nurture_rl.serving.chain import TABLE_OF, Entry
from nurture_rl.serving.rows import Row

_BLOCK = 5_000  # entries at a time
_KEY = {"erasures": "number"}  # the other tables' is decision_id
_COLUMNS = "number, kind, id, digest, link, erasure"


def chained(connection: sqlite3.Connection) -> Iterator[list[tuple[Entry, Row | None]]]:
    """Every entry in order, with the row of its id as its table has it now.

    Args:
        connection: outside of a transaction; it is given back so.
    """
    connection.execute("BEGIN")
    try:
        cursor = connection.execute(f"SELECT {_COLUMNS} FROM chain ORDER BY number")
        while block := [Entry(*row) for row in cursor.fetchmany(_BLOCK)]:
            found = {kind: _rows(connection, kind, block) for kind in TABLE_OF}
            yield [(entry, found.get(entry.kind, {}).get(entry.id or "")) for entry in block]
    finally:
        connection.execute("COMMIT")


def unchained(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Kind and id of every row that no entry vouches for."""
    for kind, table in TABLE_OF.items():
        key = _KEY.get(table, "decision_id")
        asked = (
            f"SELECT {key} FROM {table} WHERE NOT EXISTS "
            f"(SELECT 1 FROM chain WHERE chain.id = {table}.{key} AND kind = ?)"
        )
        for (name,) in connection.execute(asked, (kind,)):
            yield kind, name


def _rows(connection: sqlite3.Connection, kind: str, block: Sequence[Entry]) -> dict[str, Row]:
    ids = [entry.id for entry in block if entry.kind == kind and entry.id is not None]
    if not ids:
        return {}
    table = TABLE_OF[kind]
    key = _KEY.get(table, "decision_id")
    asked = f"SELECT * FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))"
    return {row[0]: row for row in connection.execute(asked, (json.dumps(ids),))}
