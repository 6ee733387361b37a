"""What each learner's policy is truly worth: near the log, as it would be released, and alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hydra import compose, initialize_config_dir

from experiments.learners.judging import Judged, Judges, WorldMean
from experiments.learners.oracle import Oracle
from experiments.learners.truth import Measured, context_of, measured, true_returns
from nurture_envs.journey import Journey
from nurture_rl.codec import read_record, write_record
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.composition import Region
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.config import Settings, settings
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.learners import LEARNERS, plays_in_world
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.release_region import LEARNED_PART, region_of
from nurture_rl.workflow.settings_schema import register_schemas
from nurture_rl.workflow.stages import RECORD, Say, code_hash
from nurture_rl.workflow.stages_folder import stages_of

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PROGRAMMES = ("no_contact", "random", "logging", "drip", "rules", "expert")  # nobody learns them
NO_LOG = 0  # contacts in the record of a programme, which no log changes
_ANY = "ppo"  # a policy whose configuration says the trust region of the data


@dataclass(frozen=True, slots=True)
class Outcome:
    """One policy of a learner, by the truth and by those who do not know it."""

    truth: Measured
    world: WorldMean  # in the fitted world
    judged: Judged | None  # by the held-out contacts; None of what is not released


@dataclass(frozen=True, slots=True)
class LearnerRecord:
    """One learner on one log, or one programme."""

    learner: str
    data: str  # of the config group
    contacts: int  # in the log; a part of them is held out and never learned from
    seed: int  # of log, world and learner
    unit: str
    oracle: str  # digest of the oracle that it was held against
    programme: Measured | None  # what nobody learns; None of a learner
    released: Outcome | None  # trained and held near the log as its configuration says
    alone: Outcome | None  # trained without the trust region and played without it
    let_loose: Measured | None  # the part of `released` that saw the region in training, without it
    seconds: float  # of the stages that learn, by the clock
    failed: str | None  # why there is no result
    code: str  # hash of the packages


@dataclass(frozen=True)
class Bench:
    """One log, what is learned from it and what judges it."""

    data: str  # of the config group
    contacts: int  # in the log
    seed: int
    runs: Path  # of logs, worlds and policies, which cells share
    oracle: Oracle

    def settings(self, learner: str, free: bool = False) -> Settings:
        """The settings of one training; a free one knows no trust region."""
        register_schemas()
        asked = [f"data={self.data}", f"data.contacts={self.contacts}", f"policy={learner}"]
        asked += [f"seed={self.seed}", f"runs={self.runs}", "workers=1"]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("train", overrides=asked)
        if free:
            config.policy.spec = LEARNED_PART
        return settings(config)

    @cached_property
    def journey(self) -> Journey:
        """The journey of the data."""
        return Pipeline(self.settings(_ANY), _nobody).journey

    @cached_property
    def judges(self) -> Judges:
        """What can be known of a policy without the truth."""
        pipeline = Pipeline(self.settings(_ANY), _nobody)
        run = pipeline.settings
        return Judges(
            journey=pipeline.journey,
            ingested=pipeline.ingested,
            world=pipeline.world,
            held_out=run.run.data.held_out,
            config=run.evaluation,
            seed=self.seed,
        )

    def trained(self, learner: str, free: bool = False) -> tuple[Path, float]:
        """The folder of a learner's policy, and the seconds that learning took."""
        folder = Pipeline(self.settings(learner, free), _nobody).policies[learner]
        return folder, float(json.loads((folder / RECORD).read_text("utf-8"))["seconds"])

    def truly(self, policy: Policy) -> Measured:
        """A policy in the true world."""
        played = true_returns(self.journey, policy, len(self.oracle.value))
        return measured(self.journey, played, self.oracle.value)

    def alone(self, policy: Policy) -> Outcome:
        """A policy that is not released: the log could hardly judge it."""
        return Outcome(self.truly(policy), self.judges.in_world(policy), None)

    def released(self, policy: Policy) -> Outcome:
        """A policy as it would be released."""
        return Outcome(self.truly(policy), self.judges.in_world(policy), self.judges.by_log(policy))


def sees_region(learner: str) -> bool:
    """Whether a learner is told in training of the trust region it is released in."""
    return plays_in_world(learner) or LEARNERS[learner].held


def data_region(data: str, runs: Path) -> tuple[Journey, Region]:
    """A journey, and the trust region in which policies of its data are released."""
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        checked = settings(compose("train", overrides=[f"data={data}", f"runs={runs}"]))
    journey = Pipeline(checked, _nobody).journey
    region = region_of(checked.run.policies[_ANY].spec, journey, stages_of(runs))
    assert region is not None, "configs/policy/ppo.yaml says a trust region"
    return journey, region


def record_path(out: Path, learner: str, bench: Bench) -> Path:
    """Where the record of a cell lies, or will."""
    log = "programme" if learner in PROGRAMMES else f"{bench.contacts}-{bench.seed}"
    return out / f"{bench.data}-{log}-{learner}.json"


def recorded(out: Path, learner: str, bench: Bench, say: Say) -> LearnerRecord:
    """The record of a cell: the one in the folder, or one made now.

    A record that was held against another oracle is made again; so is none that failed, until it
    is removed.

    Args:
        out: folder of records.
        learner: or a programme, which is played once whatever the log.
        bench: the log.
        say: is told of what has to be made.
    """
    path = record_path(out, learner, bench)
    if path.is_file():
        kept = read_record(path, LearnerRecord)
        if kept.oracle == bench.oracle.record.digest:
            return kept
    say(f"{path.stem}: working")
    made = worked_out(learner, bench)
    out.mkdir(parents=True, exist_ok=True)
    write_record(made, path)
    return made


def worked_out(learner: str, bench: Bench) -> LearnerRecord:
    """Train and judge, or say why it failed: a study of many hours must not end with one cell."""
    programme, released, alone, loose = None, None, None, None
    seconds, failed = 0.0, None
    try:
        if learner in PROGRAMMES:
            programme = bench.truly(_programme(learner, bench))
        else:
            folder, seconds = bench.trained(learner)
            core = load_core(folder, bench.journey)
            free: Policy | None = core
            if sees_region(learner):
                loose = None if core is None else bench.truly(core)
                folder_free, more = bench.trained(learner, free=True)
                free, seconds = load_policy(folder_free, bench.journey), seconds + more
            assert free is not None, "who learns no model sees the region"
            released = bench.released(load_policy(folder, bench.journey))
            alone = bench.alone(free)
    except Exception as error:
        failed, released, alone = f"{type(error).__name__}: {error}", None, None
    known = learner not in PROGRAMMES
    return LearnerRecord(
        learner=learner,
        data=bench.data,
        contacts=bench.contacts if known else NO_LOG,
        seed=bench.seed if known else 0,
        unit=bench.journey.reward.unit,
        oracle=bench.oracle.record.digest,
        programme=programme,
        released=released,
        alone=alone,
        let_loose=loose,
        seconds=seconds,
        failed=failed,
        code=code_hash(),
    )


def records_in(folder: Path) -> list[LearnerRecord]:
    """Every record of a folder, without those of oracles."""
    paths = sorted(folder.glob("*.json"))
    return [read_record(one, LearnerRecord) for one in paths if not one.name.startswith("oracle-")]


def _programme(name: str, bench: Bench) -> Policy:
    """A programme as its configuration describes it."""
    spec = bench.settings(name).run.policies[name].spec
    return build_policy(spec, context_of(bench.journey))


def _nobody(line: str) -> None:
    """Is told nothing."""
