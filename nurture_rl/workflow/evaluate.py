"""Two judges of every policy: held-out logs, and simulation; and the truth where it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey, Kpi
from nurture_envs.simulation import Simulation
from nurture_rl.appraisal.evaluate import EvaluationConfig, evaluate_policies
from nurture_rl.appraisal.evaluation import LOGGED, Evaluation
from nurture_rl.appraisal.verdict import Verdict
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.policies.policy import FloatArray, Policy
from nurture_rl.simulator.store import load_learned_world
from nurture_rl.workflow.bar import bar_of, field_of, over_programs
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.decisions import Decisions, held_out_log, load_decisions
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.simulated import judged, staged
from nurture_rl.workflow.stages import Say, Workshop

_TRUTH_SEED = 900_001  # contacts nobody was trained on
_COMPARED = 20_000  # decisions in which policies are looked at for being one and the same


def evaluation(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    world: Path,
    policies: Mapping[str, Path],
) -> Path:
    """Judge every policy; the folder holds `evaluation.json`."""
    inputs = {
        "ingest": ingested.name,
        "world": world.name,
        "policies": {name: folder.name for name, folder in policies.items()},
        "evaluation": asdict(run.evaluation),
        "simulation": asdict(run.run.simulation),
        "release": asdict(run.run.release),
        "seed": run.run.seed,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        result = _judge(workshop, journey, run, ingested, world, policies)
        (out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")

    return workshop.stage("evaluation", inputs, build)


def _judge(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    world: Path,
    policies: Mapping[str, Path],
) -> dict[str, Any]:
    loaded = {name: load_policy(folder, journey) for name, folder in policies.items()}
    decisions = load_decisions(ingested, journey, run.run.data.held_out)
    truth = [reference_simulation(journey)] if run.run.data.source == "reference" else None
    worlds = Worlds(_members(world, journey), truth)
    return judgements(decisions, journey, loaded, worlds, run, workshop.say)


@dataclass(frozen=True, slots=True, eq=False)
class Worlds:
    """Where policies are played."""

    members: Sequence[Simulation]  # of the learned world, each by itself
    truth: Sequence[Simulation] | None  # None: nobody knows it


def judgements(
    decisions: Decisions,
    journey: Journey,
    policies: Mapping[str, Policy],
    worlds: Worlds,
    run: Settings,
    say: Say,
) -> dict[str, Any]:
    """What both judges find, and the truth where it is known, as plain data.

    The world is asked first: which program is the bar depends on what it is worth there. Every
    bound that the gate reads holds for all candidates together.
    """
    asked, played = run.run.release, run.run.simulation
    say("  every policy in every member of the learned world")
    stage = staged(worlds.members, policies, run, played.seeds, played.contacts)
    worth = stage.worth()
    bar = bar_of(asked.rules, {name: worth[name] for name in policies})
    learned = [name for name in policies if run.run.policies[name].learner != "none"]
    field = field_of(learned, (asked.reference, bar.name), _tables(decisions, policies))
    level = simultaneous_level(asked.level, max(1, len(field.candidates)))
    simulator = judged(stage, asked.reference, bar.name, level)
    say("  off-policy evaluation on the held-out contacts")
    config = replace(run.evaluation, level=level, rules=bar.name, margin=asked.margin)
    ope = _evaluate(decisions, journey, policies, run, config)
    programs = [name for name in policies if name not in {*learned, asked.reference, bar.name}]
    shown = {asked.reference, *learned, bar.name}
    compared = {name: policy for name, policy in policies.items() if name in shown}
    kpis = [_kpi(decisions, journey, compared, run, config, kpi) for kpi in _kpis(journey)]
    truth = None
    if worlds.truth is not None:
        say("  the same policies in the true reference world")
        known = staged(worlds.truth, policies, run, [_TRUTH_SEED], played.truth_contacts)
        truth = judged(known, asked.reference, bar.name, 0.95)
    catalog = ActionCatalog.of(journey)
    return {
        "ope": ope.to_dict(),
        "over_programs": over_programs(ope, field.candidates, programs, asked.level),
        "kpis": kpis,
        "simulator": simulator,
        "truth": truth,
        "actions": list(catalog.ids),
        "routing": [action.routing for action in catalog.actions],
        "reference": asked.reference,
        "bar": asdict(bar),
        "candidates": list(field.candidates),
        "left_out": dict(field.left_out),
        "contacts": {
            "training": len(np.unique(decisions.contact[~decisions.held_out])),
            "held_out": len(np.unique(decisions.contact[decisions.held_out])),
        },
    }


def _tables(decisions: Decisions, policies: Mapping[str, Policy]) -> dict[str, FloatArray]:
    """What each policy does in the same held-out contexts, the logging policy where it is known."""
    rows = np.flatnonzero(decisions.held_out)[:_COMPARED]
    features, mask = decisions.features[rows], decisions.mask[rows]
    tables = {
        name: policy.action_probabilities(features, mask) for name, policy in policies.items()
    }
    logged = decisions.probabilities[rows]
    return tables | ({LOGGED: logged} if np.isfinite(logged).all() else {})


def _members(world: Path, journey: Journey) -> list[Simulation]:
    """Every member of a stage's world by itself."""
    learned = load_learned_world(world / "world", journey)
    return [Simulation(learned.member(k)) for k in range(len(learned.members))]


def _kpis(journey: Journey) -> list[tuple[str, Kpi]]:
    return [("north star", journey.north_star), *(("supporting", k) for k in journey.supporting)]


def _evaluate(
    decisions: Decisions,
    journey: Journey,
    policies: Mapping[str, Policy],
    run: Settings,
    config: EvaluationConfig,
) -> Evaluation:
    log = held_out_log(decisions, journey)
    rng = np.random.default_rng(run.run.seed)
    return evaluate_policies(log, policies, run.run.release.reference, rng, config)


def _kpi(
    decisions: Decisions,
    journey: Journey,
    policies: Mapping[str, Policy],
    run: Settings,
    config: EvaluationConfig,
    labelled: tuple[str, Kpi],
) -> dict[str, Any]:
    """One KPI per episode: what was logged, and what each policy would have, doubly robust."""
    role, kpi = labelled
    columns = [journey.channel_index(name) for name in kpi.of]
    log = held_out_log(decisions, journey, decisions.amounts[:, columns].sum(axis=1))
    rng = np.random.default_rng(run.run.seed)
    found = evaluate_policies(
        log, policies, run.run.release.reference, rng, replace(config, level=0.95, rules=None)
    )
    rows = {}
    for name, policy in found.policies.items():
        usable = policy.overlap.feasible
        rows[name] = _bounds(policy.estimates["dr"]) if usable else None
    return {
        "name": kpi.name,
        "role": role,
        "better": kpi.better,
        "logged": _bounds(found.logged),
        "policies": rows,
    }


def _bounds(estimated: Any) -> dict[str, float]:
    interval = estimated.interval
    return {"value": estimated.estimate.value, "lower": interval.lower, "upper": interval.upper}


def verdict_of(evaluation: Mapping[str, Any], policy: str) -> str:
    """The off-policy verdict on a policy, `cannot_tell_yet` where there is none."""
    judgement = evaluation["ope"]["policies"][policy]["judgement"]
    return str(judgement["verdict"]) if judgement else Verdict.CANNOT_TELL_YET.value
