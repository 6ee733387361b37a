"""How fast linear bandits take rows in and decide, beside MABWiser and Vowpal Wabbit.

python benchmarks/learners.py --out benchmarks/results/learners.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np

from benchmarks.peer_runs import Peer, Skipped, peer_json
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey
from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.linear_statistics import LinearStatistics
from nurture_rl.bandits.linear_thompson import LinearThompsonConfig, fit_linear_thompson
from nurture_rl.bandits.linucb import LinUCBConfig, fit_linucb
from nurture_rl.learned.training_log import TrainingLog

Runs = list[tuple[float, float]]  # rows a second of each run, by processor time and by the clock
_KEPT = ROOT / "benchmarks" / ".venvs"
PEER = Peer("bandits", "bandit_rows.py", (("mabwiser==2.7.4",), ("vowpalwabbit==9.11.9",)), 600)


@dataclass(frozen=True, slots=True)
class Job:
    """Work on a number of rows."""

    rows: int
    run: Callable[[], object]


def log_of(journey: str, rows: int, seed: int) -> TrainingLog:
    """Decisions of a journey's shape: normal features, even choices, returns linear in them."""
    shape = load_journey(journey)
    catalog, columns = ActionCatalog.of(shape), FeatureSpec.of(shape).columns
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, len(columns))).astype(np.float32)
    action = rng.integers(0, len(catalog), rows)
    slopes = rng.normal(size=(len(catalog), len(columns))) / len(columns) ** 0.5
    returns = (x * slopes[action]).sum(axis=1) + rng.normal(size=rows)
    return TrainingLog(
        catalog=catalog,
        columns=columns,
        features=x,
        mask=np.ones((rows, len(catalog)), np.bool_),
        action=action,
        reward=returns,
        returns=returns,
        propensity=np.full(rows, 1.0 / len(catalog)),
        episode=np.arange(rows),
        step=np.zeros(rows, np.int64),
        cluster=np.arange(rows),
        discount=0.0,
    )


def jobs(log: TrainingLog, calls: int, decided: int) -> dict[str, Job]:
    """What is timed of ours.

    Args:
        log: the decisions.
        calls: rows that are added by a call each.
        decided: contexts of one batch to decide.
    """
    moments, actions = ContextMoments.of(log.features), len(log.catalog)

    def together() -> None:
        sums = LinearStatistics.none(moments, actions)
        sums.add(log.features, log.action, log.returns)

    def one_by_one() -> None:
        sums = LinearStatistics.none(moments, actions)
        for row in range(calls):
            part = slice(row, row + 1)
            sums.add(log.features[part], log.action[part], log.returns[part])

    def silent(step: int, numbers: dict[str, float]) -> None:
        """Nobody is told."""

    linucb = fit_linucb(log, LinUCBConfig(ridge=1.0), 0, silent)
    thompson = fit_linear_thompson(log, LinearThompsonConfig(ridge=1.0), 0, silent)
    x, mask = log.features[:decided], log.mask[:decided]
    return {
        "add rows, all in one call": Job(log.action.size, together),
        "add rows, a call each": Job(calls, one_by_one),
        "fit LinUCB, evidence included": Job(
            log.action.size, lambda: fit_linucb(log, LinUCBConfig(), 0, silent)
        ),
        "decide, LinUCB": Job(decided, lambda: linucb.action_probabilities(x, mask)),
        "decide, Thompson (128 draws)": Job(
            decided, lambda: thompson.action_probabilities(x, mask)
        ),
    }


def timed(job: Job, runs: int) -> Runs:
    """Rows a second of each run."""
    found = []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        job.run()
        passed, used = time.perf_counter() - began, time.process_time() - cpu
        found.append((job.rows / used, job.rows / passed))
    return found


def peers(
    log: TrainingLog, given: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Runs] | Skipped:
    """The same work by the other libraries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        np.savez(
            path,
            x=log.features,
            action=log.action,
            returns=log.returns,
            actions=np.array(len(log.catalog)),
        )
        sizes = (str(given.runs), str(given.calls), str(given.peer_decided))
        printed = peer_json(PEER, _KEPT, (str(path), *sizes), say)
    if isinstance(printed, Skipped):
        return printed
    return {name: [(cpu, wall) for cpu, wall in runs] for name, runs in printed[0].items()}


def markdown(found: dict[str, Runs]) -> str:
    """One row per kind of work."""
    rows = [
        "| work | rows/s of processor time (range) | rows/s by the clock |",
        "| --- | --- | --- |",
    ]
    for name, runs in found.items():
        cpu, wall = ([one[at] for one in runs] for at in (0, 1))
        rows.append(
            f"| {name} | {statistics.median(cpu):,.0f} ({min(cpu):,.0f}-{max(cpu):,.0f}) | "
            f"{statistics.median(wall):,.0f} |"
        )
    return "\n".join(rows)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--journey", default="trial_onboarding", help="whose features and actions")
    parser.add_argument("--rows", type=int, default=100_000, help="decisions of the log")
    parser.add_argument("--calls", type=int, default=5_000, help="rows added by a call each")
    parser.add_argument("--decided", type=int, default=10_000, help="contexts of one batch")
    parser.add_argument("--peer-decided", type=int, default=500, help="the same, of the others")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the table, write the JSON."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    log = log_of(given.journey, given.rows, seed=1)
    found: dict[str, Runs] = {}
    for name, job in jobs(log, given.calls, given.decided).items():
        say(name)
        found[name] = timed(job, given.runs)
    others = Skipped("not asked for") if given.no_peers else peers(log, given, say)
    if not isinstance(others, Skipped):
        found |= others
    print(f"- {len(log.columns)} features, {len(log.catalog)} actions, {given.rows:,} rows")
    print(f"- cores: {os.cpu_count()}, load: {os.getloadavg()[0]:.1f}\n")
    print(markdown(found))
    if isinstance(others, Skipped):
        print(f"| MABWiser, Vowpal Wabbit | skipped: {others.reason} | |")
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
