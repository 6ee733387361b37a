"""What a feature table costs, beside queries written by hand for DuckDB and polars.

python benchmarks/features.py --events 1000000 10000000 --makers nurture duckdb polars

Each run is a process of its own; the tables are compared bit for bit. `--makers spark` needs Java,
`polars` needs `pip install polars`. All contacts live in UTC: queries by hand need no zones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import duckdb
import numpy as np
import pyarrow.parquet as pq
import yaml

from benchmarks.features_log import DAY_US, FOUR, HALF_LIFE, WINDOW, WINDOWS, journey, write_log
from nurture_rl.workflow.features_verb import FeaturesOptions, features

_MEMORY_GB = 6.0  # of DuckDB, ours and by hand


def main(arguments: list[str]) -> None:
    """Measure what is asked for, print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--makers", nargs="+", choices=[*_MAKERS], default=["nurture", "duckdb"])
    parser.add_argument("--folder", type=Path, help="where logs are made, and kept")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run:
        maker, log, out = given.run
        print(json.dumps(_timed(maker, Path(log), Path(out))))
        return
    with tempfile.TemporaryDirectory() as name:
        home = given.folder or Path(name)
        print("| events | decisions | maker | CPU, s | wall, s | µs CPU per event | memory, GiB |")
        print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
        for events in given.events:
            log = home / f"features-{events}"
            if not (log / "decisions.parquet").exists():
                write_log(log, events)
            tables = [_row(maker, log, events, home) for maker in given.makers]
            same = all(_bits(one) == _bits(tables[0]) for one in tables)
            print(f"\n{events:,} events: the tables are {'equal' if same else 'NOT EQUAL'}\n")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _row(maker: str, log: Path, events: int, home: Path) -> Path:
    out = home / f"{log.name}-{maker}.parquet"
    command = [sys.executable, str(Path(__file__)), "--run", maker, str(log), str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    decisions = pq.read_metadata(log / "decisions.parquet").num_rows
    each, memory = found["cpu"] / events * 1e6, found["memory"] / 2**30
    print(
        f"| {events:,} | {decisions:,} | {maker} | {found['cpu']:.1f} | {found['wall']:.1f} "
        f"| {each:.1f} | {memory:.1f} |",
        flush=True,
    )
    return out


def _timed(maker: str, log: Path, out: Path) -> dict[str, float]:
    wall, before = time.perf_counter(), _cpu()
    _MAKERS[maker](log, out)
    # Of the larger process: Spark works in a child.
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024
    return {"cpu": _cpu() - before, "wall": time.perf_counter() - wall, "memory": used}


def _cpu() -> float:
    """Seconds of the processor, with children: Spark works in one."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _bits(path: Path) -> bytes:
    table = pq.read_table(path).sort_by("decision_id")
    names = sorted({*table.column_names} - {"decision_id", "contact_id"})
    return b"".join(np.asarray(table[name], np.float32).tobytes() for name in names)


def _nurture(log: Path, out: Path, backend: str = "duckdb") -> None:
    file = log / "journey.yaml"
    file.write_text(yaml.safe_dump(journey()), "utf-8")
    features(FeaturesOptions(str(file), str(log), backend, "UTC", str(out), memory_gb=_MEMORY_GB))


def _spark(log: Path, out: Path) -> None:
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    small = {"spark.driver.memory": "6g", "spark.sql.shuffle.partitions": "8"}
    session = builder.master("local[2]").config(map=small).getOrCreate()
    _nurture(log, out, "spark")
    gateway = session.sparkContext._gateway
    session.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()  # so that Java ends, and what it took is known
    gateway.proc.wait()


def _duckdb(log: Path, out: Path) -> None:
    """One pass: a range join, filtered aggregates, one group by."""
    sums = []
    for name, kind in FOUR.items():
        mine = f"type = '{kind}'"
        sums += [f"count(*) FILTER ({mine} AND lag <= {w}) AS {name}_{w}" for w in WINDOWS]
        sums += [
            f"count(*) FILTER ({mine} AND lag <= 7) - count(*) FILTER ({mine} AND lag BETWEEN 8 "
            f"AND 14) AS {name}_trend",
            f"coalesce(min(lag) FILTER ({mine}), {WINDOW}) AS {name}_since",
            f"coalesce(sum(round(pow(2.0, -(lag - 1) / {HALF_LIFE}) * 1048576)) "
            f"FILTER ({mine}), 0) / 1048576 AS {name}_decayed",
        ]
    sums += [
        f"count(*) FILTER (type = 'click' AND lag = {a}) AS \"each@{a}\"" for a in range(1, 21)
    ]
    sums += [
        f"coalesce(sum(round_even(value * 1024, 0)) FILTER (type = 'purchase' AND lag <= {w}), 0) "
        f"/ 1024 AS spent_{w}"
        for w in WINDOWS
    ]
    sums += [
        f"coalesce(count(*) FILTER (type = 'click' AND lag <= {w}) / nullif(count(*) FILTER "
        f"(type = 'open' AND lag <= {w}), 0), 0) AS rate_{w}"
        for w in (7, 28)
    ]
    names = [one.rpartition(" AS ")[2] for one in sums]
    empty = {name: (WINDOW if name.endswith("_since") else 0) for name in names}
    told = ", ".join(f"coalesce({name}, {empty[name]})::FLOAT AS {name}" for name in names)
    query = f"""
    COPY (
      WITH pairs AS (
        SELECT d.decision_id, e.type, e.value,
          d.step - CAST(floor((epoch_us(e.occurred_at) - epoch_us(d.anchor)) / {DAY_US})
            AS BIGINT) AS lag
        FROM read_parquet('{log}/decisions.parquet') d
        JOIN read_parquet('{log}/events.parquet') e ON d.contact_id = e.contact_id
          AND e.recorded_at <= d.decided_at
          AND epoch_us(e.occurred_at) < epoch_us(d.anchor) + d.step * {DAY_US}
          AND epoch_us(e.occurred_at) >= epoch_us(d.anchor) + (d.step - {WINDOW}) * {DAY_US}
      ), sums AS (SELECT decision_id, {", ".join(sums)} FROM pairs GROUP BY decision_id)
      SELECT d.decision_id, d.contact_id, {told}, d.step::FLOAT AS bin
      FROM read_parquet('{log}/decisions.parquet') d LEFT JOIN sums USING (decision_id)
    ) TO '{out}' (FORMAT parquet)"""
    settings = {"memory_limit": f"{_MEMORY_GB}GB", "preserve_insertion_order": "false"}
    with duckdb.connect(config={**settings, "temp_directory": str(out.parent)}) as engine:
        engine.execute(query)


def _polars(log: Path, out: Path) -> None:
    """One pass: a join, a filter, one group by."""
    import polars as pl

    events = pl.scan_parquet(log / "events.parquet").select(
        "contact_id", "type", "value", "occurred_at", "recorded_at"
    )
    decisions = pl.scan_parquet(log / "decisions.parquet").select(
        "decision_id",
        "contact_id",
        "step",
        "decided_at",
        anchor_us=pl.col("anchor").dt.timestamp("us"),
    )
    happened = pl.col("occurred_at").dt.timestamp("us")
    lag = pl.col("step") - (happened - pl.col("anchor_us")).floordiv(DAY_US)
    pairs = (
        decisions.join(events, on="contact_id")
        .filter(pl.col("recorded_at") <= pl.col("decided_at"))
        .with_columns(lag=lag.cast(pl.Int64))
        .filter(pl.col("lag").is_between(1, WINDOW))
    )
    at = pl.col("lag")
    sums: dict[str, Any] = {}
    for name, kind in FOUR.items():
        mine = pl.col("type") == kind
        sums |= {f"{name}_{w}": (mine & (at <= w)).sum() for w in WINDOWS}
        late, early = (mine & (at <= 7)).sum(), (mine & at.is_between(8, 14)).sum()
        sums[f"{name}_trend"] = late.cast(pl.Int64) - early.cast(pl.Int64)
        sums[f"{name}_since"] = at.filter(mine).min().fill_null(WINDOW)
        weight = ((2.0 ** (-(at - 1) / HALF_LIFE)) * 1048576).round()
        sums[f"{name}_decayed"] = weight.filter(mine).sum() / 1048576
    click, opened, bought = (pl.col("type") == kind for kind in ("click", "open", "purchase"))
    sums |= {f"each@{ago}": (click & (at == ago)).sum() for ago in range(1, 21)}
    money = (pl.col("value") * 1024).round(mode="half_to_even")
    sums |= {f"spent_{w}": money.filter(bought & (at <= w)).sum() / 1024 for w in WINDOWS}
    for w in (7, 28):
        top, below = (click & (at <= w)).sum(), (opened & (at <= w)).sum()
        sums[f"rate_{w}"] = pl.when(below > 0).then(top / below).otherwise(0.0)
    made = decisions.select("decision_id", "contact_id", bin="step").join(
        pairs.group_by("decision_id").agg(**sums), on="decision_id", how="left"
    )
    since = [name for name in sums if name.endswith("_since")]
    made = made.with_columns(pl.col(since).fill_null(WINDOW)).with_columns(
        pl.exclude("decision_id", "contact_id").fill_null(0).cast(pl.Float32)
    )
    made.sink_parquet(out)


_MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "nurture": _nurture,
    "duckdb": _duckdb,
    "polars": _polars,
    "spark": _spark,
}

if __name__ == "__main__":
    main(sys.argv[1:])
