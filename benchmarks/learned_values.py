"""What our learners and those of other libraries earn from the same logs, in one run.

python benchmarks/learned_values.py --out benchmarks/results/learned_values.json

Two kinds of small logs that the other libraries make themselves: Open Bandit Pipeline's synthetic
bandit feedback, judged by its own expected rewards, and the replay buffer of d3rlpy's online DQN in
CartPole, judged by playing. Nobody's settings are searched.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t

from benchmarks.fqe import D3RLPY
from benchmarks.ope import OBP
from benchmarks.peer_runs import Peer, Skipped, peer_json
from nurture_envs.actions import ActionCatalog
from nurture_envs.journey_file import parse_journey
from nurture_rl.bandits.dr_policy import DRPolicyConfig, fit_dr_policy
from nurture_rl.bandits.ipw_policy import IPWPolicyConfig, fit_ipw_policy
from nurture_rl.learned.returns import returns_to_go
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.rl.cql import CQLConfig, train_cql
from nurture_rl.rl.dqn import DQNConfig, train_dqn

Arrays = Mapping[str, NDArray[Any]]
Values = dict[str, list[float]]  # of each learner, one a log
Say = Callable[[str], None]
BANDITS = Peer("obp", "obp_learners.py", OBP.installs, 1800)
CARTPOLE = Peer("d3rlpy", "d3rlpy_cartpole.py", D3RLPY.installs, 3000)
HIDDEN, BATCH, LEARNING_RATE, DISCOUNT = (64, 64), 64, 1e-3, 0.99  # as in the peer's script


def catalog_of(actions: int) -> ActionCatalog:
    """A catalogue of so many actions: messages to be sent now, and to wait."""
    message = {"job": "activate", "approval": "approved", "expires": "2028-12-31"}
    return ActionCatalog.of(
        parse_journey(
            {
                "journey": "actions",
                "title": "So many actions",
                "provenance": "SYNTHETIC: a list of actions",
                "clock": {"period_hours": 24, "slots_hours": [0], "periods": 1},
                "signals": {
                    "sent": {"type": "sent", "by_action": True},
                    "clicked": {"type": "click"},
                    "bought": {"type": "purchase"},
                },
                "messages": {f"m{place}": message for place in range(actions - 1)},
                "actions": {"slots": ["now"], "pauses": [1]},
                "features": {"bin": {"kind": "calendar", "part": "bin"}},
                "reward": {"unit": "1", "weights": {"bought": 1.0}},
                "kpis": {
                    "north_star": {"name": "purchases", "of": ["bought"]},
                    "supporting": [
                        {"name": "clicks", "of": ["clicked"]},
                        {"name": "sends", "of": ["sent"], "better": "lower"},
                    ],
                },
            }
        )
    )


def log_of(given: Arrays, actions: int, discount: float) -> TrainingLog:
    """Arrays of another library as a log in which every action is legal.

    Args:
        given: features [n, d], action, reward, episode, step and, where known, propensity [n].
        actions: in the catalogue.
        discount: per step; 0 where every decision is its own episode.
    """
    n = len(given["action"])
    reward, episode = given["reward"].astype(np.float64), given["episode"].astype(np.int64)
    step = given["step"].astype(np.int64)
    return TrainingLog(
        catalog=catalog_of(actions),
        columns=tuple(f"x{column}" for column in range(given["features"].shape[1])),
        features=given["features"].astype(np.float32),
        mask=np.ones((n, actions), np.bool_),
        action=given["action"].astype(np.int64),
        reward=reward,
        returns=returns_to_go(reward, episode, step, discount) if discount else reward,
        propensity=given.get("propensity", np.full(n, np.nan)),
        episode=episode,
        step=step,
        cluster=episode,
        discount=discount,
    )


def silent(step: int, numbers: dict[str, float]) -> None:
    """Nobody is told."""


def bandit_values(given: Arrays) -> dict[str, float]:
    """Expected reward of our two learners on the other library's test contexts."""
    log = log_of(given, given["expected"].shape[1], 0.0)
    features = given["test"].astype(np.float32)
    mask = np.ones(given["expected"].shape, np.bool_)

    learned = {
        "ours, ipw_policy": fit_ipw_policy(log, IPWPolicyConfig(), 0, silent),
        "ours, dr_policy": fit_dr_policy(log, DRPolicyConfig(), 0, silent),
    }
    found = {}
    for name, policy in learned.items():
        table = policy.action_probabilities(features, mask)
        best = np.eye(table.shape[1])[table.argmax(axis=1)]
        for said, acted in ((name, table), (f"{name}, likeliest action alone", best)):
            found[said] = float((acted * given["expected"]).sum(axis=1).mean())
    return found


def cartpole_values(given: Arrays, steps: int, episodes: int) -> dict[str, float]:
    """Mean length of our learners' episodes after so many gradient steps on a replay buffer."""
    log = log_of(given, 2, DISCOUNT)
    network: dict[str, Any] = {
        "hidden": HIDDEN,
        "steps": steps,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
    }
    learned = {
        "ours, dqn": train_dqn(log, DQNConfig(**network), 0, silent),
        "ours, cql": train_cql(log, CQLConfig(**network), 0, silent),
    }
    return {name: played(policy, episodes) for name, policy in learned.items()}


def played(policy: ScoredPolicy, episodes: int) -> float:
    """Mean return of a policy's best actions over the first episodes of as many poles."""
    poles = gymnasium.make_vec("CartPole-v1", num_envs=episodes, vectorization_mode="sync")
    seen, _ = poles.reset(seed=1_000)
    mask = np.ones((episodes, 2), np.bool_)
    lengths, open_ = np.zeros(episodes), np.ones(episodes, np.bool_)
    while open_.any():
        action = policy.action_probabilities(seen.astype(np.float32), mask).argmax(axis=1)
        seen, _, terminated, truncated, _ = poles.step(action)
        lengths += open_
        open_ &= ~(terminated | truncated)
    return float(lengths.mean())


def compared(
    peer: Peer, asked: tuple[str, ...], ours: Callable[[Arrays], dict[str, float]], say: Say
) -> Values | Skipped:
    """Values of theirs and ours on each log that the other library makes."""
    found: Values = {}
    with tempfile.TemporaryDirectory() as folder:
        kept = ROOT / "benchmarks" / ".venvs"
        printed = peer_json(peer, kept, (folder, *asked), say)
        if isinstance(printed, Skipped):
            return printed
        for seed, theirs in enumerate(printed[0]["values"]):
            say(f"ours, log {seed}")
            with np.load(Path(folder) / f"{seed}.npz") as given:
                arrays = dict(given)
            for name, value in (theirs | ours(arrays)).items():
                found.setdefault(name, []).append(value)
    return found


def markdown(found: Mapping[str, Values]) -> str:
    """A row for each learner: mean over logs, least and largest."""
    lines = ["| log | learner | mean | range | logs |", "| --- | --- | ---: | ---: | ---: |"]
    for log, values in found.items():
        for name, all_ in values.items():
            mean, spread = statistics.fmean(all_), f"{min(all_):.4g} to {max(all_):.4g}"
            lines.append(f"| {log} | {name} | {mean:.4g} | {spread} | {len(all_)} |")
    return "\n".join(lines)


def paired(found: Mapping[str, Values]) -> str:
    """A row for each of ours beside each of theirs: the mean difference over the same logs."""
    lines = [
        "| log | ours | less theirs | mean | 95 % | logs |",
        "| --- | --- | --- | ---: | --- | --- |",
    ]
    for log, values in found.items():
        ours = [name for name in values if name.startswith("ours")]
        theirs = [name for name in values if name.startswith(("OBP", "d3rlpy"))]
        for one, other in product(ours, theirs):
            gap = np.array(values[one]) - np.array(values[other])
            if gap.size < 2:
                continue
            half = float(t.isf(0.025, gap.size - 1) * gap.std(ddof=1) / gap.size**0.5)
            said = f"{gap.mean() - half:+.4f} to {gap.mean() + half:+.4f}"
            lines.append(f"| {log} | {one} | {other} | {gap.mean():+.4f} | {said} | {gap.size} |")
    return "\n".join(lines)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--logs", type=int, default=5, help="of each kind, by seed from 0")
    parser.add_argument("--rows", type=int, default=10_000, help="decisions of bandit feedback")
    parser.add_argument("--steps", type=int, default=5_000, help="gradient steps on a replay")
    parser.add_argument("--episodes", type=int, default=100, help="of CartPole that judge")
    parser.add_argument(
        "--kind", choices=("both", "bandits", "cartpole"), default="both", help="of logs"
    )
    parser.add_argument(
        "--no-networks", action="store_true", help="leave out Open Bandit Pipeline's networks"
    )
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    steps, episodes = given.steps, given.episodes
    kinds: dict[str, Values | Skipped] = {}
    if given.kind != "cartpole":
        asked = (str(given.logs), str(given.rows), str(int(not given.no_networks)))
        kinds["bandit feedback"] = compared(BANDITS, asked, bandit_values, say)
    if given.kind != "bandits":
        asked = (str(given.logs), str(steps), str(episodes))
        kinds["CartPole"] = compared(
            CARTPOLE, asked, lambda arrays: cartpole_values(arrays, steps, episodes), say
        )
    found = {name: one for name, one in kinds.items() if not isinstance(one, Skipped)}
    print(f"{markdown(found)}\n\n{paired(found)}")
    for name, one in kinds.items():
        if isinstance(one, Skipped):
            print(f"| {name} | skipped: {one.reason} | | | |")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
