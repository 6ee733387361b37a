"""How fast one-step estimators in memory are, beside Open Bandit Pipeline, in one run.

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

from benchmarks.ope_data import Logged, logged
from benchmarks.ope_tables import Found, Side, markdown
from benchmarks.peer_runs import Peer, Skipped, peer_json
from benchmarks.timing import watched
from nurture_rl.ope.estimators import dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, evaluation_log
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.shrinking import dros, switch_dr
from nurture_rl.ope.weighting.tuning import (
    LARGEST_WEIGHTS,
    SHRINKAGES,
    tuned_dros,
    tuned_switch_dr,
)

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
    """The suite on one set of arrays, ours and theirs."""
    found = Found(about_run(given))
    say("drawing decisions")
    data = logged(given.rounds, given.actions, seed=0)
    log, taken, answers = as_log(data)
    say("ours")
    found.sides["ours, values, clustered errors and tuning"] = _side(
        lambda: suite(log, taken, answers), given.runs
    )
    if not given.peers:
        return found
    say("Open Bandit Pipeline")
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **_plain(data))
        asked = (str(arrays), str(given.runs), str(given.resamples))
        printed = peer_json(OBP, _KEPT, asked, say)
    if isinstance(printed, Skipped):
        found.skipped[OBP.name] = printed.reason
        return found
    theirs, other = printed
    found.sides["Open Bandit Pipeline, values and tuning"] = Side(theirs["suite"], other)
    found.sides["Open Bandit Pipeline, with intervals"] = Side(theirs["intervals"], other)
    found.largest_difference = _require_equal(values(log, taken, answers), theirs["values"])
    return found


def about_run(given: argparse.Namespace) -> dict[str, str]:
    """Machine, sizes and settings, for the head of the output."""
    return {
        "decisions in memory": f"{given.rounds:,} x {given.actions} actions, float64",
        "estimators": "IPS, SNIPS, DM, DR, Switch-DR and DRos, the last two tuned over "
        f"{len(LARGEST_WEIGHTS)} values",
        "our errors": "clustered by contact",
        "its intervals": f"{given.resamples} resamples",
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "numpy": version("numpy"),
    }


def as_log(data: Logged) -> tuple[EvaluationLog, FloatArray, ValuePredictions]:
    """The decisions as a log, the target's probabilities of what was logged, a model's answers."""
    n, a = data.target.shape
    every = np.arange(n)
    log = evaluation_log(
        features=np.zeros((n, 1)),
        mask=np.ones((n, a), dtype=np.bool_),
        action=data.action,
        propensity=data.propensity,
        reward=data.reward,
        episode=every,
        step=np.zeros(n, dtype=np.int64),
        cluster=data.contact,
        terminal=np.ones(n, dtype=np.bool_),
        action_factors=np.arange(a)[:, None],
        discount=1.0,
        unit="reward",
    )
    modelled = np.einsum("na,na->n", data.target, data.q)
    taken = data.target[every, data.action]
    return log, taken, ValuePredictions(data.q[every, data.action], modelled)


def suite(log: EvaluationLog, taken: FloatArray, answers: ValuePredictions) -> None:
    """What is timed: the estimators that `nurture ope` asks of a log in memory."""
    ips(log, taken)
    snips(log, taken)
    dm(log, answers)
    dr(log, taken, answers)
    tuned_switch_dr(log, taken, answers)
    tuned_dros(log, taken, answers)


def values(
    log: EvaluationLog, taken: FloatArray, answers: ValuePredictions
) -> dict[str, float | list[float]]:
    """What must agree: values, those of the tuned estimators at every parameter."""
    return {
        "ips": ips(log, taken).value,
        "snips": snips(log, taken).value,
        "dm": dm(log, answers).value,
        "dr": dr(log, taken, answers).value,
        "switch_dr": [switch_dr(log, taken, answers, tau).value for tau in LARGEST_WEIGHTS],
        "dros": [dros(log, taken, answers, lam).value for lam in SHRINKAGES],
    }


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


def _require_equal(
    ours: dict[str, float | list[float]], theirs: dict[str, float | list[float]]
) -> float:
    """The largest difference of values that are defined alike; none is above `EQUAL`."""
    pairs = [
        (name, float(mine), float(their))
        for name, their_values in theirs.items()
        for mine, their in zip(np.ravel(ours[name]), np.ravel(their_values), strict=True)
    ]
    for name, mine, their in pairs:
        if not abs(mine - their) <= EQUAL:
            raise AssertionError(
                f"{name} is {mine!r} here and {their!r} there: defined differently"
            )
    return max(abs(mine - their) for _, mine, their in pairs)


def _plain(data: Logged) -> dict[str, Any]:
    names = ("target", "q", "action", "propensity", "reward")
    grids = {"taus": np.array(LARGEST_WEIGHTS), "lams": np.array(SHRINKAGES)}
    return {name: getattr(data, name) for name in names} | grids


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=1_000_000, help="decisions in memory")
    parser.add_argument("--actions", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=100)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--scratch", type=Path, help="folder for the arrays, deleted afterwards")
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
