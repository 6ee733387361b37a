"""Reasons of one cause are one line for people, and every one of them stays for programs."""

from __future__ import annotations

from dataclasses import replace

from nurture_rl.ope.checks.findings import Finding, Severity
from nurture_rl.release.gate import BarEvidence, CandidateDifference, GateConfig, HarmEvidence, gate
from nurture_rl.release.gate_reasons import GateCause, GateReason, causes_of
from tests.unit.release.bundles import evidence

UNSURE = CandidateDifference(4.2, -192.3, 200.6, 0.975)
CLOSER = "stay closer to the logging policy"


def refusing(code: str, sentence: str) -> Finding:
    return Finding(code, Severity.REFUSE, {}, sentence, CLOSER)


def test_what_fails_since_the_log_does_not_carry_a_policy_is_one_line() -> None:
    told = replace(
        evidence(),
        logged=UNSURE,
        simulated=UNSURE,
        overlap_feasible=False,
        overlap_text="effective sample size 69.2 is below 100",
        verdict="cannot_tell_yet",
        verdict_text="the log does not carry the policy",
        refusals=(
            refusing("ess", "the weighted log is worth 69.2 of its 731 episodes"),
            refusing("weight-share", "one episode carries 6.8% of all weight"),
        ),
        reference_refusals=(refusing("ess", "the weighted log is worth 84.1 of its 731 episodes"),),
        harms=tuple(
            HarmEvidence(name, False, f"this log cannot bound {name}, so the limit is not kept")
            for name in ("complaints", "opt-outs")
        ),
        bar=BarEvidence("rules", None, UNSURE, UNSURE),
    )
    found = gate(told, GateConfig())
    name, reference = told.candidate, told.reference
    assert [cause.sentence.split(":")[0] for cause in found.causes] == [
        f"The log does not carry {name}",
        f"The log does not carry {reference}",
        f"{name} is not shown to earn more than rules",
        f"{name} is not shown to earn more than {reference}",
    ]
    carried = found.causes[0]
    assert carried.checks == ("ess", "weight-share", "overlap", "verdict", "limits on harm")
    assert carried.sentence == (
        f"The log does not carry {name}: the weighted log is worth 69.2 of its 731 episodes; one "
        "episode carries 6.8% of all weight; nobody can bound complaints; nobody can bound "
        "opt-outs; stay closer to the logging policy (found by: ess, weight-share, overlap, "
        "verdict, limits on harm)."
    )
    assert found.causes[1].checks == ("ess",)
    # Nothing is lost: each reason is in one cause, in full.
    assert sorted(r for cause in found.causes for r in cause.reasons) == sorted(found.reasons)
    assert len(found.reasons) > 2 * len(found.causes)


def test_limits_that_are_broken_are_no_part_of_what_nobody_can_bound() -> None:
    harms = (
        HarmEvidence("complaints", True, "complaints: at most 0.3, 0.1 is the limit"),
        HarmEvidence("opt-outs", True, "opt-outs: at most 0.4, 0.1 is the limit"),
    )
    (cause,) = gate(replace(evidence(), harms=harms), GateConfig()).causes
    assert cause.sentence == (
        "Limits on harm are not kept: complaints: at most 0.3, 0.1 is the limit; opt-outs: at most "
        "0.4, 0.1 is the limit (found by: limits on harm)."
    )


def test_a_reason_alone_is_told_as_it_is_and_a_repeated_one_once() -> None:
    alone = GateReason("The simulator must not be trusted.", "reality gap")
    assert causes_of([alone]) == (GateCause(alone.text, ("reality gap",), (alone.text,)),)
    assert causes_of([alone, alone]) == causes_of([alone])
    assert causes_of([]) == ()
