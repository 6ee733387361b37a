"""One pass over a Parquet table by row groups: side by side, in their order, few in memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

Unit = TypeVar("Unit")
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Row groups that follow each other: a unit of work, and of what can be resumed."""

    numbers: tuple[int, ...]
    first_row: int  # of the whole table
    n_rows: int


def row_groups(path: Path) -> list[RowGroup]:
    """The row groups of a table, in order."""
    metadata = pq.read_metadata(path)
    groups, first = [], 0
    for number in range(metadata.num_row_groups):
        n_rows = metadata.row_group(number).num_rows
        groups.append(RowGroup((number,), first, n_rows))
        first += n_rows
    return groups


def joined(groups: Sequence[RowGroup], least: int) -> list[RowGroup]:
    """Neighbours put together until each unit has so many rows; the last may have fewer."""
    found: list[RowGroup] = []
    for group in groups:
        last = found[-1] if found else None
        if last is not None and last.n_rows < least:
            numbers = last.numbers + group.numbers
            found[-1] = RowGroup(numbers, last.first_row, last.n_rows + group.n_rows)
        else:
            found.append(group)
    return found


def batches(
    path: Path, group: RowGroup, columns: Sequence[str], batch_rows: int
) -> Iterator[tuple[pa.Table, int]]:
    """Parts of a unit, each with the number of rows of the table before it."""
    first = group.first_row
    with pq.ParquetFile(path) as file:
        read = file.iter_batches(batch_rows, list(group.numbers), list(columns), use_threads=False)
        for batch in read:
            yield pa.Table.from_batches([batch]), first
            first += len(batch)


def in_order(
    units: Sequence[Unit], work: Callable[[Unit], Part], workers: int
) -> Iterator[tuple[Unit, Part]]:
    """What the work makes of each unit, in their order; few are in flight at a time."""
    waiting = iter(units)
    flight: deque[tuple[Unit, Future[Part]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for unit in islice(waiting, workers + 1):
                flight.append((unit, pool.submit(work, unit)))
            while flight:
                first, future = flight.popleft()
                yield first, future.result()
                for unit in islice(waiting, 1):
                    flight.append((unit, pool.submit(work, unit)))
        finally:
            for _, future in flight:
                future.cancel()


class Pace:
    """How far a pass is, and how long it has left."""

    def __init__(self, total: int, done: int) -> None:
        self.total, self.before, self.began = total, done, time.perf_counter()

    def line(self, done: int) -> str:
        """The pass after so many rows, in words."""
        rate = (done - self.before) / max(time.perf_counter() - self.began, 1e-9)
        left = (self.total - done) / max(rate, 1e-9)
        return (
            f"{done:,} of {self.total:,} decisions ({done / self.total:.0%}), {rate:,.0f} a "
            f"second, {left:.0f} s left"
        )
