"""What memory is truly worth to a learner, from one log of inbound leads."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.progress import say
from experiments.learners.truth import drip_values, stderr, true_returns
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import NurtureError
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
JOURNEYS = {"as shipped": "inbound_lead", "7 days": str(HERE / "remembering.yaml")}
LEARNERS = ("return_conditioned", "decision_transformer", "dqn", "cql")
TRUTH_CONTACTS = 20_000


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """One learner on one log, with or without memory; EUR per lead, differences paired."""

    learner: str
    memory: str  # of `JOURNEYS`
    contacts: int  # in the log, half of them held out
    seed: int  # of log and learner
    columns: int  # features of a context
    held_out_loss: float | None  # nats, where the learner imitates
    alone: float  # in the true world, without the trust region
    alone_stderr: float
    alone_over_drip: float
    alone_over_drip_stderr: float
    released: float  # in the true world, as it would be released
    released_stderr: float
    seconds: float  # of learning and playing, by the clock


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), metavar="NAME")
    parser.add_argument("--contacts", type=int, default=5000, help="in the log")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true", help="work out nothing, print the table")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/memory"), help="of the stages")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            for learner in given.learners:
                for memory in JOURNEYS:
                    recorded(given, learner, memory)
    print(report([read_record(one, MemoryRecord) for one in sorted(given.out.glob("*.json"))]))


def recorded(given: argparse.Namespace, learner: str, memory: str) -> None:
    """One cell, unless it has a record."""
    days = memory.replace(" ", "-")
    path = given.out / f"{given.contacts}-{given.seed}-{learner}-{days}.json"
    if path.is_file():
        return
    say("[memory]", f"{learner}, {memory}: working")
    began = time.monotonic()
    register_schemas()
    asked = ["data=reference", f"data.journey={JOURNEYS[memory]}", f"policy={learner}"]
    asked += [f"data.contacts={given.contacts}", f"seed={given.seed}", f"runs={given.runs}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        pipeline = Pipeline(settings(compose("train", overrides=asked)), partial(say, "[memory]"))
    folder, journey = pipeline.policies[learner], pipeline.journey
    core = load_core(folder, journey)
    assert core is not None, f"{learner} learns a core"
    alone = true_returns(journey, core, TRUTH_CONTACTS).value
    released = true_returns(journey, load_policy(folder, journey), TRUTH_CONTACTS).value
    over = alone - drip_values(journey.name, TRUTH_CONTACTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = MemoryRecord(
        learner=learner,
        memory=memory,
        contacts=given.contacts,
        seed=given.seed,
        columns=len(core.columns),
        held_out_loss=core.fit.get("held_out_loss"),
        alone=float(alone.mean()),
        alone_stderr=stderr(alone),
        alone_over_drip=float(over.mean()),
        alone_over_drip_stderr=stderr(over),
        released=float(released.mean()),
        released_stderr=stderr(released),
        seconds=time.monotonic() - began,
    )
    write_record(found, path)


def report(records: list[MemoryRecord]) -> str:
    """The table of the page."""
    heads = ["learner", "memory", "columns", "log loss, nats", "alone, EUR", "over the drip"]
    return markdown_table([*heads, "released, EUR", "seconds"], _rows(records))


def _rows(records: list[MemoryRecord]) -> Iterator[list[str]]:
    for one in records:
        loss = "" if one.held_out_loss is None else f"{one.held_out_loss:.3f}"
        yield [
            f"`{one.learner}`",
            one.memory,
            str(one.columns),
            loss,
            f"{one.alone:.1f} ± {one.alone_stderr:.1f}",
            f"{one.alone_over_drip:+.1f} ± {one.alone_over_drip_stderr:.1f}",
            f"{one.released:.1f} ± {one.released_stderr:.1f}",
            f"{one.seconds:.0f}",
        ]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"memory: {error}")
