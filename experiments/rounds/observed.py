"""What the observed features can give: PPO that learns in the true world itself, without a log.

It sees what every policy sees and nothing of the hidden state; with a memory it also sees what
happened in each of the last bins, signal by signal. No optimum is proved: a longer training or a
larger network may reach more.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.progress import say
from experiments.learners.oracle import OracleConfig, best_of
from experiments.learners.study import data_region
from experiments.learners.truth import stderr, true_returns
from experiments.rounds.shares import attainable
from nurture_envs.journey_memory import with_memory
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.codec import read_record, write_record
from nurture_rl.rl.ppo import PPOConfig

OUT = Path(__file__).parent / "observed"
ITERATIONS = 50  # ten more than the oracle of inbound leads had
CONFIG = OracleConfig(
    ppo=PPOConfig(
        iterations=ITERATIONS,
        n_contacts=2048,
        minibatches=8,
        learning_rate=3e-3,
        entropy=0.003,
        target_kl=0.05,
    ),
    restarts=1,
)


@dataclass(frozen=True, slots=True)
class ObservedRecord:
    """The best that was learned from what is observed, the journey's unit per contact."""

    data: str
    value: float
    stderr: float
    seconds: float  # of the training, by the clock
    config: OracleConfig
    memory: int = 0  # last bins told apart, see `with_memory`
    seed: int = 0  # of the training
    columns: int = 0  # of a context; 0: not recorded

    @property
    def trained(self) -> int:
        """Iterations of the training."""
        return self.config.ppo.iterations


def worked_out(given: argparse.Namespace, data: str, memory: int, seed: int) -> None:
    """Train in one world, unless there is a record."""
    out: Path = given.out
    config = replace(CONFIG, ppo=replace(CONFIG.ppo, iterations=given.iterations))
    path = out / f"{_name(data, memory, seed, given.iterations)}.json"
    if path.is_file():
        return
    journey = with_memory(data_region(data, given.runs)[0], memory)
    world = Simulation(reference_world(journey))
    told = partial(say, f"[{path.stem}]")
    policy, attempts = best_of(world, config, None, told, first=seed)
    found = true_returns(journey, policy, config.scored).value
    record = ObservedRecord(
        data=data,
        value=float(found.mean()),
        stderr=stderr(found),
        seconds=sum(one.seconds for one in attempts),
        config=config,
        memory=memory,
        seed=seed,
        columns=len(world.spec.columns),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_record(record, path)


def _name(data: str, memory: int, seed: int, iterations: int) -> str:
    """Of a record's file: the data, and what is not as in the first record."""
    asked = (("memory", memory, 0), ("seed", seed, 0), ("iterations", iterations, ITERATIONS))
    return "-".join([data, *(f"{word}-{value}" for word, value, usual in asked if value != usual)])


def main(arguments: list[str]) -> None:
    """Train where there is no record yet, then tell what is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["reference"], metavar="NAME")
    parser.add_argument("--memory", nargs="+", type=int, default=[0], help="last bins told apart")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the trainings")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="of each training")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/observed"), help="of the stages")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for data, seed, memory in product(given.data, given.seeds, given.memory):
            worked_out(given, data, memory, seed)
    lines = []
    records = [read_record(path, ObservedRecord) for path in given.out.glob("*.json")]
    for one in sorted(records, key=lambda one: (one.data, one.trained, one.memory, one.seed)):
        known = attainable()[one.data]
        values = [f"{known.drip:.1f}", f"{one.value:.1f} ± {1.96 * one.stderr:.1f}"]
        share = f"{known.of(one.value):.0%}"
        asked = [one.data, str(one.trained), str(one.memory), str(one.seed)]
        lines.append([*asked, *values, f"{known.oracle:.1f}", share, f"{one.seconds:.0f}"])
    head = ["world", "iterations", "memory, bins", "seed", "drip", "by the features"]
    head += ["oracle, sees the hidden state", "share of lift", "seconds"]
    print(markdown_table(head, lines))


if __name__ == "__main__":
    main(sys.argv[1:])
