"""What the gate is told: the judges' findings on each candidate, and who is to be preferred."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, Any

from nurture_envs.journey import Journey
from nurture_rl.release.gate import (
    BarEvidence,
    Difference,
    GateEvidence,
    ProgramEvidence,
    WorldJudgement,
)
from nurture_rl.simulator.gap.verdict import Trust
from nurture_rl.workflow.evaluate import verdict_of

if TYPE_CHECKING:
    from nurture_rl.workflow.config import Settings


def in_order(found: Mapping[str, Any], trust: Trust) -> list[str]:
    """Candidates by the world's value where it may rank, else by the log's lower bound.

    A world that is not trusted for ranking may veto at the gate, and never choose.
    """

    def merit(name: str) -> float:
        if trust is Trust.RANKING:
            return float(found["simulator"]["policies"][name]["value"])
        lower = _logged(found, name, "difference").lower
        return lower if isfinite(lower) else -inf

    return sorted(found["candidates"], key=merit, reverse=True)


def evidence_on(
    candidate: str,
    found: Mapping[str, Any],
    verdict: Mapping[str, Any],
    journey: Journey,
    run: Settings,
) -> GateEvidence:
    """What both judges found on one candidate.

    Args:
        candidate: its name.
        found: of `evaluate.judgements`.
        verdict: of the reality gap, as plain data.
        journey: names the unit.
        run: names the reference.
    """
    policy = found["ope"]["policies"][candidate]
    overlap = policy["overlap"]
    played = found["simulator"]["policies"][candidate]
    judgement = policy["judgement"]
    return GateEvidence(
        candidate=candidate,
        reference=run.run.release.reference,
        unit=journey.reward.unit,
        logged=_logged(found, candidate, "difference"),
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
        verdict_text=judgement["reason"],
        world=world_judgement(verdict, played, played["level"]),
        bar=_against_bar(found, candidate),
        programs=tuple(
            ProgramEvidence(name, _difference(told, told["interval"]["level"]))
            for name, told in found["over_programs"][candidate].items()
        ),
        earned=abs(played["value"]) + abs(played["value"] - played["difference"]),
    )


def _logged(found: Mapping[str, Any], candidate: str, key: str) -> Difference:
    """A paired difference by the log; what it could not give is not a number."""
    return _difference(found["ope"]["policies"][candidate][key], found["ope"]["level"])


def _difference(told: Mapping[str, Any] | None, level: float) -> Difference:
    if told is None:
        return Difference(nan, nan, nan, level)
    interval = told["interval"]
    value, lower, upper = (
        nan if end is None else float(end)
        for end in (told["value"], interval["lower"], interval["upper"])
    )
    return Difference(value, lower, upper, level)


def _against_bar(found: Mapping[str, Any], candidate: str) -> BarEvidence | None:
    """The candidate less the bar, by the log only where it carries both."""
    bar = found["bar"]["name"]
    if bar is None:
        return None
    policies, over = found["ope"]["policies"], found["simulator"]["policies"][candidate]["over_bar"]
    carried = all(policies[name]["overlap"]["feasible"] for name in (bar, candidate))
    told = carried and policies[candidate]["against_rules"] is not None
    level, worst = over["level"], over["worst"]
    return BarEvidence(
        name=bar,
        logged=_logged(found, candidate, "against_rules") if told else None,
        simulated=Difference(over["value"], over["lower"], over["upper"], level),
        worst=Difference(worst["value"], worst["lower"], worst["upper"], level),
    )


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
