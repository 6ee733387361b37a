"""The decision log: what its chain costs the writer, and how long 100,000 decisions take to verify.

python benchmarks/decision_log.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

from benchmarks.serving import bundle_of_first_weights
from nurture_envs.clock import DAY_US
from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Contact, Decision
from nurture_rl.serving.storage import chain
from nurture_rl.serving.storage.store import Store

_START_US = 20_878 * DAY_US  # Monday 2027-03-01
_DAYS = 10
_BATCH = 500  # contacts of one request
_THREADS = 16  # write at once, a decision each
_RUNS = 5
# A command that says at its end how much processor time and memory (kB) it took.
_COMMAND = """
import re, sys, time
from nurture_rl.cli.main import main
assert main(sys.argv[1:]) == 0
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
print(f"\\n{time.process_time()} {peak}")
"""


def main(arguments: Sequence[str]) -> None:
    """Serve, then run the verbs as their users would."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--decisions", type=int, default=100_000)
    count = asked.parse_args(arguments).decisions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = bundle_of_first_weights(folder)
        store = folder / "store.db"
        began = time.perf_counter()
        made = served(bundle, store, count)
        print(f"{len(made):,} decisions made in {time.perf_counter() - began:.0f} s\n")
        print("| command | wall s | CPU s | peak MiB |\n| --- | ---: | ---: | ---: |")
        for words in (
            ("export_log", f"store={store}", f"out={folder / 'log'}"),
            ("verify", f"store={store}"),
            ("verify", f"log={folder / 'log'}"),
            ("replay", f"bundle={bundle}", f"log={folder / 'log'}"),
        ):
            wall, processor, peak = timed(words)
            told = " ".join(word.replace(f"{folder}/", "") for word in words)
            print(f"| `{told}` | {wall:.1f} | {processor:.1f} | {peak:.0f} |", flush=True)
        print("\n| writer | decisions/s, median (least to most) | CPU ms a decision |")
        print("| --- | ---: | ---: |")
        for kind, runs in written(made[:5_000], folder).items():
            rates, processor = [one[0] for one in runs], statistics.median(one[1] for one in runs)
            spread = f"{min(rates):.0f} to {max(rates):.0f}"
            print(f"| {kind} | {statistics.median(rates):.0f} ({spread}) | {processor:.3f} |")
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def served(bundle: Path, path: Path, count: int) -> list[Decision]:
    """Decisions of a server in process, one a day for each contact until its episode is over."""
    now_us = [_START_US]
    settings = ServerSettings("Europe/Berlin", False, lambda: now_us[0])
    made: list[Decision] = []
    with closing(Store(path)) as store:
        service = Service(load_bundle(bundle), store, settings)
        while len(made) < count:
            names = [f"c-{len(made)}-{i}" for i in range(_BATCH)]
            zone: tuple[str, float, bool, dict[str, Any]] = ("Europe/Berlin", 1.0, True, {})
            store.put_contacts([Contact(name, None, *zone) for name in names])
            for day in range(_DAYS):
                now_us[0] = _START_US + day * DAY_US
                answers = service.decide([Ask(name) for name in names])
                made += [answer for answer in answers if isinstance(answer, Decision)]
    return made


def timed(words: Sequence[str]) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and peak MiB of a command that must end with 0."""
    began = time.perf_counter()
    command = [sys.executable, "-c", _COMMAND, *words]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    processor, peak = map(float, told[-1].split())
    return time.perf_counter() - began, processor, peak / 1024


def written(decisions: Sequence[Decision], folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Decisions a second that threads write one by one, with the chain and without, in turns.

    Beside each rate the processor time, ms a decision.
    """
    rates: dict[str, list[tuple[float, float]]] = {"with the chain": [], "without": []}
    for run in range(_RUNS):
        for kind, found in rates.items():
            path = folder / f"{kind}-{run}.db"
            if kind == "without":
                with mock.patch.object(chain, "links", return_value=[]):
                    found.append(_written(decisions, path))
            else:
                found.append(_written(decisions, path))
    return rates


def _written(decisions: Sequence[Decision], path: Path) -> tuple[float, float]:
    with closing(Store(path)) as store:

        def write(thread: int) -> None:
            for decision in decisions[thread::_THREADS]:
                store.append_decisions([decision])

        threads = [threading.Thread(target=write, args=(n,)) for n in range(_THREADS)]
        began, worked = time.perf_counter(), time.process_time()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        count, used = len(decisions), time.process_time() - worked
        return count / (time.perf_counter() - began), 1000.0 * used / count


if __name__ == "__main__":
    main(sys.argv[1:])
