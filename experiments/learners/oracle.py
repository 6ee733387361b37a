"""The most that a journey's true world gives: policies trained in it that see the hidden state."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from experiments.learners.sighted import SightedSimulation, Unsighted
from experiments.learners.truth import TRUTH_SEED, FloatArray, Measured, measured, stderr
from nurture_envs.journey import Journey
from nurture_envs.rollout import returns
from nurture_envs.simulation import Simulation
from nurture_rl.codec import read_record, write_record
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import Policy
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from nurture_rl.workflow.stages import Say, code_hash

_CHOICE_SEED = 910_001  # of the contacts on which a training is chosen; nothing is scored on them
_TOLD = 20  # iterations between two lines of progress


@dataclass(frozen=True, slots=True)
class OracleConfig:
    """How an oracle is trained."""

    ppo: PPOConfig = field(
        default_factory=lambda: PPOConfig(
            iterations=100,
            n_contacts=2048,
            minibatches=32,
            learning_rate=2e-3,
            entropy=0.003,
            target_kl=0.03,
        )
    )
    restarts: int = 2  # trainings from other contacts and first weights; the best is kept
    choosing: int = 20_000  # contacts on which the best is chosen
    scored: int = 20_000  # contacts on which it and every policy are scored


@dataclass(frozen=True, slots=True)
class Attempt:
    """One training, on the contacts that the best is chosen on."""

    seed: int
    value: float  # the journey's unit per episode
    stderr: float
    seconds: float  # of the training, by the clock


@dataclass(frozen=True, slots=True)
class OracleRecord:
    """What is attainable in a journey."""

    data: str  # of the config group
    unit: str
    truth: Measured
    attempts: tuple[Attempt, ...]
    hidden: tuple[str, ...]  # what it sees beside the features
    config: OracleConfig
    digest: str  # of what each contact brought it: records name the oracle they were held against
    code: str  # hash of the packages


@dataclass(frozen=True, slots=True, eq=False)
class Oracle:
    """The oracle on the contacts that every policy is scored on."""

    record: OracleRecord
    value: FloatArray  # what each contact brought, [n]


@dataclass(frozen=True, slots=True)
class HeldOracleRecord:
    """What of it is attainable in the trust region: a policy that sees the hidden state as well."""

    data: str  # of the config group
    truth: Measured  # trained and played in the region
    attempts: tuple[Attempt, ...]
    config: OracleConfig
    oracle: str  # digest of the oracle that it was held against
    code: str  # hash of the packages


def oracle_of(data: str, journey: Journey, config: OracleConfig, folder: Path, say: Say) -> Oracle:
    """The oracle of a journey: the one in the folder, or one trained now.

    Args:
        data: of the config group.
        journey: of the data.
        config: how it is trained now; one that is there stays, however it was trained.
        folder: of records; what each contact brought lies beside them.
        say: is told what is done.
    """
    path, values = folder / f"oracle-{data}.json", folder / f"oracle-{data}.npz"
    if path.is_file() and values.is_file():
        kept = Oracle(read_record(path, OracleRecord), np.load(values)["value"])
        if kept.record.digest == _digest(kept.value):
            return kept
    world = SightedSimulation(journey)
    best, attempts = best_of(world, config, None, partial(_told, say, f"oracle of {data}"))
    found = returns(world, best, config.scored, TRUTH_SEED)
    record = OracleRecord(
        data=data,
        unit=journey.reward.unit,
        truth=measured(journey, found, found.value),
        attempts=attempts,
        hidden=world.spec.columns[world.plain :],
        config=config,
        digest=_digest(found.value),
        code=code_hash(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(values, value=found.value)
    write_record(record, path)
    return Oracle(record, found.value)


def held_oracle_of(
    oracle: Oracle, journey: Journey, region: Region, config: OracleConfig, out: Path, say: Say
) -> HeldOracleRecord:
    """What is attainable in the trust region: the record in the folder, or one made now.

    Args:
        oracle: of the journey.
        journey: of its data.
        region: in which policies are released there.
        config: how it is trained.
        out: folder of records.
        say: is told what is done.
    """
    data = oracle.record.data
    path = out / f"oracle-{data}-held.json"
    if path.is_file():
        kept = read_record(path, HeldOracleRecord)
        if kept.oracle == oracle.record.digest:
            return kept
    world = SightedSimulation(journey)
    blind = Region(Unsighted(region.anchor, world.plain), region.max_ratio, region.explore)
    told = partial(_told, say, f"oracle of {data} in the trust region")
    best, attempts = best_of(world, config, blind, told)
    found = returns(world, blind.around(best), config.scored, TRUTH_SEED)
    record = HeldOracleRecord(
        data=data,
        truth=measured(journey, found, oracle.value),
        attempts=attempts,
        config=config,
        oracle=oracle.record.digest,
        code=code_hash(),
    )
    write_record(record, path)
    return record


def best_of(
    world: Simulation, config: OracleConfig, region: Region | None, told: Say, first: int = 0
) -> tuple[Policy, tuple[Attempt, ...]]:
    """The best of several trainings by its value on the choosing contacts.

    Args:
        world: where they are trained and chosen.
        config: how often and how long.
        region: in which they are trained and played; None: they are free.
        told: is told of every training's progress.
        first: seed of the first training; the others follow.

    Returns:
        The policy without the region, and all trainings in order.
    """
    made: list[tuple[Policy, Attempt]] = []
    for seed in range(first, first + config.restarts):
        began = time.monotonic()
        policy = train_ppo(world, config.ppo, seed, partial(_progress, told, seed), region)
        seconds = round(time.monotonic() - began, 1)
        shown = policy if region is None else region.around(policy)
        value = returns(world, shown, config.choosing, _CHOICE_SEED).value
        attempt = Attempt(seed, float(value.mean()), stderr(value), seconds)
        told(f"training {seed} after {seconds:.0f} s: {attempt.value:.1f} +- {attempt.stderr:.1f}")
        made.append((policy, attempt))
    best, _ = max(made, key=lambda one: one[1].value)
    return best, tuple(attempt for _, attempt in made)


def _progress(told: Say, seed: int, iteration: int, metrics: dict[str, float]) -> None:
    if iteration % _TOLD == _TOLD - 1:
        mean = metrics["mean_episode_return"]
        told(f"training {seed}, iteration {iteration + 1}: {mean:.1f} an episode")


def _told(say: Say, of: str, line: str) -> None:
    say(f"{of}: {line}")


def _digest(value: FloatArray) -> str:
    return hashlib.sha256(value.tobytes()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Standard:
    """What the policies of a journey are held against."""

    oracle: OracleRecord
    held: HeldOracleRecord | None  # None: not worked out, or held against another oracle


def standards_in(folder: Path) -> dict[str, Standard]:
    """Every oracle of a folder of records, by data."""
    found = {}
    for path in sorted(folder.glob("oracle-*.json")):
        if path.stem.endswith("-held"):
            continue
        oracle = read_record(path, OracleRecord)
        inside = path.with_name(f"{path.stem}-held.json")
        held = read_record(inside, HeldOracleRecord) if inside.is_file() else None
        kept = held if held is not None and held.oracle == oracle.digest else None
        found[oracle.data] = Standard(oracle, kept)
    return found
