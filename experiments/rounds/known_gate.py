"""Rounds whose gate knows the truth: what the rest of the loop reaches when no answer is wrong.

An upper bound, never shipped: nobody has such a gate.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.progress import say
from experiments.learners.truth import FloatArray, stderr, true_returns
from experiments.rounds.cell import CONFIGS, CONTACTS, ROUNDS
from experiments.rounds.shares import attainable
from nurture_envs.journey import Journey
from nurture_rl.codec import read_record, write_record
from nurture_rl.policies.build import build_policy
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.learn import context_beside
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.rounds.one_round import RoundPipeline
from nurture_rl.workflow.rounds.pooled_log import pooled_log
from nurture_rl.workflow.rounds.round_log import logged_round
from nurture_rl.workflow.rounds.round_verdict import Programme, unexplored
from nurture_rl.workflow.rounds.rounds_config import RoundsConfig, settings_of_round, start_of
from nurture_rl.workflow.rounds.rounds_verb import checked_rounds
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.stages import code_hash
from nurture_rl.workflow.stages_folder import stages_of

HERE = Path(__file__).parent
OUT = HERE / "known_gate"
_TRUTH = 20_000  # contacts on which the gate and the tables read the truth


def _learns(name: str) -> tuple[str, ...]:
    return ("~policies.cql", f"+policy@policies.{name}={name}")


# What each does otherwise than `nurture rounds`.
ARMS: Mapping[str, tuple[str, ...]] = {
    "as it is": (),
    "ratio 8": ("data.trust.max_ratio=8",),
    "no region": ("data.trust.max_ratio=1e6", "data.trust.explore=0.0"),
    "less exploration": ("rounds.exploration=[0.35,0.35,0.25,0.15,0.15]",),
    "dqn": _learns("dqn"),
    "bcq": _learns("bcq"),
    "fqi": _learns("fqi"),
    "ppo": _learns("ppo"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One round, true values in the journey's unit per contact, without exploration."""

    programme: float  # that ran
    challenger: float
    stderr: float  # of the challenger's
    released: bool


@dataclass(frozen=True, slots=True)
class KnownGateRecord:
    """A programme whose gate knows the truth."""

    data: str
    arm: str  # of `ARMS`
    seed: int
    steps: tuple[Step, ...]
    end: float  # of what runs after the last round
    seconds: float  # by the clock
    code: str  # hash of the packages


def worked_out(out: Path, runs: Path, data: str, arm: str, seed: int) -> None:
    """One programme, unless it has a record."""
    path = out / f"{data}-{arm.replace(' ', '_')}-{seed}.json"
    if path.is_file():
        return
    began = time.monotonic()
    words = [f"data={data}", f"seed={seed}", f"runs={runs}", "workers=1", *ARMS[arm]]
    words += [f"rounds.count={ROUNDS}", f"rounds.contacts={CONTACTS}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("rounds", overrides=words)
    steps, end = _rounds(*checked_rounds(config), partial(say, f"[{path.stem}]"))
    seconds = round(time.monotonic() - began, 1)
    out.mkdir(parents=True, exist_ok=True)
    write_record(KnownGateRecord(data, arm, seed, steps, end, seconds, code_hash()), path)


def _rounds(checked: Settings, logging: Any, told: Any) -> tuple[tuple[Step, ...], float]:
    run = checked.run
    assert isinstance(run, RoundsConfig)
    start, asked = start_of(run.rounds, logging), run.rounds
    learner = next(name for name, one in run.policies.items() if one.learner != "none")
    shop, journey = Pipeline(checked, told).workshop, Pipeline(checked, told).journey
    worth: dict[str, FloatArray] = {}

    def of(spec: Any) -> FloatArray:
        key = json.dumps(spec, sort_keys=True)
        if key not in worth:
            worth[key] = _true_values(spec, shop.root, journey)
        return worth[key]

    programme, logs, steps = start.programme, [], []
    for place in range(asked.count):
        ran = start.explored(programme.spec, place, programme)
        given = (place + 1, asked.contacts, ran, run.seeds.log)
        logs.append(logged_round(shop, run.data, journey, *given))
        pooled = pooled_log(shop, journey, logs, asked.earlier, run.data.held_out)
        of_round = settings_of_round(checked, start, place, programme)
        of_round = replace(of_round, run=replace(of_round.run, policies=_only(of_round, learner)))
        folder = RoundPipeline(of_round, told, pooled=pooled).policies[learner]
        challenger = Programme(f"{learner} of round {place + 1}", unexplored(folder))
        before, after = of(programme.spec), of(challenger.spec)
        released = bool((after - before).mean() > 0.0)
        steps.append(
            Step(float(before.mean()), float(after.mean()), stderr(after), released),
        )
        told(f"round {place + 1}: {steps[-1]}")
        programme = challenger if released else programme
    return tuple(steps), float(of(programme.spec).mean())


def _only(run: Settings, learner: str) -> dict[str, Any]:
    """Nobody is judged, so nobody else is needed."""
    return {learner: run.run.policies[learner]}


def _true_values(spec: Any, runs: Path, journey: Journey) -> FloatArray:
    policy = build_policy(spec, context_beside(stages_of(runs), journey))
    return true_returns(journey, policy, _TRUTH).value


def table(records: list[KnownGateRecord]) -> str:
    """What each programme reached."""
    head = ("world", "rounds with", "seed", "by round", "true value in the end", "share of lift")
    lines = []
    for one in records:
        known = attainable().get(one.data)
        share = "" if known is None else f"{known.of(one.end):.0%}"
        path = ", ".join(f"{step.programme:.1f}" for step in one.steps)
        lines.append([one.data, one.arm, str(one.seed), path, f"{one.end:.1f}", share])
    return markdown_table(head, lines)


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, then tell what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=["reference"], metavar="NAME")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[100])
    parser.add_argument("--report", action="store_true", help="work out nothing")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/known_gate"), help="of the stages")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        register_schemas()
        with threadpool_limits(1):
            for seed in given.seeds:
                for data in given.data:
                    for arm in given.arms:
                        worked_out(given.out, given.runs, data, arm, seed)
    print(table([read_record(one, KnownGateRecord) for one in sorted(given.out.glob("*.json"))]))


if __name__ == "__main__":
    main(sys.argv[1:])
