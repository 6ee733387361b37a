"""How fast policies are evaluated off-policy, beside Open Bandit Pipeline, in one run.

python benchmarks/ope.py --out benchmarks/results/ope.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.ope_data import Logged, logged, write_table
from benchmarks.ope_stream import JOBS, Passed, passed
from benchmarks.ope_tables import Found, Side, markdown
from benchmarks.peer_runs import Peer, Skipped, peer_json
from benchmarks.timing import watched
from nurture_rl.ope.bounds.bootstrap import BootstrapConfig
from nurture_rl.ope.streaming.accumulate import COMPILED, Choices, moments_of_choices
from nurture_rl.ope.streaming.estimates import PointValues, point_values, streamed_estimates
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.streaming.poisson_bootstrap import bootstrap_values

Say = Callable[[str], None]
_KEPT = ROOT / "benchmarks" / ".venvs"
EQUAL = 1e-9  # values that are defined alike differ by less

OBP = Peer(
    "obp",
    "obp_estimates.py",
    (
        ("torch==2.13.0",),  # alone, so that no other package chooses its build
        ("numpy<2", "pandas<2.3", "scikit-learn==1.3.2", "scipy<1.14", "matplotlib", "seaborn"),
        ("pingouin", "pyyaml", "tqdm", "mypy-extensions", "numpy<2", "pandas<2.3", "scipy<1.14"),
        ("--no-deps", "--ignore-requires-python", "obp==0.5.7", "pyieoe"),  # its pins are too old
    ),
    seconds=900,
)


def run(given: argparse.Namespace, say: Say) -> Found:
    """Everything that was asked for."""
    found = Found(about_run(given))
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        _in_memory(given, Path(folder), found, say)
        if given.stream:
            _streamed(given, Path(folder), found, say)
    return found


def about_run(given: argparse.Namespace) -> dict[str, str]:
    """Machine, sizes and settings, for the head of the output."""
    config = MomentsConfig()
    return {
        "decisions in memory": f"{given.rounds:,} x {given.actions} actions, float64",
        "estimators": "IPS, SNIPS, DM, DR, Switch-DR and DRos, the last two tuned over "
        f"{len(config.taus)} values (SLOPE++)",
        "our errors": f"clustered by contact, {config.n_buckets} buckets, in the same pass",
        "its intervals": f"{given.resamples} resamples",
        "compiled loops": str(COMPILED),
        "threads": str(given.threads),
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "numpy": version("numpy"),
    }


def _in_memory(given: argparse.Namespace, folder: Path, found: Found, say: Say) -> None:
    """The suite and its intervals on one set of arrays, ours and theirs."""
    say("drawing decisions")
    data, config = logged(given.rounds, given.actions, seed=0), MomentsConfig()
    choices = _choices(data)

    def suite() -> PointValues:
        moments = moments_of_choices(choices, config, given.threads)
        streamed_estimates(moments)
        return point_values(moments.sums.sum(axis=0), config)

    def resampled() -> None:
        moments = moments_of_choices(choices, config, given.threads)
        streamed_estimates(moments)
        bootstrap_values(moments, BootstrapConfig(given.resamples))

    suite()
    say("ours")
    values = suite()
    found.sides["ours, values, clustered errors and tuning"] = _side(suite, given.runs)
    found.sides["ours, the same and resamples of contacts"] = _side(resampled, given.runs)
    if not given.peers:
        return
    say("Open Bandit Pipeline")
    arrays = folder / "arrays.npz"
    np.savez(arrays, **_plain(data, config))
    printed = peer_json(OBP, _KEPT, (str(arrays), str(given.runs), str(given.resamples)), say)
    arrays.unlink()
    if isinstance(printed, Skipped):
        found.skipped[OBP.name] = printed.reason
        return
    theirs, other = printed
    found.sides["Open Bandit Pipeline, values and tuning"] = Side(theirs["suite"], other)
    found.sides["Open Bandit Pipeline, with intervals"] = Side(theirs["intervals"], other)
    found.largest_difference = _require_equal(values, theirs["values"])


def _streamed(given: argparse.Namespace, folder: Path, found: Found, say: Say) -> None:
    """A table of many decisions from Parquet, ours beside a bare loop."""
    table = folder / "decisions.parquet"
    write_table(table, given.stream, say)
    write_table(table.with_name("first_" + table.name), 10_000, lambda _: None)
    found.about["decisions streamed"] = f"{given.stream:,}, {table.stat().st_size:,} bytes"
    passes: dict[str, list[Passed]] = {job: [] for job in JOBS}
    for _ in range(given.passes):
        for job in JOBS:
            say(f"streaming, {job}")
            passes[job].append(passed(job, table, given.threads))
    bare, ours = passes["bare"][0], passes["ours"][0]
    _require_close("ips", bare.ips, ours.ips)
    _require_close("dr", bare.dr, ours.dr)
    found.passes = passes


def _side(work: Callable[[], object], runs: int) -> Side:
    """[seconds, processor seconds] of each run."""

    def all_runs() -> list[list[float]]:
        seconds = []
        for _ in range(runs):
            began, cpu = time.perf_counter(), time.process_time()
            work()
            seconds.append([time.perf_counter() - began, time.process_time() - cpu])
        return seconds

    return Side(*watched(all_runs))


def _require_equal(ours: PointValues, theirs: dict[str, float | list[float]]) -> float:
    """The largest difference of values that are defined alike; none is above `EQUAL`."""
    pairs = [
        (name, float(mine), float(their))
        for name, their_values in theirs.items()
        for mine, their in zip(np.ravel(getattr(ours, name)), np.ravel(their_values), strict=True)
    ]
    for name, mine, their in pairs:
        _require_close(name, mine, their)
    return max(abs(mine - their) for _, mine, their in pairs)


def _require_close(name: str, mine: float, their: float) -> None:
    if not abs(mine - their) <= EQUAL:
        raise AssertionError(f"{name} is {mine!r} here and {their!r} there: defined differently")


def _choices(data: Logged) -> Choices:
    contact = data.contact.astype(np.uint64)
    return Choices(data.target, data.q, data.action, data.propensity, data.reward, contact)


def _plain(data: Logged, config: MomentsConfig) -> dict[str, Any]:
    names = ("target", "q", "action", "propensity", "reward")
    grids = {"taus": np.array(config.taus), "lams": np.array(config.lams)}
    return {name: getattr(data, name) for name in names} | grids


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=1_000_000, help="decisions in memory")
    parser.add_argument("--actions", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--stream", type=int, default=100_000_000, help="decisions in the Parquet file; 0: none"
    )
    parser.add_argument("--passes", type=int, default=3, help="over the Parquet file")
    parser.add_argument("--scratch", type=Path, help="folder for the files, deleted afterwards")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the tables, write the JSON."""
    found = run(given, lambda line: print(line, file=sys.stderr, flush=True))
    print(markdown(found))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
