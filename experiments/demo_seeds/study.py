"""The whole loop over several seeds: what each seed's run found, kept as one record a seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nurture_rl.errors import ConfigError
from nurture_rl.logs.atomic import atomic_write_bytes
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.gap import gap_verdict
from nurture_rl.workflow.judges import Evaluated, read_evaluated
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.stages import Say

_OF_A_SEED = ("seed", "seeds", "runs", "tracking_uri")  # settings in which records may differ


@dataclass(frozen=True, slots=True)
class Paired:
    """The truth of a policy less that of another on the same contacts and luck."""

    value: float
    lower: float  # of 95 %
    upper: float


@dataclass(frozen=True, slots=True)
class SeedPolicy:
    """One policy in one seed's run, the journey's unit per episode."""

    truth: float
    truth_lower: float  # of 95 %
    truth_upper: float
    difference: float  # truth less the reference's, on the same contacts and luck
    difference_lower: float
    difference_upper: float
    over_bar: Paired | None  # truth less the bar's, alike; None: it is the bar, or there is none
    world: float  # mean over the learned world's members
    verdict: str  # of the off-policy evaluation


@dataclass(frozen=True, slots=True)
class SeedRecord:
    """What a run of the whole loop found, with one seed for its log and its learners."""

    seed: int
    unit: str
    reference: str
    learned: tuple[str, ...]  # what the gate could choose from
    policies: Mapping[str, SeedPolicy]
    gate: Mapping[str, Any]  # the gate's own record
    trust: str  # what the learned world may be trusted for
    settings: str  # hash of every setting but the seed

    @property
    def bar(self) -> str | None:
        """The program that the run's gate took for the bar; None where there was none."""
        name = self.gate["bar"]["name"]
        return None if name is None else str(name)


def recorded(
    folder: Path, checked: Settings, say: Say, make: Callable[[Settings, Say], SeedRecord]
) -> SeedRecord:
    """The record of a seed: the one in the folder, or that of a run made now.

    Raises:
        ConfigError: the folder holds a record of other settings.
    """
    seed = checked.run.seed
    path = folder / f"seed-{seed}.json"
    if not path.is_file():
        say(f"seed {seed}: working")
        text = json.dumps(asdict(make(checked, say)), indent=1) + "\n"
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, text.encode())
        say(f"seed {seed}: recorded in {path}")
        return read_record(path)
    found = read_record(path)
    if found.settings != settings_hash(checked):
        raise ConfigError(
            f"{path} is of other settings ({found.settings}, these are {settings_hash(checked)}); "
            "give another folder with --out, or remove it"
        )
    say(f"seed {seed}: recorded before, using {path}")
    return found


def read_record(path: Path) -> SeedRecord:
    """A record as `recorded` wrote it.

    Raises:
        ConfigError: the file holds no such record.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        policies = {name: _policy_of(one) for name, one in data.pop("policies").items()}
        found = SeedRecord(**{**data, "learned": tuple(data["learned"]), "policies": policies})
        if found.bar not in {None, *policies}:
            raise KeyError(found.bar)
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: expected the record of one seed, got {type(error).__name__}: {error}; "
            "remove it and run the seed again"
        ) from error


def _policy_of(data: Mapping[str, Any]) -> SeedPolicy:
    over = data["over_bar"]
    return SeedPolicy(**{**data, "over_bar": None if over is None else Paired(**over)})


def run_of_seed(checked: Settings, say: Say) -> SeedRecord:
    """Run the whole loop and keep what it found.

    Raises:
        ConfigError: the truth is not known, for the log is not the reference world's.
    """
    pipeline = Pipeline(checked, say)
    if checked.run.data.source != "reference":
        raise ConfigError(
            f"data.source: expected reference, got {checked.run.data.source!r}; without a known "
            "truth nobody can say how often the gate was right"
        )
    gate = json.loads((pipeline.released / "gate.json").read_text("utf-8"))
    found = read_evaluated(pipeline.evaluated)
    evaluation = found.appraisal.evaluation
    return SeedRecord(
        seed=checked.run.seed,
        unit=pipeline.journey.reward.unit,
        reference=evaluation.reference,
        learned=found.appraisal.candidates,
        policies={name: _policy(found, name) for name in evaluation.policies},
        gate=gate,
        trust=gap_verdict(pipeline.gap).trust.value,
        settings=settings_hash(checked),
    )


def _policy(found: Evaluated, name: str) -> SeedPolicy:
    assert found.truth is not None, "the log is the reference world's, so the truth is known"
    true = found.truth.policies[name]
    over = true.over_bar
    return SeedPolicy(
        truth=true.value,
        truth_lower=true.lower,
        truth_upper=true.upper,
        difference=true.difference,
        difference_lower=true.difference_lower,
        difference_upper=true.difference_upper,
        over_bar=None if over is None else Paired(over.value, over.lower, over.upper),
        world=found.simulator.policies[name].value,
        verdict=found.appraisal.verdict_on(name).value,
    )


def settings_hash(checked: Settings) -> str:
    """Hash of every setting but those that differ between the seeds of one study."""
    kept = {key: value for key, value in checked.plain.items() if key not in _OF_A_SEED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]
