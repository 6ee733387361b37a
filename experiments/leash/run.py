"""What a policy is truly worth in a trust region of fixed size, and in one chosen by the log."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.progress import say
from experiments.learners.truth import FloatArray, context_of, stderr, true_returns
from experiments.leash.picture import draw
from experiments.leash.table import report
from nurture_rl.appraisal.estimation import evaluate_policies
from nurture_rl.appraisal.region_choice import ChosenRegion
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.training import REGION

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
REFERENCE = "drip"
TRUTH_CONTACTS = 20_000


@dataclass(frozen=True, slots=True)
class LeashRecord:
    """One learner on one log in one trust region."""

    learner: str
    data: str  # of the config group
    contacts: int  # in the log, half of them held out
    seed: int  # of log and learner
    asked: str  # of `data.trust.max_ratio`
    region: ChosenRegion | None  # what was chosen, and by which figures
    truth: float  # in the true world, the journey's unit per episode
    truth_stderr: float
    over_drip: float  # in truth, paired
    over_drip_stderr: float
    difference: float  # to the drip by the held-out contacts
    difference_stderr: float
    lower: float  # its bound, two-sided 95 %, for this policy alone
    ess: float  # effective sample size of the held-out contacts, episodes
    feasible: bool  # they carry the policy
    episodes: int  # held out
    seconds: float  # of the stages that learned and chose, by the clock


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, print the table and draw the picture."""
    given = _parsed(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            work_out(given)
    records = [read_record(one, LeashRecord) for one in sorted(given.out.glob("*.json"))]
    print(report(records))
    draw(records, given.picture)


def work_out(given: argparse.Namespace) -> None:
    """Every cell that has no record yet."""
    cells = itertools.product(given.contacts, given.seeds, given.learners, given.regions)
    for contacts, seed, learner, asked in cells:
        name = f"{given.data}-{contacts}-{seed}-{learner}-{asked}"
        path = given.out / f"{name}.json"
        if not path.is_file():
            say("[leash]", f"{name}: working")
            run = _settings(given, contacts, seed, learner, asked)
            made = cell(run, given.data, learner, asked, partial(say, "[leash]"))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_record(made, path)


def cell(run: Settings, data: str, learner: str, asked: str, told: object) -> LeashRecord:
    """Train, choose where that is asked for, and judge as the gate does."""
    pipeline = Pipeline(run, lambda line: None)
    journey, ingested = pipeline.journey, pipeline.ingested
    began = time.monotonic()
    folder = pipeline.policies[learner]
    policy = load_policy(folder, journey)
    chosen = folder / REGION
    seconds = time.monotonic() - began
    drip = build_policy(REFERENCE, context_of(journey))
    log = held_out_log(load_decisions(ingested, journey, run.run.data.held_out), journey)
    config = replace(run.evaluation, estimators=("dr", "snips", "ips"), preferred="dr")
    rng = np.random.default_rng(run.run.seeds.evaluation)
    found = evaluate_policies(log, {REFERENCE: drip, "asked": policy}, REFERENCE, rng, config)
    judged = found.policies["asked"]
    assert judged.difference is not None
    truth = true_returns(journey, policy, TRUTH_CONTACTS).value
    over: FloatArray = truth - true_returns(journey, drip, TRUTH_CONTACTS).value
    return LeashRecord(
        learner=learner,
        data=data,
        contacts=run.run.data.contacts,
        seed=run.run.seed,
        asked=asked,
        region=read_record(chosen, ChosenRegion) if chosen.is_file() else None,
        truth=float(truth.mean()),
        truth_stderr=stderr(truth),
        over_drip=float(over.mean()),
        over_drip_stderr=stderr(over),
        difference=judged.difference.value,
        difference_stderr=judged.difference.stderr,
        lower=judged.difference.interval.lower,
        ess=judged.overlap.ess,
        feasible=judged.overlap.feasible,
        episodes=found.n_episodes,
        seconds=seconds,
    )


def _settings(
    given: argparse.Namespace, contacts: int, seed: int, learner: str, asked: str
) -> Settings:
    register_schemas()
    words = [f"data={given.data}", f"data.contacts={contacts}", f"policy={learner}"]
    words += [f"seed={seed}", f"runs={given.runs}", "workers=1", f"data.trust.max_ratio={asked}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("train", overrides=words))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", nargs="+", default=["cql"], metavar="NAME")
    parser.add_argument("--data", default="reference", metavar="NAME")
    parser.add_argument("--contacts", type=int, nargs="+", default=[5000], help="in a log")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--regions", nargs="+", default=["4.0", "auto"], help="max_ratio")
    parser.add_argument("--report", action="store_true", help="work out nothing, tell and draw")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--picture", type=Path, default=HERE / "leash.png")
    parser.add_argument("--runs", type=Path, default=Path("runs/learners"), help="of the stages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"leash: {error}")
