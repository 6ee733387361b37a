"""What the gate is told: the judges' findings on each candidate, and who is to be preferred."""

from __future__ import annotations

from math import inf, isfinite, nan

from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.appraisal.record import REFUSE, Appraisal
from nurture_rl.ope.checks.findings import Finding
from nurture_rl.ope.intervals import Difference as LoggedDifference
from nurture_rl.release.gate import (
    BarEvidence,
    CandidateDifference,
    GateEvidence,
    HarmEvidence,
    ProgramEvidence,
    WorldJudgement,
)
from nurture_rl.simulator.gap.trust import GapVerdict, Trust
from nurture_rl.workflow.judges import Evaluated
from nurture_rl.workflow.simulated import WorldRow


def in_order(judged: Evaluated, trust: Trust) -> list[str]:
    """Candidates by the world's value where it may rank, else by the log's lower bound.

    A world that is not trusted for ranking may veto at the gate, and never choose.
    """

    def merit(name: str) -> float:
        if trust is Trust.RANKING:
            return judged.simulator.policies[name].value
        difference = judged.appraisal.evaluation.policies[name].difference
        lower = _difference(difference, 0.0).lower
        return lower if isfinite(lower) else -inf

    return sorted(judged.appraisal.candidates, key=merit, reverse=True)


def evidence_on(candidate: str, judged: Evaluated, verdict: GapVerdict) -> GateEvidence:
    """What both judges found on one candidate.

    Args:
        candidate: its name.
        judged: of `judges.judgements`.
        verdict: of the reality gap.
    """
    appraisal = judged.appraisal
    evaluation = appraisal.evaluation
    policy, played = evaluation.policies[candidate], judged.simulator.policies[candidate]
    return GateEvidence(
        candidate=candidate,
        reference=evaluation.reference,
        unit=evaluation.unit,
        logged=_difference(policy.difference, evaluation.level),
        simulated=CandidateDifference(
            played.difference, played.difference_lower, played.difference_upper, played.level
        ),
        overlap_feasible=policy.overlap.feasible,
        overlap_text=policy.overlap.reason,
        effective_sample_size=policy.overlap.ess,
        contacts=evaluation.n_clusters,
        verdict=appraisal.verdict_on(candidate).value,
        verdict_text="" if policy.judgement is None else policy.judgement.reason,
        verdict_on_bar=appraisal.rules == judged.bar.name,
        refusals=appraisal.refusals(candidate),
        reference_refusals=_of_reference(appraisal),
        harms=tuple(
            HarmEvidence(limit.name, isfinite(kept.upper), kept.sentence)
            for limit in appraisal.limits
            if not (kept := limit.policies[candidate]).kept
        ),
        world=world_judgement(verdict, played),
        bar=_against_bar(judged, candidate),
        programs=tuple(
            ProgramEvidence(name, _difference(told, told.interval.level))
            for name, told in appraisal.over_programs[candidate].items()
            if name != judged.bar.name and name not in judged.left_out
        ),
        estimated=appraisal.estimated,
        earned=abs(played.value) + abs(played.value - played.difference),
    )


def _of_reference(appraisal: Appraisal) -> tuple[Finding, ...]:
    """What is refused of the reference beside what is of the whole log."""
    reference = appraisal.evaluation.reference
    return () if reference == LOGGED else appraisal.target_checks[reference].of(REFUSE)


def _difference(told: LoggedDifference | None, level: float) -> CandidateDifference:
    """A paired difference by the log; what it could not give is not a number."""
    if told is None:
        return CandidateDifference(nan, nan, nan, level)
    return CandidateDifference(
        told.value, told.interval.lower, told.interval.upper, told.interval.level
    )


def _against_bar(judged: Evaluated, candidate: str) -> BarEvidence | None:
    """The candidate less the bar, by the log only where it carries both."""
    bar, over = judged.bar.name, judged.simulator.policies[candidate].over_bar
    if bar is None or over is None:
        return None
    told = _logged_over(judged.appraisal, candidate, bar)
    return BarEvidence(
        name=bar,
        logged=None if told is None else _difference(told, told.interval.level),
        simulated=CandidateDifference(over.value, over.lower, over.upper, over.level),
        worst=CandidateDifference(over.worst.value, over.worst.lower, over.worst.upper, over.level),
    )


def _logged_over(appraisal: Appraisal, candidate: str, bar: str) -> LoggedDifference | None:
    """What the log says of a candidate less the bar, which need not be the rules it was judged by.

    The world may value the journey's rules above the program asked for.
    """
    policy = appraisal.evaluation.policies[candidate]
    if not (appraisal.believed(bar) and appraisal.believed(candidate)):
        return None
    if bar == appraisal.evaluation.reference:
        return policy.difference
    if bar == appraisal.rules:
        return policy.against_rules
    return appraisal.over_programs[candidate].get(bar)


def world_judgement(verdict: GapVerdict, played: WorldRow) -> WorldJudgement:
    """What the gate hears of the world: all causes but mere symptoms, and the worst member.

    Args:
        verdict: of the reality gap.
        played: the candidate's row in the simulator.
    """
    roots = [one for one in verdict.causes if not one.symptom]
    worst = played.worst
    return WorldJudgement(
        trust=verdict.trust,
        cause=", ".join(dict.fromkeys(one.cause.value for one in roots)) or None,
        sentence=" ".join(one.sentence for one in roots) or verdict.sentence,
        worst=CandidateDifference(
            worst.difference, worst.difference_lower, worst.difference_upper, played.level
        ),
    )
