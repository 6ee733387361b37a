"""A decision table streamed in a process of its own.

python -m benchmarks.ope_stream JOB FILE WORKERS
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.timing import peak_bytes, watched
from nurture_rl.ope.streaming.batch_readers import ColumnReader
from nurture_rl.ope.streaming.estimates import streamed_estimates
from nurture_rl.ope.streaming.parquet import StreamConfig, stream_parquet

ROOT = Path(__file__).resolve().parents[1]
JOBS = ("bare", "ours")


@dataclass(frozen=True, slots=True)
class Passed:
    """One pass over a table."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak: int  # bytes
    ips: float
    dr: float
    other_cpu: float  # share of the machine that others used, [0, 1]


def passed(job: str, table: Path, workers: int) -> Passed:
    """Run one job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ope_stream", job, str(table), str(workers)]
    done, other = watched(
        lambda: subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    )
    return Passed(other_cpu=other, **json.loads(done.stdout.splitlines()[-1]))


def bare(table: Path, workers: int) -> tuple[int, float, float]:
    """Read, weight and add up in numpy: rows, IPS and DR, without error, check or anything else."""
    config, columns = StreamConfig(), list(ColumnReader().columns)

    def one(group: int) -> tuple[int, float, float]:
        n, weighted, robust = 0, 0.0, 0.0
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(config.batch_rows, [group], columns, use_threads=False):
                _, reward, propensity, taken, q, v = (column.to_numpy() for column in batch.columns)
                weight = taken / propensity
                weighted += float(weight @ reward)
                robust += float(v.sum() + weight @ (reward - q))
                n += len(batch)
        return n, weighted, robust

    with ThreadPoolExecutor(workers) as pool:
        parts = np.array(list(pool.map(one, range(pq.read_metadata(table).num_row_groups))))
    n, weighted, robust = parts.sum(axis=0)
    return int(n), weighted / n, robust / n


def ours(table: Path, workers: int) -> tuple[int, float, float]:
    """Everything that is worked out from the sums."""
    found = stream_parquet(table, ColumnReader(), StreamConfig(workers=workers))
    values = streamed_estimates(found.moments).all()
    return found.n_rows, values["ips"].value, values["dr"].value


def main(job: str, table: Path, workers: int) -> None:
    """Do the job on a first row group untimed, where it compiles, then on all."""
    work = {"bare": bare, "ours": ours}[job]
    small = table.with_name("first_" + table.name)
    if small.exists():
        work(small, workers)
    began, cpu = time.perf_counter(), time.process_time()
    rows, ips, dr = work(table, workers)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    figures = {"rows": rows, "seconds": seconds, "cpu_seconds": cpu_seconds}
    print(json.dumps({**figures, "peak": peak_bytes(), "ips": ips, "dr": dr}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
