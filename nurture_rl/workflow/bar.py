"""Which program that learned nothing a learned policy must beat, and which policies may try."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.ope.evaluation import LOGGED
from nurture_rl.policies.policy import FloatArray

EXPERT, RULES = "expert", "rules"
_ALIKE = 1e-4  # share of decisions in which two policies part, up to which they are one


@dataclass(frozen=True, slots=True)
class Bar:
    """The program that may be enough, and why it is this one."""

    name: str | None  # None: nothing to compare with
    reason: str


def bar_of(asked: str | None, policies: Collection[str]) -> Bar:
    """The bar of a run: the one asked for, else the journey's plain rules, else none.

    Args:
        asked: `release.rules`; None asks for no bar.
        policies: names of the run's policies.
    """
    if asked is None:
        return Bar(None, "no bar is asked for (release.rules)")
    if asked in policies:
        return Bar(asked, f"the run asks for `{asked}` (release.rules)")
    if RULES in policies:
        return Bar(RULES, f"the run has no policy `{asked}`, so the journey's `{RULES}` stand in")
    return Bar(None, f"the run has neither `{asked}` nor `{RULES}`")


@dataclass(frozen=True, slots=True)
class Field:
    """Who may be released: learned policies that are not another policy under a new name."""

    candidates: tuple[str, ...]
    left_out: Mapping[str, str]  # why a learned policy is no candidate, by name


def field_of(
    learned: Sequence[str],
    programs: Sequence[str | None],
    tables: Mapping[str, FloatArray],
) -> Field:
    """Leave out who does what the logging policy, the reference, the bar or an earlier one does.

    What the policies do is all that is looked at, so the choice costs no confidence.

    Args:
        learned: names of the learned policies, in order.
        programs: the reference and the bar; None where there is none.
        tables: probabilities on the same contexts by policy, [N, a]; `logged` where known.
    """
    known: dict[str, FloatArray] = {}
    for name in (LOGGED, *programs):
        if name is not None and name in tables:
            known[name] = tables[name]
    candidates: list[str] = []
    left_out = {}
    for name in learned:
        twin = next(
            (other for other in known if other == name or _alike(tables, name, other)), None
        )
        if twin is None:
            candidates.append(name)
            known[name] = tables[name]
        elif twin == name:
            left_out[name] = "others are compared with it, so it cannot be released by that"
        else:
            what = "the logging policy" if twin == LOGGED else f"`{twin}`"
            left_out[name] = (
                f"it acts as {what} does in {1.0 - _ALIKE:.2%} of the decisions or more"
            )
    return Field(tuple(candidates), left_out)


def _alike(tables: Mapping[str, FloatArray], name: str, other: str) -> bool:
    """Mean total variation distance of two policies' probabilities."""
    return float(0.5 * np.abs(tables[name] - tables[other]).sum(axis=1).mean()) <= _ALIKE
