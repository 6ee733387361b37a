"""What each source of a log is worth: the policy learned again without it; a stage of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.appraisal.action_sensitivity import action_sensitivities
from nurture_rl.appraisal.column_sources import column_sources
from nurture_rl.appraisal.estimation import evaluate_policies
from nurture_rl.appraisal.evaluation import Evaluation
from nurture_rl.appraisal.health.source_reach import source_reach
from nurture_rl.appraisal.region_choice import ChosenRegion
from nurture_rl.appraisal.source_values import FeatureBinding, Loss, SourcesReport, SourceValue
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.policies.held_columns import usual_values
from nurture_rl.policies.policy import Policy
from nurture_rl.report.sources_page import sources_markdown, sources_page
from nurture_rl.workflow.held_out import held_out_log
from nurture_rl.workflow.judges import TRUTH_SEED
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.learned_from_log import training_log
from nurture_rl.workflow.learners import LEARNERS, Source
from nurture_rl.workflow.policy_stage import learned_policy
from nurture_rl.workflow.simulated import less, play_members
from nurture_rl.workflow.training import REGION, Training

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

PAGE = "sources.html"  # in the stage's folder, `sources.md` and `sources.json` beside it


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Whose sources are looked at."""

    journey: Journey
    run: Settings
    ingested: Path
    name: str  # of the policy
    folders: Mapping[str, Path]  # of policies: "" with all sources, else without that one


def sources_stage(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    policies: Mapping[str, Path],
) -> Path:
    """The folder with what each source is worth to the policy of a run.

    Args:
        workshop: where the stages lie.
        journey: of the log.
        run: names the policy, its learner, the estimators and the level.
        ingested: the log.
        policies: of the run, already learned.

    Raises:
        ConfigError: no policy that learns from the log is asked for.
    """
    name = _name(run)
    task = _task(workshop, journey, run, ingested, policies[name])
    folders = {"": policies[name]}
    for source, columns in column_sources(journey).items():
        without = replace(task, held=columns)
        folders[source] = learned_policy(workshop, without, run.learners[name])
    asked = _Asked(journey, run, ingested, name, folders)
    inputs = {
        "ingest": ingested.name,
        "policies": {source: folder.name for source, folder in folders.items()},
        "evaluation": asdict(run.evaluation),
        "simulation": asdict(run.run.simulation),
        "level": run.run.release.level,
        "seed": run.run.seeds.evaluation,
        "journey": journey.resolved,
    }
    return workshop.stage("sources", inputs, partial(_written, asked, task))


def _name(run: Settings) -> str:
    policy = run.run.policy
    if policy is None or LEARNERS.get(policy.learner, LEARNERS["ppo"]).source is not Source.LOG:
        known = ", ".join(one for one, about in LEARNERS.items() if about.source is Source.LOG)
        got = "none" if policy is None else policy.name
        raise ConfigError(
            f"policy: expected one that is learned from the log, got {got}; give one of {known}"
        )
    return policy.name


def _task(
    workshop: Workshop, journey: Journey, run: Settings, ingested: Path, folder: Path
) -> Training:
    """The training of the policy once more, in the trust region that it has."""
    policy = run.run.policy
    assert policy is not None
    spec = json.loads((folder / "policy.json").read_text("utf-8"))["spec"]
    region = folder / REGION
    soft = read_record(region, ChosenRegion).size.temperature if region.is_file() else None
    return Training(
        policy=replace(policy, spec=spec),
        journey=journey,
        ingested=ingested,
        world=None,
        held_out=run.run.data.held_out,
        seed=run.run.seeds.learner,
        say=workshop.say,
        checkpoint_every=run.run.checkpoint_every,
        temperature=soft,
    )


def _written(asked: _Asked, task: Training, out: Path) -> None:
    report = _report(asked, task)
    write_record(report, out / "sources.json")
    subtitle = f"{asked.journey.title}: {report.policy}, {report.decisions:,} decisions"
    (out / PAGE).write_text(sources_page(report, subtitle), "utf-8")
    (out / "sources.md").write_text(sources_markdown(report, subtitle), "utf-8")


def _report(asked: _Asked, task: Training) -> SourcesReport:
    journey, sources = asked.journey, column_sources(asked.journey)
    policies = {one: load_policy(folder, journey) for one, folder in asked.folders.items()}
    held = load_decisions(asked.ingested, journey, asked.run.run.data.held_out)
    log = held_out_log(held, journey)
    level = asked.run.run.release.level
    evaluation = _evaluated(asked, policies, log, level)
    truth = _truth(asked, policies)
    spec = FeatureSpec.of(journey)
    features = dict(zip((one.name for one in journey.features), spec.names_of_each, strict=True))
    groups = {
        name: [spec.column(column) for column in columns]
        for name, columns in (*((f"source:{k}", v) for k, v in sources.items()), *features.items())
    }
    moved = action_sensitivities(
        policies[""], log.features, log.mask, groups, usual_values(training_log(task).features)
    )
    reach = _reach(asked)
    bindings = [
        FeatureBinding(
            name, tuple(s for s, own in sources.items() if set(own) & set(columns)), moved[name]
        )
        for name, columns in features.items()
    ]
    full = evaluation.policies[asked.name]
    return SourcesReport(
        policy=asked.name,
        unit=evaluation.unit,
        level=level,
        estimator=full.basis,
        decisions=int((log.mask.sum(axis=1) > 1).sum()),
        value=None if full.basis is None else full.estimates[full.basis].estimate.value,
        sources=tuple(
            SourceValue(
                source=source,
                columns=columns,
                knows=reach.get(source),
                sensitivity=moved[f"source:{source}"],
                loss=_loss(evaluation, source),
                true_loss=truth.get(source),
            )
            for source, columns in sources.items()
        ),
        features=tuple(sorted(bindings, key=lambda one: (-one.sensitivity.moved, one.feature))),
    )


def _evaluated(
    asked: _Asked, policies: Mapping[str, Policy], log: EvaluationLog, level: float
) -> Evaluation:
    """Every policy on the held-out log, held against the one with all sources."""
    config = replace(
        asked.run.evaluation,
        level=simultaneous_level(level, max(len(policies) - 1, 1)),
        candidates=None,
        rules=None,
    )
    named = {asked.name if one == "" else f"without {one}": two for one, two in policies.items()}
    rng = np.random.default_rng(asked.run.run.seeds.evaluation)
    return evaluate_policies(log, named, asked.name, rng, config)


def _loss(evaluation: Evaluation, source: str) -> Loss | None:
    told = evaluation.policies[f"without {source}"].difference
    if told is None:
        return None
    return Loss(-told.value + 0.0, -told.interval.upper + 0.0, -told.interval.lower + 0.0)


def _truth(asked: _Asked, policies: Mapping[str, Policy]) -> dict[str, Loss]:
    """The same in the reference world, on the same contacts and luck; empty where there is none."""
    if asked.run.run.data.source != "reference":
        return {}
    worlds, contacts = [Simulation(reference_world(asked.journey))], asked.run.run.simulation
    played = {
        source: play_members(worlds, policy, [TRUTH_SEED], contacts.truth_contacts)
        for source, policy in policies.items()
    }
    found = {}
    for source, one in played.items():
        if source:
            gap = less(played[""], one, 0.95)
            found[source] = Loss(gap.value, gap.lower, gap.upper)
    return found


def _reach(asked: _Asked) -> dict[str, float | None]:
    """Share of decisions that knew an event, by source."""
    tables = asked.ingested / "tables"
    events, decisions = (
        pq.read_table(tables / f"{one}.parquet") for one in ("events", "decisions")
    )
    return {one.source: one.decisions for one in source_reach(events, decisions, asked.journey)}
