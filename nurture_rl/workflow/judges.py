"""Two judges of every policy: held-out logs, and simulation; and the truth where it is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.appraisal.record import Appraisal
from nurture_rl.codec import read_record, write_record
from nurture_rl.decisions import Decisions, load_decisions
from nurture_rl.policies.policy import Policy
from nurture_rl.simulator.world_files import load_learned_world
from nurture_rl.workflow.bar import Bar, bar_of
from nurture_rl.workflow.journey_log import appraised_by_log, field_on, held_out
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.simulated import WorldJudge, judged, staged

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.side_by_side import Crew
    from nurture_rl.workflow.stages import Say, Workshop

TRUTH_SEED = 900_001  # contacts nobody was trained on


def evaluation(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    world: Path,
    policies: Mapping[str, Path],
    crew: Crew,
) -> Path:
    """Judge every policy, side by side; the folder holds `evaluation.json`."""
    inputs = {
        "ingest": ingested.name,
        "world": world.name,
        "logging": run.run.data.logging,
        "policies": {name: folder.name for name, folder in policies.items()},
        "evaluation": asdict(run.evaluation),
        "simulation": asdict(run.run.simulation),
        "release": run.run.release.judging(),
        "seed": run.run.seeds.evaluation,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        result = _judge(workshop, journey, run, ingested, world, policies, crew)
        write_record(result, out / "evaluation.json")

    return workshop.stage("evaluation", inputs, build)


def _judge(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    world: Path,
    policies: Mapping[str, Path],
    crew: Crew,
) -> Evaluated:
    loaded = {name: load_policy(folder, journey) for name, folder in policies.items()}
    decisions = load_decisions(ingested, journey, run.run.data.held_out)
    truth = [Simulation(reference_world(journey))] if run.run.data.source == "reference" else None
    worlds = Worlds(members_of(world, journey), truth)
    return judgements(decisions, journey, loaded, worlds, run, workshop.say, crew)


@dataclass(frozen=True, slots=True, eq=False)
class Worlds:
    """Where policies are played."""

    members: Sequence[Simulation]  # of the learned world, each by itself
    truth: Sequence[Simulation] | None  # None: nobody knows it


@dataclass(frozen=True, slots=True)
class ContactCounts:
    """Contacts on each side."""

    training: int
    held_out: int


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What both judges find, and the truth where it is known: `evaluation.json`."""

    appraisal: Appraisal  # by the held-out log
    simulator: WorldJudge
    truth: WorldJudge | None
    bar: Bar  # of the release, which the world has a say in
    left_out: Mapping[str, str]  # learned policies that are no candidates, and why
    actions: tuple[str, ...]
    routing: tuple[str, ...]  # of each action
    contacts: ContactCounts


def read_evaluated(folder: Path) -> Evaluated:
    """What the stage wrote.

    Raises:
        LogError: another version of the package wrote it.
    """
    return read_record(folder / "evaluation.json", Evaluated)


def judgements(
    decisions: Decisions,
    journey: Journey,
    policies: Mapping[str, Policy],
    worlds: Worlds,
    run: Settings,
    say: Say,
    crew: Crew,
) -> Evaluated:
    """What both judges find, and the truth where it is known.

    The log is read as the verb `ope` reads it: the same checks, candidates, rules and level. The
    world has a say in which program is the bar of a release. Every bound that the gate reads
    holds for all candidates together. Policies are played while the log is read.
    """
    asked, played = run.run.release, run.run.simulation
    learned = [name for name in policies if run.run.policies[name].learner != "none"]
    held = held_out(decisions, journey)
    field = field_on(held, policies, learned, asked.reference)
    in_members = staged(worlds.members, policies, run, played.seeds, played.contacts, crew)
    in_truth = None
    if worlds.truth is not None:
        truth_seeds, contacts = [TRUTH_SEED], played.truth_contacts
        in_truth = staged(worlds.truth, policies, run, truth_seeds, contacts, crew)
    say("  off-policy evaluation on the held-out contacts")
    appraisal = appraised_by_log(held, policies, field, run)
    say("  every policy in every member of the learned world")
    stage = in_members()
    worth = stage.worth()
    bar = bar_of(asked.rules, {name: worth[name] for name in policies})
    truth = None
    if in_truth is not None:
        say("  the same policies in the true reference world")
        truth = judged(in_truth(), asked.reference, bar.name, 0.95)
    catalog = ActionCatalog.of(journey)
    return Evaluated(
        appraisal=appraisal,
        simulator=judged(stage, asked.reference, bar.name, appraisal.evaluation.level),
        truth=truth,
        bar=bar,
        left_out=field.left_out,
        actions=tuple(catalog.ids),
        routing=tuple(action.routing for action in catalog.actions),
        contacts=ContactCounts(
            training=len(np.unique(decisions.contact[~decisions.held_out])),
            held_out=len(np.unique(decisions.contact[decisions.held_out])),
        ),
    )


def members_of(world: Path, journey: Journey) -> list[Simulation]:
    """Every member of a stage's world by itself."""
    learned = load_learned_world(world / "world", journey)
    return [Simulation(learned.member(k)) for k in range(len(learned.members))]
