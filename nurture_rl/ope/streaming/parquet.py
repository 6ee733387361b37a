"""Parquet tables of any size through bounded memory: read, checked and summed in one pass."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.ope.log import IntArray
from nurture_rl.ope.streaming.accumulate import COMPILED, sound_moments
from nurture_rl.ope.streaming.batch_readers import Reader
from nurture_rl.ope.streaming.checkpoint import Progress, load_progress, save_progress
from nurture_rl.ope.streaming.decision_columns import FAULTS, FaultArray
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged, no_moments

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """How a table is streamed."""

    moments: MomentsConfig = field(default_factory=MomentsConfig)
    batch_rows: int = 262_144  # decisions in memory at a time, per worker
    workers: int = 2  # row groups that are read and summed side by side
    max_bad_share: float = 0.001  # of all rows; more that cannot be used, and nothing is returned
    compiled: bool = COMPILED
    progress: Path | None = None  # file that keeps what is done, so that a stream can go on


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """The sums over a table, and the rows that could not be used."""

    moments: Moments
    n_rows: int  # in the table
    bad_row: IntArray  # numbers of the rows set aside, from 0 in the whole table, [m]
    bad_fault: FaultArray  # positions in FAULTS, [m]

    def quarantine(self) -> pa.Table:
        """The rows set aside as a table of `row` and `reason`."""
        reasons = pa.array(FAULTS).take(pa.array(self.bad_fault))
        return pa.table({"row": self.bad_row, "reason": reasons})


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group: one unit of work and of progress."""

    path: Path
    number: int
    first_row: int  # of the whole table
    n_rows: int


def stream_parquet(
    path: Path, reader: Reader, config: StreamConfig | None = None, say: Say | None = None
) -> Streamed:
    """Sum a table of one-step decisions up.

    Args:
        path: a Parquet file, or a folder of which every `*.parquet` is read, by name.
        reader: which columns, and how they become decisions.
        config: batches, workers, limits.
        say: is told after every row group how far the stream is.

    Returns:
        The sums and the numbers and reasons of the rows set aside.

    Raises:
        LogError: no table, a missing column, more bad rows than allowed, or progress of another
            stream.
        ProbabilityError, ShapeError: a policy's answer is no distribution over legal actions.
    """
    chosen = config or StreamConfig()
    groups, fingerprint = _groups(path, reader, chosen)
    total = sum(group.n_rows for group in groups)
    kept = chosen.progress
    before = None if kept is None else load_progress(kept, chosen.moments, fingerprint)
    none = np.zeros(0, dtype=np.int64)
    done = before or Progress(no_moments(chosen.moments), 0, 0, none, none.astype(np.int8))
    began, start = time.perf_counter(), done.rows_read
    for group, (moments, bad_row, bad_fault) in _summed(groups[done.next_group :], reader, chosen):
        done = Progress(
            merged(done.moments, moments),
            done.next_group + 1,
            done.rows_read + group.n_rows,
            np.append(done.bad_row, bad_row),
            np.append(done.bad_fault, bad_fault),
        )
        _require_few(done, total, chosen.max_bad_share)
        if kept is not None:
            save_progress(kept, done, fingerprint)
        if say is not None:
            rate = (done.rows_read - start) / max(time.perf_counter() - began, 1e-9)
            say(_progress_line(done, total, rate))
    return Streamed(done.moments, total, done.bad_row, done.bad_fault)


Part = tuple[Moments, IntArray, FaultArray]


def _summed(
    groups: list[_Group], reader: Reader, config: StreamConfig
) -> Iterator[tuple[_Group, Part]]:
    """Sums of row groups in their order; few are in flight at a time."""
    waiting = iter(groups)
    flight: deque[tuple[_Group, Future[Part]]] = deque()
    with ThreadPoolExecutor(config.workers) as pool:
        try:
            for group in islice(waiting, config.workers + 1):
                flight.append((group, pool.submit(_sum_group, group, reader, config)))
            while flight:
                first, future = flight.popleft()
                yield first, future.result()
                for group in islice(waiting, 1):
                    flight.append((group, pool.submit(_sum_group, group, reader, config)))
        finally:
            for _, future in flight:
                future.cancel()


def _sum_group(group: _Group, reader: Reader, config: StreamConfig) -> Part:
    """The sums over one row group, and its bad rows."""
    total, first = no_moments(config.moments), group.first_row
    bad_row, bad_fault = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int8)]
    with pq.ParquetFile(group.path) as file:
        batches = file.iter_batches(
            config.batch_rows, [group.number], list(reader.columns), use_threads=False
        )
        for batch in batches:
            rows, wrong = reader.rows(batch)
            if wrong.any():
                bad = np.flatnonzero(wrong)
                bad_row.append(first + bad)
                bad_fault.append(wrong[bad])
                rows = rows.take(np.flatnonzero(wrong == 0))
            total = merged(total, sound_moments(rows, config.moments, compiled=config.compiled))
            first += len(batch)
    return total, np.concatenate(bad_row), np.concatenate(bad_fault)


def _groups(path: Path, reader: Reader, config: StreamConfig) -> tuple[list[_Group], str]:
    """Row groups of all files in order, and what tells this stream from others."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise LogError(f"expected a Parquet file or a folder of them, got {path}")
    groups: list[_Group] = []
    first, seen = 0, []
    for file in files:
        described = pq.read_schema(file).names
        missing = [name for name in reader.columns if name not in described]
        if missing:
            raise LogError(f"{file.name} has no column {missing}; it has {described}")
        metadata, stat = pq.read_metadata(file), file.stat()
        seen.append((file.name, stat.st_size, stat.st_mtime_ns))
        for number in range(metadata.num_row_groups):
            n_rows = metadata.row_group(number).num_rows
            groups.append(_Group(file, number, first, n_rows))
            first += n_rows
    if first == 0:
        raise LogError(f"{path} has no decision; expected at least one, check the filters before")
    described = repr((seen, reader.name, asdict(config.moments)))
    return groups, hashlib.sha256(described.encode()).hexdigest()[:16]


def _require_few(done: Progress, total: int, share: float) -> None:
    if done.bad_row.size <= share * total:
        return
    counts = np.bincount(done.bad_fault, minlength=len(FAULTS))
    reasons = "; ".join(f"{FAULTS[at]}: {counts[at]}" for at in np.flatnonzero(counts))
    raise LogError(
        f"{done.bad_row.size} of {done.rows_read} decisions read cannot be used, more than "
        f"{share:.3%} of {total}, first row {done.bad_row[0]} ({reasons}); mend the table, or "
        "allow a larger share knowingly"
    )


def _progress_line(done: Progress, total: int, rate: float) -> str:
    return (
        f"{done.rows_read:,} of {total:,} decisions ({done.rows_read / total:.0%}), "
        f"{rate:,.0f}/s, {done.bad_row.size:,} set aside"
    )
