"""What each learner's policy is truly worth: near the log, as it would be released, and alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import Returns, returns
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.stages import Say, code_hash

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PROGRAMS = ("no_contact", "random", "logging", "drip", "rules", "expert")  # what nobody learns
TRUTH_SEED = 900_001  # of the contacts played: nobody was trained on them


@dataclass(frozen=True, slots=True)
class Measured:
    """A policy in the true world."""

    value: float  # the journey's unit per episode
    stderr: float
    over_drip: float  # paired, on the same contacts and luck
    over_drip_stderr: float
    amounts: Mapping[str, float]  # by channel of the journey, per episode


@dataclass(frozen=True, slots=True)
class LearnerRecord:
    """One learner on one log."""

    learner: str
    data: str  # of the config group
    contacts: int  # in the log; a part of them is held out and never learned from
    seed: int  # of log, world and learner
    unit: str
    released: Measured  # held near the log, as its configuration says
    alone: Measured | None  # the learned part by itself; None where nothing is learned
    seconds: float  # of the stage that learns, by the clock
    code: str  # hash of the packages


def cell_settings(learner: str, data: str, contacts: int, seed: int, runs: Path) -> Settings:
    """The settings of one training."""
    register_schemas()
    asked = [f"data={data}", f"data.contacts={contacts}", f"policy={learner}"]
    asked += [f"seed={seed}", f"runs={runs}", "workers=1"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return settings(compose("train", overrides=asked))


def recorded(
    out: Path, cell: tuple[str, str, int, int], runs: Path, played: int, say: Say
) -> LearnerRecord:
    """The record of a cell: the one in the folder, or one made now.

    Args:
        out: folder of records.
        cell: learner, data, contacts and seed.
        runs: of logs, worlds and policies, which cells share.
        played: contacts in the true world.
        say: is told what is done.
    """
    learner, data, contacts, seed = cell
    path = out / f"{data}-{contacts}-{seed}-{learner}.json"
    if not path.is_file():
        say(f"{learner} on {data}, {contacts} contacts, seed {seed}")
        made = worked_out(cell, runs, played, lambda line: None)
        out.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, (json.dumps(asdict(made), indent=1) + "\n").encode())
    return read_record(path)


def worked_out(cell: tuple[str, str, int, int], runs: Path, played: int, say: Say) -> LearnerRecord:
    """Train, and play in the true world."""
    learner, data, contacts, seed = cell
    pipeline = Pipeline(cell_settings(learner, data, contacts, seed, runs), say)
    journey, began = pipeline.journey, time.monotonic()
    folder = pipeline.policies[learner]
    seconds = json.loads((folder / "stage.json").read_text("utf-8"))["seconds"]
    core = load_core(folder, journey)
    say(f"trained after {time.monotonic() - began:.0f} s")
    return LearnerRecord(
        learner=learner,
        data=data,
        contacts=contacts,
        seed=seed,
        unit=journey.reward.unit,
        released=measured(journey, load_policy(folder, journey), played),
        alone=None if core is None else measured(journey, core, played),
        seconds=seconds,
        code=code_hash(),
    )


def measured(journey: Journey, policy: Policy, played: int) -> Measured:
    """Play a policy in the true world, on the contacts and luck that the drip meets too."""
    truth = Simulation(reference_world(journey))
    found = returns(truth, policy, played, TRUTH_SEED)
    over = found.value - _drip(journey.name, played).value
    return Measured(
        value=float(found.value.mean()),
        stderr=_stderr(found.value),
        over_drip=float(over.mean()),
        over_drip_stderr=_stderr(over),
        amounts=dict(zip(journey.channels, found.amounts.mean(axis=0).tolist(), strict=True)),
    )


@lru_cache(maxsize=4)
def _drip(name: str, played: int) -> Returns:
    journey = load_journey(name)
    context = PolicyContext(journey, ActionCatalog.of(journey), FeatureSpec.of(journey))
    truth = Simulation(reference_world(journey))
    return returns(truth, build_policy("drip", context), played, TRUTH_SEED)


def _stderr(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def read_record(path: Path) -> LearnerRecord:
    """A record as it was written."""
    found = json.loads(path.read_text("utf-8"))
    for part in ("released", "alone"):
        found[part] = None if found[part] is None else Measured(**found[part])
    return LearnerRecord(**found)


def records_in(folder: Path) -> Sequence[LearnerRecord]:
    """Every record of a folder."""
    return [read_record(path) for path in sorted(folder.glob("*.json"))]
