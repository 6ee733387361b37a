"""Reading rows of one table by the values of a column: what every part of a store's reader does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from nurture_rl.serving import rows
from nurture_rl.serving.databases import ReadableDatabase
from nurture_rl.serving.names import contact_key


class TableReader:
    """Asks one database; the parts of a store's reader stand on it."""

    _source: ReadableDatabase

    def _among(
        self,
        table: str,
        key: str,
        values: Sequence[str],
        columns: str | None = None,
        journey: str | None = None,
        where: str = "TRUE",
    ) -> list[rows.Row]:
        if not values:
            return []
        if key == "contact_id":
            values = [contact_key(value) for value in values]
        among, columns = f"{key} {self._source.any_of}", columns or columns_of(table)
        sql = f"SELECT {columns} FROM {table} WHERE {among} AND {where}"
        given: tuple[Any, ...] = (self._source.listed(values),)
        if journey is not None:
            sql, given = f"{sql} AND journey = ?", (*given, journey)
        return self._source.read(f"{sql} ORDER BY rowid", given)

    def _of(self, names: Sequence[str] | None) -> tuple[str, tuple[Any, ...]]:
        """SQL: a row is of one of these contacts; with its parameters. None: of anybody."""
        if names is None:
            return "TRUE", ()
        keys = [contact_key(name) for name in names]
        return f"contact_id {self._source.any_of}", (self._source.listed(keys),)


@lru_cache(maxsize=64)
def columns_of(table: str, of: str = "") -> str:
    """SQL: the columns of a table's records, each after `of`, such as `events.`."""
    return ", ".join(f"{of}{name}" for name in rows.COLUMNS[table])
