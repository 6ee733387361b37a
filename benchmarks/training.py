"""What compiled play gains for whoever steps contacts outside an environment, in one run.

python benchmarks/training.py --out benchmarks/results/training.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import numpy as np
import torch

from benchmarks.fitted import fitted_world
from benchmarks.timing import watched
from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.reference import reference_world
from nurture_envs.worlds.world import World
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.rl.training_rollout import begin
from nurture_rl.simulator.gap.replay import replay

Say = Callable[[str], None]
Job = Callable[[Simulation], Any]  # returns what both ways must agree on
_KEPT = ROOT / "benchmarks" / ".venvs" / "world"


@dataclass(frozen=True, slots=True)
class Gain:
    """Processor time of the same work by plain torch and by compiled loops."""

    plain: float  # seconds, median over runs
    compiled: float  # seconds, median over runs
    times: float  # median over runs of plain / compiled, taken one after the other
    low: float
    high: float
    other_cpu: float  # largest share of the machine that other processes used in a run, [0, 1]


def gain(world: World, job: Job, runs: int) -> Gain:
    """Do the same work both ways, in turn, after a first time that is not timed.

    Raises:
        AssertionError: the two ways do not give the same.
    """
    ways = [Simulation(world, compiled=compiled) for compiled in (False, True)]
    one, other = (job(simulation) for simulation in ways)
    np.testing.assert_array_equal(one, other)
    found, others = [], []
    for _ in range(runs):
        seconds = []
        for simulation in ways:
            took, busy = watched(lambda s=simulation: _seconds(job, s))  # type: ignore[misc]
            seconds.append(took)
            others.append(busy)
        found.append(seconds)
    ratios = [plain / compiled for plain, compiled in found]
    plain, compiled = (statistics.median(side) for side in zip(*found, strict=True))
    return Gain(plain, compiled, statistics.median(ratios), min(ratios), max(ratios), max(others))


def _seconds(job: Job, simulation: Simulation) -> float:
    began = time.thread_time()
    job(simulation)
    return time.thread_time() - began


def jobs(policy: Policy, contacts: int, iterations: int) -> dict[str, Job]:
    """What is timed, by name; each works in a world of either kind."""
    config = PPOConfig(iterations=iterations, n_contacts=min(2048, contacts))

    def trained(simulation: Simulation) -> Any:
        actor = train_ppo(simulation, config, 0, lambda step, values: None).module
        return torch.cat([part.flatten() for part in actor.buffers()]).numpy()

    def stepped(simulation: Simulation) -> Any:
        """PPO's contacts without its networks: one horizon of waiting, and new episodes."""
        cursor, wait = begin(simulation, config.n_contacts, 0), simulation.catalog.wait
        waits = torch.full((config.n_contacts,), wait)
        rewards = [
            cursor.player.step(waits).reward for _ in range(2 * simulation.spec.clock.horizon)
        ]
        return torch.stack(rewards).numpy()

    return {
        f"PPO end to end, {iterations} iterations": trained,
        "PPO's contacts alone": stepped,
        "play, returns of `rules`": lambda s: returns(s, policy, contacts, 1).value,
        "replay of the reality gap": lambda s: replay(s, policy, contacts, 1).amounts,
    }


def run(given: argparse.Namespace, say: Say) -> dict[str, Gain]:
    """Everything, in the reference world and in the learned one."""
    torch.set_num_threads(1)
    known = reference_world(given.journey)
    context = PolicyContext(known.journey, *_compiled(known))
    work = jobs(build_policy("rules", context), given.contacts, given.iterations)
    worlds: dict[str, World] = {"reference world": known}
    if given.learned:
        worlds["learned world"] = fitted_world(given.journey, given.learned, _KEPT, say)
    found: dict[str, Gain] = {}
    for place, world in worlds.items():
        for name, job in work.items():
            say(f"{name}, {place}")
            found[f"{name}, {place}"] = gain(world, job, given.runs)
        if isinstance(world, LearnedWorld):
            name = f"evaluation in a member, {place}"
            say(name)
            found[name] = gain(world.member(0), work["play, returns of `rules`"], given.runs)
    return found


def _compiled(world: World) -> tuple[Any, Any]:
    simulation = Simulation(world)
    return simulation.catalog, simulation.spec


def markdown(found: dict[str, Gain]) -> str:
    """One row per kind of work."""
    head = "| work | plain torch, s | compiled, s | times as fast (range) | other CPU |"
    rows = [
        f"| {name} | {one.plain:.2f} | {one.compiled:.2f} | {one.times:.2f} "
        f"({one.low:.2f}-{one.high:.2f}) | {one.other_cpu:.0%} |"
        for name, one in found.items()
    ]
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--journey", default="inbound_lead", help="a shipped journey")
    parser.add_argument("--contacts", type=int, default=8192, help="played to their end")
    parser.add_argument("--iterations", type=int, default=3, help="of PPO")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--learned", type=int, default=2000, help="contacts the learned world is fitted to; 0: none"
    )
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the table, write the JSON."""
    found = run(given, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"- cores: {os.cpu_count()}, load: {os.getloadavg()[0]:.1f}, one thread\n")
    print(markdown(found))
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        told = {name: asdict(one) for name, one in found.items()}
        given.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
