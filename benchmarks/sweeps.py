"""A sweep over Ray whose worker and driver are killed, and what running side by side gains.

python benchmarks/sweeps.py --runs 64 --out benchmarks/results/sweeps.json
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from benchmarks.timing import watched

SMALL = (
    "experiment=small",
    "data.contacts=300",
    "data.trust.max_ratio=1.2",
    "data.trust.explore=0.5",
    "release.reference=logged",
    "evaluation.estimators=[dr]",
    "policy=linear_thompson",
)
_PATIENCE = 3600.0  # seconds
_OVER_RAY = ("hydra/launcher=ray",)


@dataclass(frozen=True, slots=True)
class BrokenSweep:
    """What became of a sweep that was broken twice."""

    runs: int  # asked for
    finished: int  # with a number
    before: int  # finished when the driver was killed
    repeated: int  # of these, done again by the second start
    seconds: float  # of both starts together


@dataclass(frozen=True, slots=True)
class Rates:
    """Runs a second, once the first run has made the log and every worker is there."""

    alone: float  # one process, one thread
    side_by_side: float  # over Ray
    gain: float
    processor_seconds: tuple[float, float]  # of a run, median, alone and over Ray
    processor_gain: float  # what they leave of the cores: the gain on a machine of one's own
    cores: int
    other_cpu: tuple[float, float]  # share of the machine that others used, alone and over Ray


def broken_sweep(
    runs_folder: Path, runs: int, cores: int, say: Callable[[str], None]
) -> BrokenSweep:
    """Sweep over the learner's seed; kill a worker, then the driver, and start again.

    Args:
        runs_folder: of everything that is made.
        runs: how many, >= 6.
        cores: runs that Ray does side by side.
        say: is told how far it is.

    Raises:
        AssertionError: a start ends otherwise than it should.
    """
    began = time.monotonic()
    runs_folder.mkdir(parents=True, exist_ok=True)
    log = runs_folder / "driver.log"
    with log.open("w") as out:
        line = _line(runs_folder, runs, cores)
        driver = subprocess.Popen(line, stdout=out, stderr=out, env=_environment())
        try:
            _wait_for(lambda: len(records(runs_folder)) >= runs // 4, driver)
            worker = _worker(log)
            os.kill(worker, signal.SIGKILL)
            say(f"killed worker {worker}, {len(records(runs_folder))} of {runs} runs are over")
            _wait_for(lambda: len(records(runs_folder)) >= runs // 2, driver)
        finally:
            driver.kill()
            driver.wait()
    before = records(runs_folder)
    say(f"killed the driver, {len(before)} of {runs} runs are over")
    done = subprocess.run(line, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    after = records(runs_folder)
    repeated = [
        number
        for number, record in before.items()
        if after[number]["made"]["mlflow_run"] != record["made"]["mlflow_run"]
    ]
    finished = sum(record["objective"] is not None for record in after.values())
    took = time.monotonic() - began
    return BrokenSweep(runs, finished, len(before), len(repeated), round(took, 1))


def records(runs_folder: Path) -> dict[int, Any]:
    """Every run's record, by its number."""
    found = [
        json.loads(path.read_text("utf-8")) for path in runs_folder.glob("sweeps/*/*/run.json")
    ]
    return {record["number"]: record for record in found}


def rates(root: Path, runs: int, cores: int) -> Rates:
    """Time the same runs in one process and over Ray, each after a sweep of one run a core.

    What is timed is from the end of the first runs to that of the last: a start of Ray and the
    import of the libraries, which a longer sweep pays once as well, are left out.
    """
    found, others, processor = [], [], []
    for name, words in (
        ("alone", ()),
        ("ray", (*_OVER_RAY, f"+hydra.launcher.init.num_cpus={cores}")),
    ):
        folder = root / name
        line = [*_verb(folder, runs), *words, "workers=1"]
        others.append(watched(partial(_swept, line))[1])
        ends = sorted(path.stat().st_mtime for path in folder.glob("sweeps/*/*/run.json"))
        first = 1 if name == "alone" else cores
        found.append((runs - first) / (ends[-1] - ends[first - 1]))
        took = [record["processor_seconds"] for record in records(folder).values()]
        processor.append(statistics.median(took))
    return Rates(
        alone=found[0],
        side_by_side=found[1],
        gain=found[1] / found[0],
        processor_seconds=(processor[0], processor[1]),
        processor_gain=cores * processor[0] / processor[1],
        cores=cores,
        other_cpu=(others[0], others[1]),
    )


def _swept(line: list[str]) -> None:
    subprocess.run(line, capture_output=True, check=True, env=_environment())


def _environment() -> dict[str, str]:
    """Ray would give its workers a lower priority than a process alone has."""
    return os.environ | {"RAY_worker_niceness": "0"}


def _verb(folder: Path, runs: int) -> list[str]:
    command = [sys.executable, "-m", "nurture_rl.cli", "train", "--multirun", *SMALL]
    return [*command, f"runs={folder}", f"seeds.learner=range({runs})"]


def _line(folder: Path, runs: int, cores: int) -> list[str]:
    return [*_verb(folder, runs), *_OVER_RAY, f"+hydra.launcher.init.num_cpus={cores}"]


def _worker(log: Path) -> int:
    """The worker that Ray heard of last."""
    return int(re.findall(r"_run pid=(\d+)", log.read_text("utf-8"))[-1])


def _wait_for(ready: Callable[[], bool], driver: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE
    while not ready():
        assert driver.poll() is None, "the sweep ended before it could be broken"
        assert time.monotonic() < until, "the sweep does not go on"
        time.sleep(0.2)


def main(argv: Sequence[str] | None = None) -> None:
    """Print what was found, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--timed", type=int, default=16, help="runs of each timed sweep, 0: none")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="sweeps-"))
    try:
        broken = broken_sweep(root / "broken", asked.runs, asked.cores, print)
        told: dict[str, Any] = {"broken": asdict(broken)}
        if asked.timed:
            told["rates"] = asdict(rates(root, asked.timed, asked.cores))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    text = json.dumps(told, indent=1)
    print(text)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
