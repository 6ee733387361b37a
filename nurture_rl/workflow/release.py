"""Through the gate: a bundle when the evidence carries it, a refusal with reasons when not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import HarmLimit, Journey
from nurture_rl.appraisal.on_estimates import ACCEPT_THEM
from nurture_rl.appraisal.region_choice import ChosenRegion
from nurture_rl.codec import read_record
from nurture_rl.decisions import load_decisions
from nurture_rl.errors import ConfigError
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.release.bundle import BundleContent, load_bundle, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.gate import RULES, GateConfig, GateDecision, GateEvidence, gate
from nurture_rl.release.gate_reasons import GateCause
from nurture_rl.release.onnx_export import export_onnx
from nurture_rl.release.parity import random_states
from nurture_rl.release.signing import fingerprint
from nurture_rl.simulator.gap.trust import GapVerdict, Trust
from nurture_rl.wording import counted
from nurture_rl.workflow.bar_limits import BarLimit, bar_limits
from nurture_rl.workflow.candidates import evidence_on, in_order
from nurture_rl.workflow.gap import gap_verdict
from nurture_rl.workflow.judges import Evaluated, read_evaluated
from nurture_rl.workflow.learn import load_core, load_policy
from nurture_rl.workflow.training import REGION

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings
    from nurture_rl.workflow.stages import Workshop

# What came of a release, beside `RULES`.
RELEASED, REFUSED, AS_IT_IS = "released", "refused", "as_it_is"
_PARITY_STATES = 64

Judged = Sequence[tuple[GateEvidence, GateDecision]]


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
        "release": run.run.release.judging(),
        "signed_by": None if (key := _key(run)) is None else fingerprint(key),
        "seed": run.run.seeds.evaluation,
        "journey": journey.resolved,
    }

    def build(out: Path) -> None:
        evaluated = read_evaluated(judged)
        record, asked = asked_gate(evaluated, gap, run)
        record |= {"journey": journey.name, "level": run.run.release.level}
        if asked:
            card = _judged_card(journey, ingested, record, asked, policies)
        elif record["exported"] is not None:
            card = _card(journey, ingested, record["exported"], policies)
        if record["exported"] is not None:
            record["policy_id"] = _bundle(
                out, journey, run, ingested, policies[record["exported"]], card
            )
        (out / "gate.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")

    return workshop.stage("release", inputs, build)


def asked_gate(evaluated: Evaluated, gap: Path, run: Settings) -> tuple[dict[str, Any], Judged]:
    """The gate's record as `gate.json` has it, and its answer on every candidate, if it was asked.

    Args:
        evaluated: by both judges.
        gap: folder of the reality gap.
        run: what a release must show, or which policy is exported as it is.

    Raises:
        ConfigError: that policy is not there, or learned something.
    """
    record: dict[str, Any] = {
        "verdict": REFUSED,
        "candidate": None,
        "exported": None,
        "passed": False,
        "policy_id": None,
        "asked": run.run.release.policy is None,
        "asks_of_world": run.run.release.world,
        "bar": asdict(evaluated.bar),
        "left_out": dict(evaluated.left_out),
        "judged": [],
    }
    if run.run.release.policy is not None:
        return record | _as_it_is(run), ()
    if not evaluated.appraisal.candidates:
        return record | _told(_nobody(evaluated.left_out)), ()
    asked = judged_candidates(evaluated, gap_verdict(gap), run)
    return record | outcome(asked, evaluated), asked


def judged_candidates(evaluated: Evaluated, verdict: GapVerdict, run: Settings) -> Judged:
    """The gate's answer on every candidate, the one to prefer first.

    Every bound holds for all candidates together, so the best of them may be picked afterwards.
    """
    asks, names = run.run.release, in_order(evaluated, verdict.trust)
    level = simultaneous_level(asks.level, len(names))
    config = GateConfig(
        asks.margin,
        level,
        judged_world=True,
        ranking=asks.world == "ranking",
        accept_estimated=run.evaluation.estimated_propensities == ACCEPT_THEM,
    )
    evidence = [evidence_on(name, evaluated, verdict) for name in names]
    return [(one, gate(one, config)) for one in evidence]


def outcome(asked: Judged, evaluated: Evaluated) -> dict[str, Any]:
    """What is released: the first that passes, the bar where it is enough, else nothing."""
    evidence, decision = next((pair for pair in asked if pair[1].passed), asked[0])
    record: dict[str, Any] = {
        "verdict": REFUSED,
        "exported": None,
        "candidate": evidence.candidate,
        "passed": decision.passed,
        **_reasons(decision),
        "judged": [
            {"name": one.candidate, "passed": answer.passed, **_reasons(answer)}
            for one, answer in asked
        ],
    }
    bar = evaluated.bar.name
    if decision.passed:
        return record | {"verdict": RELEASED, "exported": evidence.candidate}
    if bar is not None and all(answer.rules_enough for _, answer in asked):
        world = evidence.world
        held = bar_limits(evaluated, Trust.NOTHING if world is None else world.trust)
        told = {"bar_limits": [asdict(one) for one in held], **_enough(bar, evaluated, held)}
        return record | {"verdict": RULES, **told}
    return record


def _reasons(decision: GateDecision) -> dict[str, Any]:
    """Every reason in full, and what people read: one line for each cause."""
    causes = [asdict(one) for one in decision.causes]
    return {"reasons": list(decision.reasons), "causes": causes}


def _told(reason: str) -> dict[str, Any]:
    """A reason that no check found."""
    return {"reasons": [reason], "causes": [asdict(GateCause(reason, (), (reason,)))]}


def _enough(bar: str, evaluated: Evaluated, held: Sequence[BarLimit]) -> dict[str, Any]:
    """The bar for the bundle, if the world puts it above the reference; else nothing new.

    Nor is it bundled where a judge finds that it breaks a limit on harm.
    """
    reference = evaluated.appraisal.evaluation.reference
    enough = f"Rules are enough: no learned policy is shown to earn more than `{bar}`"
    above = evaluated.simulator.policies[bar].difference_lower > 0.0
    if not above and bar != reference:
        stay = f"nor is `{bar}` shown to earn more than `{reference}`, so stay with `{reference}`"
        return {"exported": None, "sentence": f"{enough}, {stay}."}
    broken = "; ".join(one.sentence for one in held if one.kept is False)
    if broken:
        stay = "" if bar == reference else f"; stay with `{reference}`"
        return {
            "exported": None,
            "sentence": f"{enough}, but a limit on harm keeps it out of a bundle: {broken}{stay}.",
        }
    unknown = [one.limit for one in held if one.kept is None]
    watch = f" Nobody can bound its {', '.join(unknown)}: watch them." if unknown else ""
    return {"exported": bar, "sentence": f"{enough}, so the bundle holds `{bar}`.{watch}"}


def _nobody(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return "no learned policy was evaluated, so there is nothing to release"
    why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return f"no learned policy is a candidate, so there is nothing to release ({why})"


def _as_it_is(run: Settings) -> dict[str, Any]:
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
    return {
        "verdict": AS_IT_IS,
        "candidate": name,
        "exported": name,
        "passed": True,
        **_told("exported as it is: the policy learned nothing, so the gate was not asked"),
    }


def _judged_card(
    journey: Journey,
    ingested: Path,
    record: Mapping[str, Any],
    asked: Judged,
    policies: Mapping[str, Path],
) -> PolicyCard:
    """The card of the candidate, or of the bar that is enough."""
    evidence, decision = next(pair for pair in asked if pair[0].candidate == record["candidate"])
    name = record["exported"] or evidence.candidate
    card = _card(journey, ingested, name, policies)
    harms = (f"{one['sentence']}." for one in record.get("bar_limits", ()))
    return replace(
        card,
        limits=(*card.limits, *harms),
        first=record.get("sentence", ""),
        evidence=evidence,
        decision=decision,
    )


def _card(
    journey: Journey, ingested: Path, policy: str, policies: Mapping[str, Path]
) -> PolicyCard:
    summary = json.loads((ingested / "tables" / "summary.json").read_text("utf-8"))
    notes = json.loads((ingested / "notes.json").read_text("utf-8"))
    return PolicyCard(
        title=f"{journey.title}: {policy}",
        provenance=journey.provenance,
        data_fingerprint=summary["fingerprint"],
        evidence=None,
        decision=None,
        supports=(*notes.get("supports", ()), *_region(policies[policy])),
        limits=tuple(notes.get("limits", ())),
        intended=_intended(journey),
        data=_data(summary),
        harms=_harms(journey),
    )


def _intended(journey: Journey) -> tuple[str, ...]:
    """What a policy of a journey is for, and what not."""
    return (
        f"to choose for contacts of the journey `{journey.name}`, step by step, which approved "
        "message they get and when, whether to wait, and whether sales should call",
        "not for contacts unlike those of the data, nor under looser guardrails than the bundle's",
        "not for decisions with legal or similarly grave effects on people, such as credit, work, "
        "insurance, or what one person must pay",
    )


def _data(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """How much was learned and judged from."""
    rows = {table["table"]: table for table in summary["tables"]}
    kept = [f"{rows[name]['kept']} {name}" for name in ("decisions", "events") if name in rows]
    aside = sum(table["quarantined"] for table in summary["tables"])
    return (
        f"{counted(summary['contacts'], 'contact')}, {', '.join(kept)}; {aside} rows set aside",
        f"from {summary['first_at']} to {summary['last_at']}",
    )


def _harms(journey: Journey) -> tuple[str, ...]:
    """Which harms were asked about, and what is not measured."""
    held = [
        f"{limit.name}: {' and '.join(bounds)}, asked of the upper end of what the log allows"
        for limit in journey.limits
        if (bounds := _bounds(limit))
    ]
    return (
        *(held or ["nobody set a limit on a harm"]),
        "whether groups of people are treated differently is not measured here",
    )


def _bounds(limit: HarmLimit) -> list[str]:
    """What a limit allows, in words."""
    told = []
    if limit.at_most is not None:
        told.append(f"at most {limit.at_most:g} per {limit.per}")
    if limit.above_reference is not None:
        told.append(f"at most {limit.above_reference:g} per contact above the reference policy")
    return told


def _region(policy: Path) -> tuple[str, ...]:
    """How far from the logging policy the log was found to judge it, where that was asked."""
    path = policy / REGION
    if not path.is_file():
        return ()
    found = read_record(path, ChosenRegion)
    return (
        f"this trust region, chosen by {found.episodes} training episodes left aside, not by the "
        f"held-out ones: {found.reason}",
    )


def _bundle(
    out: Path, journey: Journey, run: Settings, ingested: Path, policy: Path, card: PolicyCard
) -> str:
    catalog = ActionCatalog.of(journey)
    decisions = load_decisions(ingested, journey, run.run.data.held_out)
    rng = np.random.default_rng(run.run.seeds.evaluation)
    core = load_core(policy, journey)
    model = None
    if core is not None:
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.onnx"
            export_onnx(core, path, catalog, rng)
            model = path.read_bytes()
    states = random_states(decisions.features, catalog.wait, len(catalog), _PARITY_STATES, rng)
    content = BundleContent(journey, load_policy(policy, journey).spec(), model, states, card)
    write_bundle(out / "bundle", content, datetime.now(UTC), _key(run))
    return load_bundle(out / "bundle").policy_id


def _key(run: Settings) -> Path | None:
    """The private key that signs bundles."""
    return None if run.run.release.key is None else Path(run.run.release.key)
