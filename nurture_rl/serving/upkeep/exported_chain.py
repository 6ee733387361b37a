"""The chain beside an export's decisions: it shows without the store that they are what was logged.

A decision is exported with more than the chain vouches for: its contact's id as it was spelled, and
what became of it. `row` is the digest of all its exported cells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError, NurtureError
from nurture_rl.logs.schema import CHAIN_FILE
from nurture_rl.serving.storage.chain import DECISION, ERASURE, Entry, row_digest
from nurture_rl.serving.storage.chain_walk import Head, Walk
from nurture_rl.serving.storage.rows import Row, decision_row
from nurture_rl.serving.upkeep.exported_rows import decision_in, exported_cells

CHAIN = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", pa.string()),  # null: erased
        pa.field("digest", pa.binary(32), nullable=False),
        pa.field("link", pa.binary(32), nullable=False),
        pa.field("erasure", pa.string()),  # id of the erasure; "here": of this copy alone
        pa.field("row", pa.binary(32)),  # of a decision: digest of its exported cells
        pa.field("record", pa.string()),  # of an erasure: its row, JSON
    ]
)
_BLOCK = 5_000  # entries at a time
_MISSING = 20  # broken places, after which no row is looked for any more


def cells_digest(cells: Mapping[str, Any], names: Sequence[str]) -> bytes:
    """SHA-256 of the cells of these names, in their order."""
    return row_digest([cells[name] for name in names])


def entry_cells(entry: Entry, row: Row | None, exported: bytes | None) -> dict[str, Any]:
    """An entry as a row of CHAIN.

    Args:
        entry: the entry.
        row: of its table; only that of an erasure is taken along.
        exported: digest of a decision's exported cells.
    """
    cells: dict[str, Any] = {name: getattr(entry, name) for name in Entry.__slots__}
    record = json.dumps([*row[:4], row[4].hex()]) if row and entry.kind == ERASURE else None
    return {**cells, "row": exported, "record": record}


def verify_export(folder: Path, noted: Head | None) -> Walk:
    """Hold the decisions of an export against the chain beside them.

    Raises:
        LogError: the chain's file is missing or not what an export writes.
    """
    path = folder / CHAIN_FILE
    if not path.is_file():
        raise LogError(f"expected {CHAIN_FILE} in {folder}; export the store again, as parquet")
    decisions, walk = _Decisions(folder), Walk(noted, copy=True)
    try:
        decisions.begin(walk)
        for cells in _entries(path):
            entry = Entry(*(cells[name] for name in Entry.__slots__))
            if entry.kind == DECISION and entry.id is not None:
                decisions.follow(walk, entry, cells["row"])
            else:
                record = cells["record"]
                walk.follow(entry, _erasure(record) if record else None, entry.kind == ERASURE)
        decisions.end(walk)
    except (NurtureError, pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        walk.breaks(str(folder), f"it cannot be read as it was exported: {error}")
    walk.end()
    return walk


class _Decisions:
    """The exported decisions, taken one after the other beside their entries."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows = exported_cells(folder)
        self._next: dict[str, Any] | None = None
        self._moved = False  # after a row that stands elsewhere no two places can be compared

    def begin(self, walk: Walk) -> None:
        """Read the first of them, which names the seed."""
        self._next = next(self._rows, None)
        walk.seed = None if self._next is None else self._next["seed"]

    def follow(self, walk: Walk, entry: Entry, exported: bytes | None) -> None:
        """Take the decision of an entry, if it comes next."""
        cells = self._next
        if self._moved:
            walk.follow(entry, None, seen=False)
        elif cells is not None and cells["decision_id"] == entry.id:
            before = walk.broken
            walk.follow(entry, decision_row(decision_in(cells)))
            if walk.broken == before and cells_digest(cells, list(cells)) != exported:
                walk.breaks(f"decision {entry.id}", "an exported column was changed")
            if cells["seed"] != walk.seed:
                walk.breaks(f"decision {entry.id}", f"its seed is not the first's, {walk.seed}")
            self._next = next(self._rows, None)
        elif self._is_there(entry.id):
            walk.follow(entry, None, seen=False)
            other = "nothing" if cells is None else f"decision {cells['decision_id']}"
            walk.breaks(f"decision {entry.id}", f"out of order: {other} stands in its place")
            self._moved = True
        else:
            walk.follow(entry, None)
            self._moved = walk.broken > _MISSING

    def end(self, walk: Walk) -> None:
        """Name what no entry vouches for."""
        if not self._moved and self._next is not None:
            name = self._next["decision_id"]
            walk.breaks(f"decision {name}", "no entry of the chain vouches for it")

    def _is_there(self, decision_id: str | None) -> bool:
        file = pq.ParquetFile(self._folder / "decisions.parquet")
        blocks = file.iter_batches(_BLOCK, columns=["decision_id"])
        return any(decision_id in block.column(0).to_pylist() for block in blocks)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for block in pq.ParquetFile(path).iter_batches(_BLOCK):
        yield from block.to_pylist()


def _erasure(record: str) -> Row:
    name, at_us, reason, taken, digest = json.loads(record)
    return name, at_us, reason, taken, bytes.fromhex(digest)
