"""What ingestion costs a log of any size, beside plain readers that check nothing.

python benchmarks/ingest.py --events 1000000 10000000 --forms parquet csv

DuckDB and pyarrow read the same file, and polars where it is installed. Each run is a process of
its own. Seconds of the processor count what it and its threads used, so they say something on a
shared machine too; the wall clock does not.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

POLARS = "polars, no check"
ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import duckdb
import pyarrow.csv as csv
import pyarrow.parquet as pq

from benchmarks.ingest_log import write_log
from nurture_rl.logs.ingest import ingest_folder


def main(arguments: list[str]) -> None:
    """Measure what is asked for, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--forms", nargs="+", choices=["parquet", "csv"], default=["parquet"])
    parser.add_argument("--folder", type=Path, help="where logs are made, and kept")
    parser.add_argument("--run", nargs=2, metavar=("READER", "LOG"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run:
        print(json.dumps(_timed(given.run[0], Path(given.run[1]))))
        return
    with tempfile.TemporaryDirectory() as name:
        home = given.folder or Path(name)
        print("| events | form | reader | events/s of one core | wall, s | memory, GiB |")
        print("| ---: | --- | --- | ---: | ---: | ---: |")
        for events in given.events:
            for form in given.forms:
                log = home / f"{form}-{events}"
                if not (log / "contacts.parquet").exists():
                    write_log(log, events, form)
                for reader in filter(_is_there, _READERS):
                    print(_row(reader, log, events, form), flush=True)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _is_there(reader: str) -> bool:
    return reader != POLARS or importlib.util.find_spec("polars") is not None


def _row(reader: str, log: Path, events: int, form: str) -> str:
    command = [sys.executable, str(Path(__file__)), "--run", reader, str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    rate, memory = events / found["cpu"], found["memory"] / 2**30
    return f"| {events:,} | {form} | {reader} | {rate:,.0f} | {found['wall']:.1f} | {memory:.1f} |"


def _timed(reader: str, log: Path) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    _READERS[reader](log)
    used = time.process_time() - cpu, time.perf_counter() - wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu": used[0], "wall": used[1], "memory": memory}


def _ours(log: Path) -> None:
    with tempfile.TemporaryDirectory(dir=log.parent) as name:
        ingest_folder(log, Path(name) / "tables", None, None, lambda line: None)


def _duckdb(log: Path) -> None:
    """Only reads: every column of every row, and counts what is there."""
    source = next(log.glob("events.*"))
    with duckdb.connect(config={"memory_limit": "4GB", "threads": 2}) as engine:
        relation = engine.read_csv(str(source)) if source.suffix == ".csv" else None
        relation = relation or engine.read_parquet(str(source))
        counts = ", ".join(f"max(hash({name}))" for name in relation.columns)
        relation.aggregate(counts).fetchall()


def _pyarrow(log: Path) -> None:
    """Only reads: every batch, and lets it go."""
    source = next(log.glob("events.*"))
    if source.suffix == ".csv":
        with csv.open_csv(source) as reader:
            for _ in reader:
                pass
    else:
        with pq.ParquetFile(source) as file:
            for _ in file.iter_batches():
                pass


def _polars(log: Path) -> None:
    """Only reads: every column of every row, as a hash."""
    import polars as pl

    source = next(log.glob("events.*"))
    rows = pl.scan_csv(source) if source.suffix == ".csv" else pl.scan_parquet(source)
    rows.select(pl.all().hash().max()).collect(engine="streaming")


_READERS: dict[str, Callable[[Path], None]] = {
    "nurture ingest": _ours,
    "DuckDB, no check": _duckdb,
    "pyarrow, no check": _pyarrow,
    POLARS: _polars,
}

if __name__ == "__main__":
    main(sys.argv[1:])
