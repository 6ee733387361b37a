"""A store's chain with the rows that it vouches for, read in blocks as of one moment."""

from __future__ import annotations

from collections.abc import Iterator

from nurture_rl.serving.chain import COLUMNS_OF, TABLE_OF, Entry
from nurture_rl.serving.databases import ReadableDatabase
from nurture_rl.serving.rows import Row

_BLOCK = 5_000  # entries at a time
_ENTRY = Entry.__slots__


def chained(source: ReadableDatabase) -> Iterator[list[tuple[Entry, Row | None]]]:
    """Every entry in order, with the row of its id as its table has it now.

    When it ends, no crash can undo what it gave.
    """
    columns, joins = [f"chain.{name}" for name in _ENTRY], []
    places: dict[str, slice] = {}
    for kind, table in TABLE_OF.items():
        names = COLUMNS_OF[kind]
        places[kind] = slice(len(columns), len(columns) + len(names))
        columns += [f"{table}.{name}" for name in names]
        joins.append(f"LEFT JOIN {table} ON kind = '{kind}' AND {table}.{names[0]} = chain.id")
    asked = f"SELECT {', '.join(columns)} FROM chain {' '.join(joins)} ORDER BY chain.number"
    with source.blocks(asked, _BLOCK) as blocks:
        for block in blocks:
            yield [_told(row, places) for row in block]
    source.await_disk()  # or a head that is noted could be linked anew after a crash


def unchained(source: ReadableDatabase) -> Iterator[tuple[str, str]]:
    """Kind and id of every row that no entry vouches for, nor will in a moment."""
    for kind, table in TABLE_OF.items():
        key = COLUMNS_OF[kind][0]
        asked = (
            f"SELECT {key} FROM {table} WHERE NOT EXISTS "
            f"(SELECT 1 FROM chain WHERE chain.id = {table}.{key} AND kind = '{kind}') AND NOT "
            f"EXISTS (SELECT 1 FROM waiting_links AS waiting WHERE waiting.id = {table}.{key} "
            f"AND kind = '{kind}')"
        )
        with source.blocks(asked, _BLOCK) as blocks:
            for block in blocks:
                yield from ((kind, name) for (name,) in block)


def _told(row: Row, places: dict[str, slice]) -> tuple[Entry, Row | None]:
    entry = Entry(*row[: len(_ENTRY)])
    found = row[places[entry.kind]] if entry.kind in places else (None,)
    return entry, None if found[0] is None else found
