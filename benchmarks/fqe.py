"""How fast episodes are evaluated off-policy, beside d3rlpy and SCOPE-RL, in one run.

python benchmarks/fqe.py --out benchmarks/results/fqe.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.peer_runs import Peer, Skipped, peer_json
from benchmarks.timing import watched
from nurture_rl.ope.estimators import (
    ValueEstimate,
    cumulative_weights,
    dm,
    dr,
    effective_sample_size,
    ips,
    mean_of_episodes,
)
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    discount_from_start,
    evaluation_log,
    first_rows,
)
from nurture_rl.ope.sequential import fqe_training
from nurture_rl.ope.sequential.fqe_config import FqeConfig
from nurture_rl.ope.value_model import ValuePredictions

Runs = list[list[float]]  # seconds and processor seconds of each run
Say = Callable[[str], None]
_KEPT = ROOT / "benchmarks" / ".venvs"
_ALIKE = (
    ("torch==2.13.0",),  # alone, so that no other package chooses its build
    ("d3rlpy==2.8.1", "numpy<2", "scipy", "pandas", "scikit-learn", "matplotlib", "seaborn"),
    ("hydra-core", "numpy<2"),
    ("--no-deps", "scope-rl==0.2.1", "pytorch_revgrad==0.2.0"),
)
D3RLPY = Peer("d3rlpy", "d3rlpy_fqe.py", _ALIKE)
SCOPE = Peer("d3rlpy", "scope_rl_four.py", _ALIKE)
FEATURES, ACTIONS, LENGTH, EPISODES = 64, 12, 30, 3334  # as in the peer's script
STEPS = {256: 200, 4096: 100}  # gradient steps of each run, by batch
TRAJECTORIES = 10_000
EQUAL = 1e-9  # values that are defined alike differ by less


def run(given: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Everything that was asked for, as plain data."""
    torch.set_num_threads(given.threads)
    found: dict[str, Any] = {"about": about_run(given), "seconds": {}, "other CPU": {}}
    _steps(given, found, say)
    if given.device == "cpu":
        _four(given, found, say)
    return found


def about_run(given: argparse.Namespace) -> dict[str, str]:
    """Machine, sizes and settings, for the head of the output."""
    return {
        "fitted-Q evaluation": f"{FEATURES}-256-256-{ACTIONS}, {EPISODES * LENGTH:,} transitions",
        "four estimators": f"dm, tis, ips, dr with variances, {TRAJECTORIES:,} x {LENGTH} x "
        f"{ACTIONS}, float64, one thread",
        "device": given.device,
        "threads": str(given.threads),
        "cores": str(os.cpu_count()),
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }


def _steps(given: argparse.Namespace, found: dict[str, Any], say: Say) -> None:
    for batch in STEPS:
        time_evaluation(given, f"ours, batch {batch}", batch, found, say)
    if given.peers:
        say("d3rlpy")
        printed = peer_json(D3RLPY, _KEPT, (str(given.runs), str(given.threads)), say)
        if isinstance(printed, Skipped):
            found["skipped"] = printed.reason
            return
        for name, runs in printed[0].items():
            found["seconds"][f"d3rlpy, batch {name}"] = runs
            found["other CPU"][f"d3rlpy, batch {name}"] = printed[1]


def time_evaluation(
    given: argparse.Namespace, name: str, batch: int, found: dict[str, Any], say: Say
) -> None:
    """Time gradient steps of our fitted-Q evaluation at one size of the batch, under a name."""
    say(name)
    log = _transitions(np.random.default_rng(0))
    target = np.full((log.n_rows, ACTIONS), 1.0 / ACTIONS)
    buffer = fqe_training.buffer_of(log, target, given.device)
    config = FqeConfig(batch=batch, max_steps=STEPS[batch], check_every=1)

    def trained() -> None:
        fqe_training.train(buffer, np.arange(log.n_rows), first_rows(log), config, 0)

    runs, other = watched(partial(timed, trained, given.runs))
    found["seconds"][name] = [[part / STEPS[batch] for part in one] for one in runs]
    found["other CPU"][name] = other


def _four(given: argparse.Namespace, found: dict[str, Any], say: Say) -> None:
    say("four estimators, ours")
    log, target, q = _trajectories(np.random.default_rng(0))
    runs, other = watched(lambda: timed(lambda: four_estimates(log, target, q), 10 * given.runs))
    found["seconds"]["ours, four estimators"] = runs
    found["other CPU"]["ours, four estimators"] = other
    if not given.peers:
        return
    say("SCOPE-RL")
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(
            arrays,
            action=log.action,
            reward=log.reward,
            propensity=log.propensity,
            target=target,
            q=q,
            length=LENGTH,
            discount=log.discount,
        )
        printed = peer_json(SCOPE, _KEPT, (str(arrays), str(given.runs)), say)
    if isinstance(printed, Skipped):
        found["skipped"] = printed.reason
        return
    found["seconds"]["SCOPE-RL, four estimators"] = printed[0]["runs"]
    found["other CPU"]["SCOPE-RL, four estimators"] = printed[1]
    ours = {name: estimate.value for name, estimate in four_estimates(log, target, q).items()}
    theirs = printed[0]["values"]
    found["differences"] = {name: abs(ours[name] - theirs[name]) for name in ours}
    if max(found["differences"].values()) > EQUAL:
        raise SystemExit(f"values that are defined alike differ: {ours} and {theirs}")


def four_estimates(
    log: EvaluationLog, target: FloatArray, q: FloatArray
) -> dict[str, ValueEstimate]:
    """`dm`, `tis`, `ips` and `dr` with their errors; whole-episode weights are for this table."""
    rows = np.arange(log.n_rows)
    taken = target[rows, log.action]
    model = ValuePredictions(q[rows, log.action], (q * target).sum(axis=1))
    whole = cumulative_weights(log, taken)[:, -1]
    returns = np.bincount(log.episode, weights=discount_from_start(log) * log.reward)
    return {
        "dm": dm(log, model),
        "tis": mean_of_episodes(log, whole * returns, effective_sample_size(whole)),
        "ips": ips(log, taken),
        "dr": dr(log, taken, model),
    }


def timed(work: Callable[[], object], runs: int) -> Runs:
    work()
    found = []
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append([time.perf_counter() - began, time.process_time() - cpu])
    return found


def _transitions(rng: np.random.Generator) -> EvaluationLog:
    n = EPISODES * LENGTH
    features, action = rng.standard_normal((n, FEATURES)), rng.integers(0, ACTIONS, n)
    even = np.full(n, 1.0 / ACTIONS)
    return _logged(features, action, even, rng.standard_normal(n))


def _trajectories(rng: np.random.Generator) -> tuple[EvaluationLog, FloatArray, FloatArray]:
    n = TRAJECTORIES * LENGTH
    logging = _softmax(0.3 * rng.standard_normal((n, ACTIONS)))
    target = _softmax(np.log(logging) + 0.2 * rng.standard_normal((n, ACTIONS)))
    action = (logging.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=ACTIONS - 1)
    q = 0.1 * rng.standard_normal((n, ACTIONS)) + 1.0
    propensity = logging[np.arange(n), action]
    rewards = (rng.random(n) < 0.1).astype(np.float64)
    return _logged(np.zeros((n, 1)), action, propensity, rewards), target, q


def _logged(
    features: FloatArray, action: Any, propensity: FloatArray, reward: FloatArray
) -> EvaluationLog:
    n = action.size
    episodes = n // LENGTH
    return evaluation_log(
        features=features,
        mask=np.ones((n, ACTIONS)),
        action=action,
        propensity=propensity,
        reward=reward,
        episode=np.repeat(np.arange(episodes), LENGTH),
        step=np.tile(np.arange(LENGTH), episodes),
        cluster=np.arange(episodes),
        terminal=np.tile(np.arange(LENGTH) == LENGTH - 1, episodes),
        action_factors=np.eye(ACTIONS),
        discount=0.99,
        unit="EUR",
    )


def _softmax(scores: FloatArray) -> FloatArray:
    raw = np.exp(scores)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


def markdown(found: dict[str, Any]) -> str:
    """Head and table: medians by the clock, the best by processor time, and times of ours."""
    lines = [f"- {name}: {value}" for name, value in found["about"].items()]
    lines += ["", "| job | ms, median | processor ms, least | per second | other CPU | of ours |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name, runs in found["seconds"].items():
        clock = statistics.median(one[0] for one in runs)
        cpu = min(one[1] for one in runs)
        job = name.split(", ", 1)[1]
        own = found["seconds"][f"ours, {job}"]
        times = clock / statistics.median(one[0] for one in own)
        by_cpu = cpu / min(one[1] for one in own)
        lines.append(
            f"| {name} | {1e3 * clock:.3g} | {1e3 * cpu:.3g} | {1 / clock:.3g} | "
            f"{found['other CPU'][name]:.0%} | {times:.3g}x ({by_cpu:.3g}x) |"
        )
    if "skipped" in found:
        lines.append(f"| others | skipped: {found['skipped']} | | | | |")
    lines += ["", "Of ours: by the clock, and by processor time in brackets."]
    return "\n".join(lines)


def options(description: str | None, threads: int) -> argparse.ArgumentParser:
    """What every comparison with other libraries is asked; `threads` where nothing is said."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser


def tell(
    work: Callable[[argparse.Namespace, Say], dict[str, Any]], given: argparse.Namespace
) -> None:
    """Run, print the table, and write what was found where asked to."""
    found = work(given, lambda text: print(text, file=sys.stderr))
    print(markdown(found))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = options(__doc__, os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", help="of our fitted-Q evaluation")
    return parser.parse_args(given)


if __name__ == "__main__":
    tell(run, arguments())
