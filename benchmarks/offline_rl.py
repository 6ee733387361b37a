"""How fast values are learned from a log, beside d3rlpy, torchrl and tianshou, in one run.

python benchmarks/offline_rl.py --out benchmarks/results/offline_rl.json
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.fqe import D3RLPY, options, tell, time_evaluation, timed
from benchmarks.peer_runs import Peer, Skipped, peer_json
from benchmarks.timing import watched
from nurture_rl.rl.cql import ConservativeQ
from nurture_rl.rl.dqn import QLearning
from nurture_rl.rl.offline_training import BootstrapConfig, Trainee, follower, train
from nurture_rl.rl.scored_networks import score_network
from nurture_rl.rl.transitions import Transitions

Say = Callable[[str], None]
PEERS = (
    Peer("d3rlpy", "d3rlpy_offline.py", D3RLPY.installs, seconds=900),
    Peer(
        "torchrl",
        "torchrl_offline.py",
        (
            ("torch==2.13.0",),  # alone, so that no other package chooses its build
            ("torchrl==0.14.1", "tianshou==2.0.1"),
        ),
        seconds=900,
    ),
)
FEATURES, ACTIONS, LENGTH, EPISODES = 64, 12, 30, 3334  # as in the peer's script
DISCOUNT, HIDDEN, ALPHA = 0.99, (256, 256), 1.0
STEPS = {256: 200, 4096: 20}  # gradient steps of each run, by batch
ROWS = EPISODES * LENGTH


def transitions(device: str) -> Transitions:
    """Random decisions in episodes of 30, of which every action is legal."""
    luck = torch.Generator().manual_seed(0)
    onward = torch.full((ROWS,), DISCOUNT)
    onward[LENGTH - 1 :: LENGTH] = 0.0
    return Transitions(
        features=torch.randn(ROWS, FEATURES, generator=luck).to(device),
        mask=torch.ones(ROWS, ACTIONS, dtype=torch.bool, device=device),
        action=torch.randint(ACTIONS, (ROWS, 1), generator=luck).to(device),
        reward=torch.randn(ROWS, generator=luck).to(device),
        onward=onward.to(device),
        scale=1.0,
        moments=(np.zeros(FEATURES), np.ones(FEATURES)),
    )


def ours(data: Transitions, kind: str, batch: int) -> None:
    """Gradient steps of our learner: masks, a following copy, checks at every look."""
    luck = torch.Generator().manual_seed(0)
    network = score_network(data, ACTIONS, HIDDEN, luck)
    following = follower(network)
    objective = QLearning(data, network, following, double=False)
    if kind == "CQL":
        objective = ConservativeQ(data, network, following, double=True, alpha=ALPHA)
    config = BootstrapConfig(hidden=HIDDEN, steps=STEPS[batch], batch=batch)
    rows = torch.arange(ROWS, device=data.reward.device)
    train(objective, Trainee(network, rows, following), config, luck, lambda look, told: None)


def bare(data: Transitions, kind: str, batch: int) -> None:
    """The tightest loop by automatic differentiation and fused Adam: no mask, no copy, no check."""
    network, target = (_plain().to(data.reward.device) for _ in range(2))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(STEPS[batch]):
        rows = torch.randint(ROWS - 1, (batch,), device=data.reward.device)
        with torch.no_grad():
            ahead = target(data.features[rows + 1]).amax(dim=1)
            goal = data.reward[rows] + data.onward[rows] * ahead
        q = network(data.features[rows])
        taken = q.gather(1, data.action[rows])[:, 0]
        loss = functional.mse_loss(taken, goal)
        if kind == "CQL":
            loss = loss + ALPHA * (torch.logsumexp(q, dim=1) - taken).mean()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward([loss])
        optimiser.step()


def _plain() -> nn.Sequential:
    first, second = HIDDEN
    layers = nn.Linear(FEATURES, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(second, ACTIONS))


def run(given: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Everything that was asked for, as plain data."""
    torch.set_num_threads(given.threads)
    found: dict[str, Any] = {"about": about_run(given), "seconds": {}, "other CPU": {}}
    data = transitions(given.device)
    for kind in ("DQN", "CQL"):
        for batch in STEPS:
            ways = {
                "ours": partial(ours, data, kind, batch),
                "bare loop": partial(bare, data, kind, batch),
            }
            for way, work in ways.items():
                name = f"{way}, {kind}, batch {batch}"
                say(name)
                runs, other = watched(partial(timed, work, given.runs))
                found["seconds"][name] = [[part / STEPS[batch] for part in one] for one in runs]
                found["other CPU"][name] = other
    for batch in STEPS:
        time_evaluation(given, f"ours, FQE, batch {batch}", batch, found, say)
    for peer in PEERS if given.peers else ():
        say(peer.name)
        asked = (str(given.runs), str(given.threads))
        printed = peer_json(peer, given.environments, asked, say)
        if isinstance(printed, Skipped):
            found["skipped"] = f"{peer.name}: {printed.reason}"
            continue
        for name, runs in printed[0].items():
            found["seconds"][name] = runs
            found["other CPU"][name] = printed[1]
    return found


def about_run(given: argparse.Namespace) -> dict[str, str]:
    """Machine, sizes and settings, for the head of the output."""
    return {
        "network": "-".join(str(width) for width in (FEATURES, *HIDDEN, ACTIONS)),
        "transitions": f"{ROWS:,}",
        "device": given.device,
        "threads": str(given.threads),
        "cores": str(os.cpu_count()),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "torch": torch.__version__,
    }


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = options(__doc__, os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu", help="of ours and the bare loop")
    kept = ROOT / "benchmarks" / ".venvs"
    parser.add_argument("--environments", type=Path, default=kept, help="of the other libraries")
    return parser.parse_args(given)


if __name__ == "__main__":
    tell(run, arguments())
