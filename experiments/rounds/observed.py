"""What the observed features can give: PPO that learns in the true world itself, without a log.

It sees what every policy sees and nothing of the hidden state. No optimum is proved: a longer
training or a policy with a memory may reach more.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.progress import say
from experiments.learners.oracle import OracleConfig, best_of
from experiments.learners.study import data_region
from experiments.learners.truth import stderr, true_returns
from experiments.rounds.shares import attainable
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.codec import read_record, write_record
from nurture_rl.rl.ppo import PPOConfig

OUT = Path(__file__).parent / "observed"
# As the oracle of inbound leads was trained, ten iterations longer.
CONFIG = OracleConfig(
    ppo=PPOConfig(
        iterations=50,
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


def worked_out(out: Path, runs: Path, data: str) -> None:
    """Train in one world, unless there is a record."""
    path = out / f"{data}.json"
    if path.is_file():
        return
    journey, _ = data_region(data, runs)
    world = Simulation(reference_world(journey))
    policy, attempts = best_of(world, CONFIG, None, partial(say, f"[{data}]"))
    found = true_returns(journey, policy, CONFIG.scored).value
    seconds = sum(one.seconds for one in attempts)
    out.mkdir(parents=True, exist_ok=True)
    write_record(ObservedRecord(data, float(found.mean()), stderr(found), seconds, CONFIG), path)


def main(arguments: list[str]) -> None:
    """Train where there is no record yet, then tell what is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["reference"], metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/observed"), help="of the stages")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for data in given.data:
            worked_out(given.out, given.runs, data)
    lines = []
    for path in sorted(given.out.glob("*.json")):
        one = read_record(path, ObservedRecord)
        known = attainable()[one.data]
        values = [f"{known.drip:.1f}", f"{one.value:.1f} ± {1.96 * one.stderr:.1f}"]
        lines.append([one.data, *values, f"{known.oracle:.1f}", f"{known.of(one.value):.0%}"])
    head = ("world", "drip", "by the features", "oracle, sees the hidden state", "share of lift")
    print(markdown_table(head, lines))


if __name__ == "__main__":
    main(sys.argv[1:])
