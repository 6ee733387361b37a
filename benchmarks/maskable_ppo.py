"""How fast PPO trains in our environments, beside sb3-contrib's MaskablePPO, in one run.

python benchmarks/maskable_ppo.py --out benchmarks/results/maskable_ppo.json
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

import torch

from benchmarks.fqe import options, tell, timed
from benchmarks.timing import watched
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.rl.ppo import PPOConfig, train_ppo

Say = Callable[[str], None]
HIDDEN, EPOCHS, MINIBATCHES = (64, 64), 4, 8
NEVER = 1e9  # nats; no pass over a rollout is cut short, as in the other library's default


def ours(simulation: Simulation, contacts: int, iterations: int) -> None:
    """Rounds of one horizon of every contact; the rollout that sets the input scale included."""
    config = PPOConfig(
        iterations=iterations,
        n_contacts=contacts,
        epochs=EPOCHS,
        minibatches=MINIBATCHES,
        hidden=HIDDEN,
        target_kl=NEVER,
    )
    train_ppo(simulation, config, 0, lambda step, numbers: None)


def theirs(env_id: str, contacts: int, horizon: int) -> Callable[[int], None]:
    """The same work by the other library over single environments in its own vector wrapper.

    Raises:
        ImportError: sb3-contrib is not installed.
    """
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.env_util import make_vec_env

    model = MaskablePPO(
        "MlpPolicy",
        make_vec_env(env_id, contacts, seed=0),
        n_steps=horizon,
        batch_size=contacts * horizon // MINIBATCHES,
        n_epochs=EPOCHS,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": list(HIDDEN)},
        gamma=1.0,
        seed=0,
        device="cpu",
    )

    def learn(iterations: int) -> None:
        model.learn(contacts * horizon * iterations)

    return learn


def run(given: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Everything that was asked for, as plain data."""
    torch.set_num_threads(given.threads)
    simulation = Simulation(reference_world(given.journey))
    horizon = simulation.spec.clock.horizon
    steps = given.contacts * horizon * given.iterations
    ways: dict[str, Callable[[], None]] = {
        "ours": partial(ours, simulation, given.contacts, given.iterations)
    }
    found: dict[str, Any] = {
        "about": {
            "journey": f"{given.journey}, {horizon} bins, {len(simulation.spec.columns)} features, "
            f"{len(simulation.catalog)} actions",
            "a run": f"{given.iterations} rounds of {given.contacts} contacts, {steps:,} steps; "
            f"{EPOCHS} passes of {MINIBATCHES} minibatches, networks of two layers of {HIDDEN[0]}",
            "threads": str(given.threads),
            "cores": str(os.cpu_count()),
            "load before": f"{os.getloadavg()[0]:.2f}",
        },
        "seconds": {},
        "other CPU": {},
    }
    if given.peers:
        try:
            learn = theirs(given.env, given.contacts, horizon)
            ways["MaskablePPO"] = partial(learn, given.iterations)
        except ImportError as error:
            found["skipped"] = str(error)
    for way, work in ways.items():
        say(way)
        name = f"{way}, a contact-step of training"
        runs, other = watched(partial(timed, work, given.runs))
        found["seconds"][name] = [[part / steps for part in one] for one in runs]
        found["other CPU"][name] = other
    return found


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = options(__doc__, threads=1)
    parser.add_argument("--journey", default="inbound_lead", help="a shipped journey")
    parser.add_argument("--env", default="nurture_envs/InboundLead-v0", help="the same, registered")
    parser.add_argument("--contacts", type=int, default=256, help="played side by side")
    parser.add_argument("--iterations", type=int, default=2, help="rounds of a run")
    return parser.parse_args(given)


if __name__ == "__main__":
    tell(run, arguments())
