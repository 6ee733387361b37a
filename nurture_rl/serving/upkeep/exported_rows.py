"""Decisions read back from an export, exactly as they were made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.schema import UTC_TIME
from nurture_rl.serving.records import DECISION_COLUMNS, Decision

# What a decision needs to be replayed beside the columns of the decisions table; ingest ignores it.
REPLAYED = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),  # with the decision's id it gives its luck
        pa.field("reasons", pa.list_(pa.int64()), nullable=False),  # guardrails' bits, per action
        pa.field("send_at", UTC_TIME),  # when a send leaves; null for other actions
        pa.field("note", pa.string()),  # why the policy was not followed
    ]
)
_MICROSECONDS = {
    "anchor": "anchor_us",
    "decided_at": "decided_us",
    "send_at": "scheduled_us",
    "confirm_by": "confirm_by_us",
}
_NAMES = set(DECISION_COLUMNS)
_LISTS = ("probabilities", "mask", "reasons", "features")
_ROWS = 10_000  # read at a time


def exported_cells(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of an export's decisions by the names of their columns, times in microseconds.

    Raises:
        LogError: there are none, or they lack what a replay needs.
    """
    path = folder / "decisions.parquet"
    if not path.is_file():
        raise LogError(f"expected {path.name} in {folder}; export the store as parquet")
    try:
        file = pq.ParquetFile(path)
        missing = [name for name in REPLAYED.names if name not in file.schema_arrow.names]
        if missing:
            raise LogError(f"{path}: expected {', '.join(missing)}; export the store again")
        for block in file.iter_batches(_ROWS):
            yield from _plain(block)
    except pa.ArrowException as error:
        raise LogError(f"{path}: {error}; export the store again") from error


def exported_decisions(folder: Path) -> Iterator[tuple[Decision, int]]:
    """The decisions of an export with their seeds, in the order in which they were made.

    Raises:
        LogError: there are none, or they lack what a replay needs.
    """
    for cells in exported_cells(folder):
        yield decision_in(cells), cells["seed"]


def decision_in(cells: dict[str, Any]) -> Decision:
    """The decision of a row of `exported_cells`."""
    named = {_MICROSECONDS.get(name, name): value for name, value in cells.items()}
    for name in _LISTS:
        named[name] = None if named[name] is None else tuple(named[name])
    return Decision(**{name: value for name, value in named.items() if name in _NAMES})


def _plain(block: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = {name: block.column(name) for name in block.schema.names}
    for name in _MICROSECONDS.keys() & columns.keys():
        columns[name] = columns[name].cast("int64")
    rows: list[dict[str, Any]] = pa.RecordBatch.from_pydict(columns).to_pylist()
    return rows
