"""What is lost in the true world when rules take the place of a learned policy."""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.distilled.picture import draw
from experiments.distilled.table import report
from experiments.learners.truth import context_of, stderr, true_returns
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.composition import unheld
from nurture_rl.policies.distilled_rules import RuleListSize
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.distilling import distil
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.learned_from_log import training_log
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.training import Training

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
DRIP, RELEASED, ALONE = "drip", "as released", "alone"
CONDITIONS, LEAST = 2, 0.003  # as `nurture distil` has them


@dataclass(frozen=True, slots=True)
class DistilledRow:
    """One policy in the true world, the journey's unit per episode."""

    policy: str  # the drip, the policy as released and alone, or rules made of it
    rules: int | None  # of a list of rules
    fidelity: float | None  # share of held-out decisions that rules take as the policy alone does
    at_stake: float | None  # the same weighted by what is at stake
    truth: float
    truth_stderr: float
    less_alone: float  # than the policy alone, paired
    less_alone_stderr: float


@dataclass(frozen=True, slots=True)
class DistilledRecord:
    """One learner on one log, and rules of several lengths made of it."""

    learner: str
    data: str  # of the config group
    contacts: int  # in the log
    seed: int  # of log and learner
    played: int  # contacts in the true world
    rows: tuple[DistilledRow, ...]


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, print the table and draw the picture."""
    given = _parsed(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            work_out(given)
    records = [read_record(one, DistilledRecord) for one in sorted(given.out.glob("*.json"))]
    print(report(records))
    draw(records, given.picture)


def work_out(given: argparse.Namespace) -> None:
    """Every cell that has no record yet."""
    for seed, data, learner in itertools.product(given.seeds, given.data, given.learners):
        path = given.out / f"{data}-{given.contacts}-{seed}-{learner}.json"
        if not path.is_file():
            say("[distilled]", f"{path.stem}: working")
            run = _settings(given, data, seed, learner)
            made = cell(run, data, learner, given.sizes, given.played)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_record(made, path)


def cell(run: Settings, data: str, learner: str, sizes: list[int], played: int) -> DistilledRecord:
    """Learn, make rules, and play all of them on the same contacts with the same luck."""
    pipeline = Pipeline(run, partial(say, "[distilled]"))
    journey, ingested, share = pipeline.journey, pipeline.ingested, run.run.data.held_out
    policy = load_policy(pipeline.policies[learner], journey)
    seed, settings_of = run.run.seeds.learner, run.run.policies[learner]
    log = training_log(Training(settings_of, journey, ingested, None, share, seed, pipeline.say))
    held_out = held_out_log(load_decisions(ingested, journey, share), journey)
    base = true_returns(journey, unheld(policy), played).value

    def row(name: str, values: np.ndarray, *about: float | None) -> DistilledRow:
        rules, fidelity, at_stake = about or (None, None, None)
        number = None if rules is None else int(rules)
        less = values - base
        lost = (float(less.mean()), stderr(less))
        return DistilledRow(
            name, number, fidelity, at_stake, float(values.mean()), stderr(values), *lost
        )

    drip = build_policy(DRIP, context_of(journey))
    rows = [
        row(DRIP, true_returns(journey, drip, played).value),
        row(RELEASED, true_returns(journey, policy, played).value),
        row(ALONE, base),
    ]
    for most in sizes:
        size = RuleListSize(most, CONDITIONS, LEAST)
        made = distil(policy, journey, log, held_out, size, np.random.default_rng(seed))
        about = (len(made.spec["rules"]), made.fidelity.alike.value, made.fidelity.at_stake.value)
        values = true_returns(journey, made.rules, played).value
        rows.append(row(f"at most {most} rules", values, *about))
    held = true_returns(journey, made.held, played).value
    rows.append(row(f"at most {most} rules, held", held, *about))
    return DistilledRecord(learner, data, run.run.data.contacts, run.run.seed, played, tuple(rows))


def _settings(given: argparse.Namespace, data: str, seed: int, learner: str) -> Settings:
    register_schemas()
    words = [f"data={data}", f"data.contacts={given.contacts}", f"policy={learner}"]
    words += [f"seed={seed}", f"runs={given.runs}", "workers=1"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("train", overrides=words))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", nargs="+", default=["fqi", "epsilon_greedy"], metavar="NAME")
    parser.add_argument("--data", nargs="+", default=["reference", "re_engagement"], metavar="NAME")
    parser.add_argument("--contacts", type=int, default=6000, help="in a log")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[4, 8, 16], help="most rules")
    parser.add_argument("--played", type=int, default=5000, help="contacts in the true world")
    parser.add_argument("--report", action="store_true", help="work out nothing, tell and draw")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--picture", type=Path, default=HERE / "distilled.png")
    parser.add_argument("--runs", type=Path, default=Path("runs/distilled"), help="of the stages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"distilled: {error}")
