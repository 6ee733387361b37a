"""Which program that learned nothing a learned policy must beat, and which policies may try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.policies.policy import FloatArray

EXPERT, RULES = "expert", "rules"
_ALIKE = 1e-4  # share of decisions in which two policies part, up to which they are one


@dataclass(frozen=True, slots=True)
class Bar:
    """The program that may be enough, and why it is this one."""

    name: str | None  # None: nothing to compare with
    reason: str


def bar_of(asked: str | None, worth: Mapping[str, float | None]) -> Bar:
    """The bar of a run: of the one asked for and the journey's plain rules the one worth more.

    A program that was written without its truth may be worse than the rules it should replace. By
    the world's word this asks a learned policy for more than either of the two alone would.

    Args:
        asked: `release.rules`; None asks for no bar.
        worth: value of each of the run's policies in the learned world, the journey's unit; None
            where it was not played, and then the one asked for stands.
    """
    if asked is None:
        return Bar(None, "no bar is asked for (release.rules)")
    if asked not in worth and RULES not in worth:
        return Bar(None, f"the run has neither `{asked}` nor `{RULES}`")
    if asked not in worth:
        return Bar(RULES, f"the run has no policy `{asked}`, so the journey's `{RULES}` stand in")
    mine, plain = worth[asked], worth.get(RULES)
    if mine is not None and plain is not None and plain > mine:
        return Bar(RULES, f"the learned world values `{RULES}` above `{asked}`")
    return Bar(asked, f"the run asks for `{asked}` (release.rules)")


@dataclass(frozen=True, slots=True)
class Field:
    """Who may be released: learned policies that are not another policy under a new name."""

    candidates: tuple[str, ...]
    left_out: Mapping[str, str]  # why a learned policy is no candidate, by name


def field_of(
    learned: Sequence[str],
    programs: Sequence[str],
    tables: Mapping[str, FloatArray],
) -> Field:
    """Leave out who does what the logging policy, a program or an earlier one does.

    What the policies do is all that is looked at, so the choice costs no confidence.

    Args:
        learned: names of the learned policies, in order.
        programs: the reference, and every policy that learned nothing.
        tables: probabilities on the same contexts by policy, [N, a]; `logged` where known.
    """
    known: dict[str, FloatArray] = {}
    for name in (LOGGED, *programs):
        if name in tables:
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
