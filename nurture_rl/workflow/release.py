"""Through the gate: a bundle when the evidence carries it, a refusal with reasons when not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.release.bundle import BundleContent, load_bundle, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.gate import (
    Difference,
    GateConfig,
    GateDecision,
    GateEvidence,
    WorldJudgement,
    gate,
)
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.release.parity import random_states
from nurture_rl.simulator.gap.verdict import Trust
from nurture_rl.workflow.config import Settings
from nurture_rl.workflow.decisions import load_decisions
from nurture_rl.workflow.evaluate import verdict_of
from nurture_rl.workflow.gap import read_gap
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.stages import Workshop

_PARITY_STATES = 64


def release(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    gap: Path,
    judged: Path,
    policies: Mapping[str, Path],
) -> Path:
    """Ask the gate about the candidate: `gate.json` and, where it passed, `bundle/`."""
    inputs = {
        "evaluation": judged.name,
        "gap": gap.name,
        "ingest": ingested.name,
        "policies": {name: folder.name for name, folder in policies.items()},
        "release": asdict(run.run.release),
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        found = json.loads((judged / "evaluation.json").read_text("utf-8"))
        verdict = read_gap(gap)["verdict"]
        record: dict[str, Any] = {"candidate": None, "passed": False, "policy_id": None}
        record |= {"asked": run.run.release.policy is None, "asks_of_world": run.run.release.world}
        if run.run.release.policy is not None:
            record |= _as_it_is(out, journey, run, ingested, policies)
        elif not found["candidates"]:
            record["reasons"] = ["no learned policy was evaluated, so there is nothing to release"]
        else:
            evidence, decision = _best(found, verdict, journey, run)
            candidate = evidence.candidate
            record |= {"candidate": candidate, "passed": decision.passed}
            record["reasons"] = list(decision.reasons)
            if decision.passed:
                card = _card(journey, ingested, candidate, evidence, decision)
                record["policy_id"] = _bundle(
                    out, journey, run, ingested, policies[candidate], card
                )
        (out / "gate.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")

    return workshop.stage("release", inputs, build)


def _best(
    found: Mapping[str, Any], verdict: Mapping[str, Any], journey: Journey, run: Settings
) -> tuple[GateEvidence, GateDecision]:
    """The simulator's favourite of those that pass, or its favourite with what speaks against it.

    Every bound holds for all candidates together, so the best of them may be picked afterwards.
    """
    names = found["candidates"]
    level = simultaneous_level(run.run.release.level, len(names))
    asks = run.run.release
    config = GateConfig(asks.margin, level, judged_world=True, ranking=asks.world == "ranking")
    asked = []
    for name in names:
        evidence = _evidence(found, verdict, name, journey, run)
        asked.append((evidence, gate(evidence, config)))
    return next((pair for pair in asked if pair[1].passed), asked[0])


def _as_it_is(
    out: Path, journey: Journey, run: Settings, ingested: Path, policies: Mapping[str, Path]
) -> dict[str, Any]:
    """Export a policy that learned nothing: business as usual has nothing to prove.

    Raises:
        ConfigError: no such policy, or one that learns and must pass the gate.
    """
    name = run.run.release.policy or ""
    unlearned = [key for key, policy in run.run.policies.items() if policy.learner == "none"]
    if name not in unlearned:
        raise ConfigError(
            f"release.policy: expected one of {', '.join(unlearned)}, got {name!r}; learned "
            "policies are released by the gate alone"
        )
    card = _card(journey, ingested, name, None, None)
    return {
        "candidate": name,
        "passed": True,
        "reasons": ["exported as it is: the policy learned nothing, so the gate was not asked"],
        "policy_id": _bundle(out, journey, run, ingested, policies[name], card),
    }


def world_judgement(
    verdict: Mapping[str, Any], played: Mapping[str, Any], level: float
) -> WorldJudgement:
    """What the gate hears of the world: all causes but mere symptoms, and the worst member.

    Args:
        verdict: of the reality gap, as plain data.
        played: the candidate's row in the simulator.
        level: confidence of the worst member's bounds.
    """
    roots = [one for one in verdict["causes"] if not one["symptom"]]
    worst = played["worst"]
    return WorldJudgement(
        trust=Trust(verdict["trust"]),
        cause=", ".join(dict.fromkeys(one["cause"] for one in roots)) or None,
        sentence=" ".join(one["sentence"] for one in roots) or verdict["sentence"],
        worst=Difference(
            worst["difference"], worst["difference_lower"], worst["difference_upper"], level
        ),
    )


def _evidence(
    found: Mapping[str, Any],
    verdict: Mapping[str, Any],
    candidate: str,
    journey: Journey,
    run: Settings,
) -> GateEvidence:
    policy = found["ope"]["policies"][candidate]
    logged, overlap = policy["difference"], policy["overlap"]
    played = found["simulator"]["policies"][candidate]
    return GateEvidence(
        candidate=candidate,
        reference=run.run.release.reference,
        unit=journey.reward.unit,
        logged=Difference(
            logged["value"],
            logged["interval"]["lower"],
            logged["interval"]["upper"],
            found["ope"]["level"],
        ),
        simulated=Difference(
            played["difference"],
            played["difference_lower"],
            played["difference_upper"],
            played["level"],
        ),
        overlap_feasible=overlap["feasible"],
        overlap_text=overlap["reason"],
        effective_sample_size=overlap["ess"],
        contacts=found["ope"]["n_clusters"],
        verdict=verdict_of(found, candidate),
        verdict_text=policy["judgement"]["reason"],
        world=world_judgement(verdict, played, played["level"]),
    )


def _card(
    journey: Journey,
    ingested: Path,
    policy: str,
    evidence: GateEvidence | None,
    decision: GateDecision | None,
) -> PolicyCard:
    summary = json.loads((ingested / "tables" / "summary.json").read_text("utf-8"))
    notes = json.loads((ingested / "notes.json").read_text("utf-8"))
    return PolicyCard(
        title=f"{journey.title}: {policy}",
        provenance=journey.provenance,
        data_fingerprint=summary["fingerprint"],
        evidence=evidence,
        decision=decision,
        supports=tuple(notes.get("supports", ())),
        limits=tuple(notes.get("limits", ())),
    )


def _bundle(
    out: Path, journey: Journey, run: Settings, ingested: Path, policy: Path, card: PolicyCard
) -> str:
    catalog = ActionCatalog.of(journey)
    decisions = load_decisions(ingested, journey, run.run.data.held_out)
    rng = np.random.default_rng(run.run.seed)
    core = load_core(policy, journey)
    model = None
    if core is not None:
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.onnx"
            export_onnx(core, path, catalog, rng)
            model = path.read_bytes()
    states = random_states(decisions.features, catalog.wait, len(catalog), _PARITY_STATES, rng)
    content = BundleContent(journey, load_policy(policy, journey).spec(), model, states, card)
    write_bundle(out / "bundle", content, datetime.now(UTC))
    return load_bundle(out / "bundle").policy_id
