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
from experiments.learners.truth import context_of, stderr, true_returns
from experiments.leash.picture import draw
from experiments.leash.table import report
from nurture_rl.appraisal.estimation import evaluate_policies
from nurture_rl.appraisal.region_choice import ChosenRegion, RegionSize
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.policy_stage import learned_policy, policy_by_evidence
from nurture_rl.workflow.region_stage import chosen_region, first_training, inside
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.training import REGION, Training

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
REFERENCE, AUTO, INSIDE = "drip", "auto", "auto, learned inside"
TRUTH_CONTACTS = 20_000


@dataclass(frozen=True, slots=True)
class Leashed:
    """One policy inside one trust region, the journey's unit per episode."""

    # A fixed ratio, `auto`, or as `auto` releases it: learned again inside the chosen region.
    asked: str
    size: RegionSize
    truth: float  # in the true world
    truth_stderr: float
    over_drip: float  # in truth, paired
    over_drip_stderr: float
    difference: float  # to the drip by the held-out contacts
    difference_stderr: float
    lower: float  # its bound, two-sided 95 %, for this policy alone
    ess: float  # effective sample size of the held-out contacts, episodes
    feasible: bool  # they carry the policy


@dataclass(frozen=True, slots=True)
class LeashRecord:
    """One learner on one log, learned without a region and held in several."""

    learner: str
    data: str  # of the config group
    contacts: int  # in the log, half of them held out
    seed: int  # of log and learner
    episodes: int  # held out
    chosen: ChosenRegion
    leashed: tuple[Leashed, ...]
    seconds: float  # of learning twice and choosing, by the clock


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
    for contacts, seed, learner in itertools.product(given.contacts, given.seeds, given.learners):
        name = f"{given.data}-{contacts}-{seed}-{learner}"
        path = given.out / f"{name}.json"
        if not path.is_file():
            say("[leash]", f"{name}: working")
            run = _settings(given, contacts, seed, learner)
            made = cell(run, given.data, learner, given.fixed, given.inside)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_record(made, path)


def cell(run: Settings, data: str, learner: str, fixed: list[float], again: bool) -> LeashRecord:
    """Learn without a region from half and from all of the training contacts, choose, and judge."""
    pipeline = Pipeline(run, partial(say, "[leash]"))
    journey, ingested, share = pipeline.journey, pipeline.ingested, run.run.data.held_out
    policy, seed = run.run.policies[learner], run.run.seeds.learner
    task = Training(policy, journey, ingested, None, share, seed, pipeline.say)
    began, config = time.monotonic(), run.learners[learner]
    first = first_training(task, None)
    half = learned_policy(pipeline.workshop, first, config)
    chooses = chosen_region(pipeline.workshop, task, half, pipeline.region_choice)
    found = read_record(chooses / REGION, ChosenRegion)
    full = learned_policy(pipeline.workshop, replace(first, held_out=share), config)
    seconds = time.monotonic() - began
    core = load_policy(full, journey)
    sizes = {f"{one:g}": RegionSize(one) for one in fixed} | {AUTO: found.size}
    policies = {asked: inside(task, core, size) for asked, size in sizes.items()}
    if again:
        given = (pipeline.workshop, task, config, pipeline.region_choice, None)
        policies[INSIDE] = load_policy(policy_by_evidence(*given), journey)
        sizes[INSIDE] = found.size
    drip = build_policy(REFERENCE, context_of(journey))
    log = held_out_log(load_decisions(ingested, journey, share), journey)
    judge = replace(run.evaluation, estimators=("dr", "snips", "ips"), preferred="dr")
    rng = np.random.default_rng(run.run.seeds.evaluation)
    judged = evaluate_policies(log, {REFERENCE: drip, **policies}, REFERENCE, rng, judge)
    of_drip = true_returns(journey, drip, TRUTH_CONTACTS).value
    rows = []
    for asked, size in sizes.items():
        told = judged.policies[asked]
        assert told.difference is not None
        truth = true_returns(journey, policies[asked], TRUTH_CONTACTS).value
        rows.append(
            Leashed(
                asked=asked,
                size=size,
                truth=float(truth.mean()),
                truth_stderr=stderr(truth),
                over_drip=float((truth - of_drip).mean()),
                over_drip_stderr=stderr(truth - of_drip),
                difference=told.difference.value,
                difference_stderr=told.difference.stderr,
                lower=told.difference.interval.lower,
                ess=told.overlap.ess,
                feasible=told.overlap.feasible,
            )
        )
    return LeashRecord(
        learner=learner,
        data=data,
        contacts=run.run.data.contacts,
        seed=run.run.seed,
        episodes=judged.n_episodes,
        chosen=found,
        leashed=tuple(rows),
        seconds=seconds,
    )


def _settings(given: argparse.Namespace, contacts: int, seed: int, learner: str) -> Settings:
    register_schemas()
    words = [f"data={given.data}", f"data.contacts={contacts}", f"policy={learner}"]
    words += [f"seed={seed}", f"runs={given.runs}", "workers=1", f"data.trust.max_ratio={AUTO}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("train", overrides=words))


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", nargs="+", default=["cql"], metavar="NAME")
    parser.add_argument("--data", default="reference", metavar="NAME")
    parser.add_argument("--contacts", type=int, nargs="+", default=[5000], help="in a log")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--fixed", type=float, nargs="+", default=[3.0, 4.0], help="ratios beside")
    parser.add_argument("--inside", action="store_true", help="learn again in the chosen region")
    parser.add_argument("--report", action="store_true", help="work out nothing, tell and draw")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--picture", type=Path, default=HERE / "leash.png")
    parser.add_argument("--runs", type=Path, default=Path("runs/leash"), help="of the stages")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"leash: {error}")
