"""What a policy is worth that was learned from a log whose people are mixed up."""

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
from experiments.identity_error.mixed_up import MERGED, SPLIT, mixed_up, remove
from experiments.identity_error.table import value_picture, value_table
from experiments.learners.truth import context_of, drip_values, true_returns
from nurture_rl.appraisal.estimation import evaluate_policies
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import NurtureError
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.reference_log import play_log
from nurture_rl.workflow.refusals import refusals
from nurture_rl.workflow.settings_schema import register_schemas

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
REFERENCE = "drip"
TRUTH_CONTACTS = 10_000
_MAX_REFUSED = 0.5  # what two people as one make impossible is set aside, and counted
SHARES = (0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """One learner on one log with some people mistaken; EUR per lead."""

    learner: str
    contacts: int  # in the log, half of them held out
    seed: int  # of log, learner and of who is mistaken
    how: str  # `none`, `split` or `merged`
    share: float  # of the people who are mistaken
    mistaken: int
    over_drip: float  # of the released policy in truth, where nobody is mistaken
    truth: float  # of the released policy, likewise
    difference: float  # over the drip by the held-out contacts of the mixed-up log
    difference_stderr: float
    logged: float  # what the held-out contacts brought, by that log
    episodes: int  # held out
    refused: int  # decisions that cannot be used
    seconds: float


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learner", default="linear_thompson")
    parser.add_argument("--contacts", type=int, default=3000, help="in each log")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--report", action="store_true", help="work out nothing")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/identity_error"))
    parser.add_argument("--picture", type=Path, default=HERE / "identity-error.png")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            for seed in given.seeds:
                work_out(given, seed)
    records = [read_record(one, ErrorRecord) for one in sorted(given.out.glob("*.json"))]
    print(value_table(records))
    given.picture.write_bytes(value_picture(records))


def work_out(given: argparse.Namespace, seed: int) -> None:
    """Every cell of a seed that has no record yet."""
    cells = [("none", 0.0), *itertools.product((SPLIT, MERGED), given.shares)]
    for how, share in cells:
        name = f"{given.contacts}-{seed}-{given.learner}-{how}-{share:g}"
        path = given.out / f"{name}.json"
        if path.is_file():
            continue
        say("[identity]", f"{name}: working")
        began = time.monotonic()
        log, mixed = given.runs / f"log-{given.contacts}-{seed}", given.runs / "mixed" / name
        if not (log / "tables").is_dir():
            run = _settings(given, seed)
            log.mkdir(parents=True, exist_ok=True)
            pipeline = Pipeline(run, partial(say, "[identity]"))
            play_log(pipeline.say, run.run.data, pipeline.journey, seed, log)
        mistaken = mixed_up(log / "tables", mixed, how, share, seed)
        found = _judged(
            _settings(given, seed, "data.source=folder", f"data.path={mixed}"), given.learner
        )
        remove(mixed)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = replace(
            found,
            contacts=given.contacts,
            seed=seed,
            how=how,
            share=share,
            mistaken=mistaken,
            seconds=round(time.monotonic() - began, 1),
        )
        write_record(found, path)


def _judged(run: Settings, learner: str) -> ErrorRecord:
    """Learn from a log, and ask the truth and the log's held-out contacts what it is worth."""
    pipeline = Pipeline(run, partial(say, "[identity]"))
    journey = pipeline.journey
    policy = load_policy(pipeline.policies[learner], journey)
    drip = build_policy(REFERENCE, context_of(journey))
    decisions = load_decisions(pipeline.ingested, journey, run.run.data.held_out)
    log = held_out_log(decisions, journey)
    judge = replace(run.evaluation, estimators=("dr", "snips", "ips"), preferred="dr")
    rng = np.random.default_rng(run.run.seeds.evaluation)
    told = evaluate_policies(log, {REFERENCE: drip, learner: policy}, REFERENCE, rng, judge)
    asked = told.policies[learner].difference
    assert asked is not None
    truth = true_returns(journey, policy, TRUTH_CONTACTS).value
    over = truth - drip_values(journey.name, TRUTH_CONTACTS)
    episodes = len(np.unique(log.episode))
    return ErrorRecord(
        learner=learner,
        contacts=0,
        seed=0,
        how="",
        share=0.0,
        mistaken=0,
        over_drip=float(over.mean()),
        truth=float(truth.mean()),
        difference=asked.value,
        difference_stderr=asked.stderr,
        logged=float(log.reward.sum() / episodes),
        episodes=episodes,
        refused=sum(one.table == "decisions" for one in refusals(pipeline.ingested / "tables")),
        seconds=0.0,
    )


def _settings(given: argparse.Namespace, seed: int, *data: str) -> Settings:
    register_schemas()
    asked = [
        "data=reference",
        *data,
        f"policy={given.learner}",
        f"seed={seed}",
        f"runs={given.runs}",
    ]
    asked += [f"data.contacts={given.contacts}", f"data.max_refused={_MAX_REFUSED}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("train", overrides=asked))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"identity_error: {error}")
