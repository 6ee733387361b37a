"""The learned world before its judge: how far it is from contacts that nothing was fitted to."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.codec import to_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import FitError
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.gap.report import reality_gap
from nurture_rl.simulator.gap.trust import Cause, GapVerdict, NamedCause, verdict
from nurture_rl.simulator.world_files import load_learned_world
from nurture_rl.workflow.world_stage import start_table

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

_SAME = 0.01  # mean distance of propensities up to which a configured policy made the log
_SHOWN = 50_000  # rows it is compared on


def gap_report(
    workshop: Workshop,
    journey: Journey,
    run: Settings,
    ingested: Path,
    world: Path,
    context: PolicyContext,
) -> Path:
    """Hold the learned world against the held-out contacts: `gap.json`.

    A log that can judge no world is a finding, not an error: nobody may trust the world then.

    Args:
        workshop: where the stages lie.
        journey: of the log.
        run: names the logging policy.
        ingested: folder of the ingested log.
        world: folder of the fitted world.
        context: what the logging policy's description needs.
    """
    data = run.run.data
    inputs = {
        "ingest": ingested.name,
        "world": world.name,
        "held_out": data.held_out,
        "logging": data.logging,
        "gap": asdict(run.gap),
        "seed": run.run.seeds.evaluation,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        decisions = load_decisions(ingested, journey, data.held_out)
        starts = start_table(ingested, data.held_out, held_out=True)
        held_out = WorldData.of(decisions.take(decisions.held_out), starts)
        policy = known_logging(data.logging, context, held_out)
        if policy is None:
            workshop.say("  the logging policy is estimated from the log")
        learned = load_learned_world(world / "world", journey)
        rng = np.random.default_rng(run.run.seeds.evaluation)
        try:
            report = reality_gap(learned, held_out, policy, run.gap, rng).to_dict()
        except FitError as reason:
            report = unjudged(journey, str(reason))
        said = report["verdict"]
        workshop.say(f"  {said['trust']}: {said['sentence']}")
        (out / "gap.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")

    return workshop.stage("gap", inputs, build)


def known_logging(described: Any, context: PolicyContext, held_out: WorldData) -> Policy | None:
    """The configured logging policy, or None where the log was made by another one.

    A log of which no propensity is known contradicts no policy.
    """
    if described is None:
        return None
    policy = build_policy(described, context)
    rows = np.flatnonzero(np.isfinite(held_out.propensity))[:_SHOWN]
    if not rows.size:
        return policy
    table = policy.action_probabilities(held_out.features[rows], held_out.mask[rows])
    told = table[np.arange(len(rows)), held_out.action[rows]]
    far = float(np.abs(told - held_out.propensity[rows]).mean())
    return policy if far <= _SAME else None


def unjudged(journey: Journey, reason: str) -> dict[str, Any]:
    """The report of a world that the held-out log cannot judge, as plain data."""
    sentence = f"The held-out log cannot judge this world: {reason}."
    cause = NamedCause(Cause.UNPROVEN, 0.0, 1.0, sentence, fatal=True)
    said = asdict(verdict([cause]))
    return {"journey": journey.name, "verdict": said, "evidence": {"two_sample": {"auc": None}}}


def read_gap(folder: Path) -> dict[str, Any]:
    """The report of a stage as plain data."""
    report: dict[str, Any] = json.loads((folder / "gap.json").read_text("utf-8"))
    return report


def gap_verdict(folder: Path) -> GapVerdict:
    """The verdict of a stage's report."""
    return to_record(read_gap(folder)["verdict"], GapVerdict)
