"""How fast `nurture ope` reads a large Parquet log, beside a bare loop over the same columns.

python benchmarks/ope_verb.py --rows 10000000 --out benchmarks/results/ope_verb.json
python benchmarks/ope_verb.py --rows 10000000 --journeys
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path[:0] = [str(ROOT), str(ROOT / "envs")]

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.timing import peak_bytes, watched

ROW_GROUP = 1_000_000
PER_CONTACT = 4  # single decisions of one contact
BINS = 14  # of a journey
FEATURES, TARGET = ("recency", "opens"), ("t_0", "t_1", "t_2")
COLUMNS = ("decision", "contact", "action", "propensity", "reward", *FEATURES, *TARGET)
_BYTES_A_ROW = 90  # on disk, at most


def write_log(path: Path, rows: int, journeys: bool, say: Callable[[str], None]) -> None:
    """A log of decisions among three actions, with a target policy in its columns.

    Args:
        path: of the table.
        rows: decisions.
        journeys: of 14 bins, one a contact, bin after bin of all contacts: as by the calendar.
        say: progress.

    Raises:
        OSError: the disk has too little room.
    """
    free = shutil.disk_usage(path.parent).free
    if free < 2 * rows * _BYTES_A_ROW:
        raise OSError(f"{rows:,} decisions need {2 * rows * _BYTES_A_ROW:,} bytes, {free:,} free")
    writer = None
    for first in range(0, rows, ROW_GROUP):
        table = _some_rows(first, min(ROW_GROUP, rows - first), -(-rows // BINS) if journeys else 0)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=ROW_GROUP)
        if first % (10 * ROW_GROUP) == 0:
            say(f"wrote {first + len(table):,} of {rows:,} decisions")
    if writer is not None:
        writer.close()


def _some_rows(first: int, n: int, contacts: int) -> pa.Table:
    """Rows from `first` on, of journeys of so many contacts; every million is another draw."""
    rng = np.random.default_rng(first)
    x = rng.standard_normal((n, 2), dtype=np.float32)
    logging_policy = _softmax(np.stack([0.0 * x[:, 0], 0.5 * x[:, 0], 0.4 * x[:, 1]], axis=1))
    # Weights multiply along a journey: its target stays closer to the log.
    near = 0.25 if contacts else 1.0
    scores = [0.2 * near * x[:, 1], (0.5 + 0.4 * near) * x[:, 0], 0.1 * near + 0.4 * x[:, 1]]
    target = _softmax(np.stack(scores, axis=1))
    action = (rng.random((n, 1)) > logging_policy.cumsum(axis=1)).sum(axis=1).clip(max=2)
    chance = 0.02 * (1.0 + 0.5 * (action == 1) + 0.5 * x[:, 0].clip(-1.0, 1.0))
    paid = np.where(rng.random(n) < 0.5, 10.0, 25.0)
    every = np.arange(first, first + n)
    return pa.table(
        {
            "decision": every,
            "contact": every % contacts if contacts else every // PER_CONTACT,
            "bin": every // contacts if contacts else np.zeros_like(every),
            "action": action,
            "propensity": logging_policy[np.arange(n), action],
            "reward": np.where(rng.random(n) < chance, paid, 0.0),
            **{name: x[:, k] for k, name in enumerate(FEATURES)},
            **{name: target[:, k] for k, name in enumerate(TARGET)},
        }
    )


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    raw = np.exp(scores.astype(np.float64))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def bare(table: Path, threads: int) -> dict[str, float]:
    """Read the same columns, weight and add up in numpy: no error, no check, nothing else."""

    def one(group: int) -> tuple[float, float, float]:
        n, weights, gains = 0.0, 0.0, 0.0
        with pq.ParquetFile(table) as file:
            read = file.iter_batches(262_144, [group], list(COLUMNS), use_threads=False)
            for batch in read:
                columns = [column.to_numpy() for column in batch.columns]
                action, propensity, reward = columns[2:5]
                weight = np.choose(action, columns[-3:]) / propensity
                weights += float(weight.sum())
                gains += float(weight @ reward)
                n += len(batch)
        return n, weights, gains

    with ThreadPoolExecutor(threads) as pool:
        parts = np.array(list(pool.map(one, range(pq.read_metadata(table).num_row_groups))))
    n, weights, gains = parts.sum(axis=0)
    return {"rows": n, "ips": gains / n, "snips": gains / weights}


def verb(table: Path, threads: int, further: tuple[str, ...] = ()) -> dict[str, float]:
    """The verb as its users run it, with the time its pass over the table took."""
    from nurture_rl.cli.main import main as nurture
    from nurture_rl.progress import PROGRESS

    said: list[tuple[float, float, str]] = []

    class Heard(logging.Handler):
        def emit(self, one: logging.LogRecord) -> None:
            said.append((time.perf_counter(), time.process_time(), one.getMessage()))

    PROGRESS.addHandler(Heard())
    with tempfile.TemporaryDirectory(dir=table.parent) as runs:
        asked = [*settings(table, Path(runs)), f"threads={threads}", *further]
        code = nurture(["ope", *asked])
        written = list(Path(runs).glob("ope/*/ope.json"))
        if not written:
            raise RuntimeError(f"nurture ope ended with code {code} and no report")
        document = json.loads(written[0].read_text("utf-8"))
    estimates = document["appraisal"]["evaluation"]["policies"]["new"]["estimates"]
    begins = [one for one in said if one[2].startswith("summing")]
    ends = [one for one in said if one[2].startswith("judging")]
    passed = {}
    if begins:
        passed = {
            "pass_seconds": ends[0][0] - begins[0][0],
            "pass_cpu_seconds": ends[0][1] - begins[0][1],
        }
    return {
        "rows": float(document["log"]["kept"]),
        "ips": estimates["ips"]["estimate"]["value"],
        "snips": estimates["snips"]["estimate"]["value"],
        **passed,
    }


def journeys(table: Path, threads: int) -> dict[str, float]:
    """The verb on a table of journeys, in blocks of contacts."""
    return verb(table, threads, (*JOURNEYS, "stream.engine=streaming"))


def journeys_in_memory(table: Path, threads: int) -> dict[str, float]:
    """The same with the table read whole."""
    return verb(table, threads, (*JOURNEYS, "stream.engine=memory"))


JOURNEYS = ("data.columns.episode=contact", "data.columns.step=bin")


def exact(table: Path, threads: int) -> dict[str, float]:
    """The verb on single decisions with copies, contacts and errors told exactly."""
    return verb(table, threads, ("stream.engine=streaming", "stream.errors=contacts"))


JOBS = {
    "bare": bare,
    "verb": verb,
    "journeys": journeys,
    "journeys-in-memory": journeys_in_memory,
    "exact": exact,
}


def settings(table: Path, runs: Path) -> list[str]:
    """What the verb is asked."""
    return [
        "data=frame",
        f"data.path={table}",
        f"runs={runs}",
        "data.unit=EUR",
        "data.actions=[0,1,2]",
        "data.columns.decision=decision",
        f"data.columns.features=[{','.join(FEATURES)}]",
        f"+targets.new.columns=[{','.join(TARGET)}]",
    ]


def passed(job: str, table: Path, threads: int) -> dict[str, Any]:
    """One job in a process of its own, with its processor time and the memory it took at most."""
    command = [sys.executable, str(Path(__file__)), "--job", job, "--table", str(table)]
    command += ["--threads", str(threads)]
    began, spent = time.perf_counter(), _of_children()
    done, other = watched(
        lambda: subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    )
    found = json.loads(done.stdout.splitlines()[-1])
    cpu = _of_children() - spent
    wall = time.perf_counter() - began
    return {"job": job, "wall": wall, "cpu_seconds": cpu, "other_cpu": other, **found}


def _of_children() -> float:
    """Processor seconds of the processes that were started and have ended."""
    times = os.times()
    return times.children_user + times.children_system


def child(job: str, table: Path, threads: int) -> None:
    """Do a job and say what it took."""
    began = time.perf_counter()
    found = JOBS[job](table, threads)
    figures = {"seconds": time.perf_counter() - began}
    print(json.dumps({**found, **figures, "peak": peak_bytes()}))


def markdown(found: list[dict[str, Any]]) -> str:
    """The runs as a table."""
    lines = [
        "| job | rows | wall s | CPU s | rows/s | pass s | CPU s | rows/s | peak MiB | others |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in found:
        span = one.get("pass_seconds")
        own = ["", "", ""]
        if span is not None:
            own = [f"{span:.1f}", f"{one['pass_cpu_seconds']:.1f}", f"{one['rows'] / span:,.0f}"]
        cells = [
            one["job"],
            f"{one['rows']:,.0f}",
            f"{one['seconds']:.1f}",
            f"{one['cpu_seconds']:.1f}",
            f"{one['rows'] / one['seconds']:,.0f}",
            *own,
            f"{one['peak'] / 2**20:,.0f}",
            f"{one['other_cpu']:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000, help="decisions in the table")
    parser.add_argument("--full", action="store_true", help="a hundred million decisions")
    parser.add_argument("--journeys", action="store_true", help=f"episodes of {BINS} decisions")
    parser.add_argument("--exact", action="store_true", help="errors by contact as well")
    parser.add_argument("--memory", action="store_true", help="journeys read whole as well")
    parser.add_argument("--passes", type=int, default=1, help="runs of each job, in turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder for the table, deleted afterwards")
    parser.add_argument("--table", type=Path, help="a table of an earlier run, kept")
    parser.add_argument("--job", choices=tuple(JOBS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the table, write the JSON."""
    if given.job is not None:
        child(given.job, given.table, given.threads)
        return
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        table = given.table or Path(folder) / "log.parquet"
        if not table.exists():
            rows = 100_000_000 if given.full else given.rows
            told = partial(print, file=sys.stderr, flush=True)
            write_log(table, rows, given.journeys, told)
        jobs = ["bare", "verb", *(["exact"] if given.exact else [])]
        if given.journeys:
            jobs = ["journeys", *(["journeys-in-memory"] if given.memory else [])]
        found = [passed(job, table, given.threads) for _ in range(given.passes) for job in jobs]
    ips = {round(one["ips"], 9) for one in found}
    if len(ips) > 1:
        raise AssertionError(f"the jobs disagree about IPS: {sorted(ips)}")
    print(markdown(found))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
