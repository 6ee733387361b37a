"""Whether a program that may be enough keeps to the limits on harm, and who says so.

It learned nothing and passes no gate, yet it would be served. The log is asked first; where it
cannot bound the program, a world that may rank policies is asked; else nobody knows, and that is
said. What a judge finds to break a limit is not bundled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from nurture_rl.appraisal.risk.harm_limits import LimitFinding, LimitKept
from nurture_rl.simulator.gap.trust import Trust
from nurture_rl.workflow.judges import Evaluated

LOG, SIMULATOR = "log", "simulator"


@dataclass(frozen=True, slots=True)
class BarLimit:
    """A program held against one limit."""

    limit: str
    judge: str | None  # LOG or SIMULATOR; None: neither can say
    kept: bool | None
    sentence: str


def bar_limits(found: Evaluated, trust: Trust) -> tuple[BarLimit, ...]:
    """Hold the bar of a run against every limit that is set for it.

    A limit on what a policy does beyond the reference sets the reference itself none.

    Args:
        found: by both judges.
        trust: what the reality gap says of the world.
    """
    name, reference = found.bar.name, found.appraisal.evaluation.reference
    if name is None:
        return ()
    played = found.simulator.policies[name].limits if trust is Trust.RANKING else {}
    return tuple(
        _held(limit, name, played.get(limit.name))
        for limit in found.appraisal.limits
        if name != reference or limit.at_most is not None
    )


def _held(limit: LimitFinding, name: str, played: LimitKept | None) -> BarLimit:
    logged = limit.policies[name]
    if isfinite(logged.upper) and (logged.added is None or isfinite(logged.added)):
        return BarLimit(limit.name, LOG, logged.kept, f"by the log, {logged.sentence}")
    if played is not None:
        return BarLimit(limit.name, SIMULATOR, played.kept, played.sentence)
    sentence = f"neither the log nor a trusted simulator can bound {limit.name} of {name!r}"
    return BarLimit(limit.name, None, None, sentence)
