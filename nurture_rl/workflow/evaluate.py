"""Two judges of every policy: held-out logs, and simulation; and the truth where it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey, Kpi
from nurture_envs.simulation import Simulation
from nurture_rl.ope.evaluate import EvaluationConfig, evaluate_policies
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.verdict import Verdict
from nurture_rl.policies.policy import Policy
from nurture_rl.simulator.store import load_learned_world
from nurture_rl.workflow.collect import reference_simulation
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.decisions import Decisions, held_out_log, load_decisions
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.simulated import judged
from nurture_rl.workflow.stages import Workshop

_TRUTH_SEED = 900_001  # contacts nobody was trained on


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
    learned = [name for name, policy in run.run.policies.items() if policy.learner != "none"]
    level = simultaneous_level(run.run.release.level, max(1, len(learned)))
    decisions = load_decisions(ingested, journey, run.run.data.held_out)
    workshop.say("  off-policy evaluation on the held-out contacts")
    rules = run.run.release.rules if run.run.release.rules in loaded else None
    config = replace(run.evaluation, level=level, rules=rules, margin=run.run.release.margin)
    ope = _evaluate(decisions, journey, loaded, run, config)
    shown = {run.run.release.reference, *learned}
    compared = {name: policy for name, policy in loaded.items() if name in shown}
    kpis = [_kpi(decisions, journey, compared, run, config, kpi) for kpi in _kpis(journey)]
    workshop.say("  the same policies in every member of the learned world")
    simulator = judged(
        _members(world, journey),
        loaded,
        run,
        run.run.simulation.seeds,
        run.run.simulation.contacts,
        level,
    )
    truth = None
    if run.run.data.source == "reference":
        workshop.say("  the same policies in the true reference world")
        truth = judged(
            [reference_simulation(journey)],
            loaded,
            run,
            [_TRUTH_SEED],
            run.run.simulation.truth_contacts,
            0.95,
        )
    catalog = ActionCatalog.of(journey)
    return {
        "ope": ope,
        "kpis": kpis,
        "simulator": simulator,
        "truth": truth,
        "actions": list(catalog.ids),
        "routing": [action.routing for action in catalog.actions],
        "reference": run.run.release.reference,
        "candidates": _ranked(simulator, learned),
        "contacts": {
            "training": len(np.unique(decisions.contact[~decisions.held_out])),
            "held_out": len(np.unique(decisions.contact[decisions.held_out])),
        },
    }


def _members(world: Path, journey: Journey) -> list[Simulation]:
    """Every member of a stage's world by itself."""
    learned = load_learned_world(world / "world", journey)
    return [Simulation(learned.member(k)) for k in range(len(learned.members))]


def _ranked(simulator: Mapping[str, Any], learned: list[str]) -> list[str]:
    """The learned policies, the simulator's favourite first."""
    return sorted(learned, key=lambda name: -float(simulator["policies"][name]["value"]))


def _kpis(journey: Journey) -> list[tuple[str, Kpi]]:
    return [("north star", journey.north_star), *(("supporting", k) for k in journey.supporting)]


def _evaluate(
    decisions: Decisions,
    journey: Journey,
    policies: Mapping[str, Policy],
    run: Settings,
    config: EvaluationConfig,
) -> dict[str, Any]:
    log = held_out_log(decisions, journey)
    rng = np.random.default_rng(run.run.seed)
    return dict(evaluate_policies(log, policies, run.run.release.reference, rng, config).to_dict())


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
