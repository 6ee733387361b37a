"""Whether a challenger that was not released may be tried in the exploration of the next round."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from nurture_rl.appraisal.record import TOO_FAR
from nurture_rl.appraisal.risk.harm_limits import LimitFinding
from nurture_rl.release.gate import GateEvidence


def may_be_tried(evidence: GateEvidence, limits: Sequence[LimitFinding]) -> bool:
    """Whether nothing that the log shows speaks against it.

    That it is not shown to be better, or that its harms have no bound yet, is what a trial is for.
    What is shown to earn less than the programme or than any program that learned nothing is not
    tried, nor what does more harm than a limit allows by the log's estimate, nor anything by a log
    with wrong numbers.

    Args:
        evidence: of the candidate, as the gate heard it.
        limits: on harms, and how candidate and reference stand to them.
    """
    checks = (*evidence.refusals, *evidence.reference_refusals)
    if any(one.code not in TOO_FAR for one in checks):
        return False
    over = (evidence.logged, *(one.logged for one in evidence.programs))
    if any(one.upper < 0.0 for one in over):
        return False
    return not any(_exceeded(one, evidence.candidate, evidence.reference) for one in limits)


def _exceeded(limit: LimitFinding, name: str, reference: str) -> bool:
    """Whether the log's estimate lies above a limit; where it has none, nothing is known."""
    rate = limit.policies[name].rate
    if not isfinite(rate):
        return False
    if limit.at_most is not None and rate > limit.at_most:
        return True
    base = limit.policies[reference].rate if reference in limit.policies else 0.0
    return limit.above_reference is not None and rate - base > limit.above_reference
