"""The simplest of several policies that earns nearly as much as the best, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nurture_rl.appraisal.selection.simultaneous import Family, critical_value
from nurture_rl.errors import NurtureError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.ties import apart


@dataclass(frozen=True, slots=True, order=True)
class Complexity:
    """How much there is to understand in a policy; the lower the simpler."""

    rank: int  # 0: always the same, 1: a schedule, 2: rules, 3: linear scores, 4: a network
    size: int  # rules with their conditions, or numbers that were fitted
    says: str  # in words


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a policy may be behind the best of all, the log's unit per episode."""

    name: str
    says: str  # its complexity; empty where it is none to recommend
    estimate: float  # the best of the others less it; below 0: it is the best
    at_least: float  # what some other policy is shown to earn more; below 0: nothing is shown
    at_most: float  # what none can earn more


@dataclass(frozen=True, slots=True)
class SimplestChoice:
    """Which policy is enough, and what that rests on."""

    tolerance: float  # a policy is enough that earns less than the best by no more, the log's unit
    level: float  # all intervals of differences hold together
    name: str  # of the policy
    shown: (
        bool  # it is shown to be within the tolerance; else nobody is, and none is shown above it
    )
    policies: tuple[Behind, ...]  # the simplest first, those that are none to recommend last
    sentence: str


def simplest(
    estimates: Mapping[str, ValueEstimate],
    complexity: Mapping[str, Complexity],
    tolerance: float,
    family: Family,
    unit: str,
    rng: np.random.Generator,
) -> SimplestChoice | None:
    """Choose the simplest policy within the tolerance of the best.

    For all pairs at once, by paired differences d with errors s and one critical value c,

        behind at most: max_j d_ji + c s_ji,    behind at least: max_j d_ji - c s_ji

    The simplest policy that is behind by no more than the tolerance at most is enough. Nobody picks
    the best first: the bounds hold whichever of the policies is, so there is no winner's curse.
    Where none is shown to be enough it is the simplest that no other is shown to beat by more than
    the tolerance, and the answer says that this is open.

    Args:
        estimates: of all policies that the log carries, by one estimator.
        complexity: of those that may be recommended.
        tolerance: a shortfall up to this is none, >= 0.
        family: level of all differences together.
        unit: of the values and what they are counted over, such as "EUR per episode".
        rng: draws the critical value.

    Returns:
        None where fewer than two policies can be compared, or none of them may be recommended.

    Raises:
        NurtureError: a tolerance below 0 or endless.

    Source: Hsu (1981), Simultaneous Confidence Intervals for All Distances from the "Best".
    """
    if not 0.0 <= tolerance < np.inf:
        raise NurtureError(
            f"expected a tolerance of 0 or more {unit}, got {tolerance}; at 0 the best alone is "
            "enough"
        )
    names = list(estimates)
    known = sorted((name for name in names if name in complexity), key=complexity.__getitem__)
    if len(names) < 2 or not known:
        return None
    gaps = {(a, b): apart(estimates[a], estimates[b]) for a, b in combinations(names, 2)}
    width = critical_value(np.stack([error for _, error in gaps.values()]), family, rng)
    rest = [name for name in names if name not in complexity]
    behind = tuple(_behind(name, names, gaps, width, complexity) for name in (*known, *rest))
    ranked = behind[: len(known)]
    enough = next((one for one in ranked if one.at_most <= tolerance), None)
    # The best by estimate is never shown to be beaten; where it is none to recommend, the last is.
    chosen = enough or next((one for one in ranked if one.at_least <= tolerance), ranked[-1])
    return SimplestChoice(
        tolerance=tolerance,
        level=family.level,
        name=chosen.name,
        shown=enough is not None,
        policies=behind,
        sentence=_sentence(chosen, enough is not None, tolerance, family.level, len(names), unit),
    )


def _behind(
    name: str,
    names: list[str],
    gaps: Mapping[tuple[str, str], tuple[float, np.ndarray]],
    width: float,
    complexity: Mapping[str, Complexity],
) -> Behind:
    ahead, half = [], []
    for other in names:
        if other == name:
            continue
        sign = 1.0 if (other, name) in gaps else -1.0
        difference, error = gaps[(other, name) if sign > 0.0 else (name, other)]
        ahead.append(sign * difference)
        half.append(width * clustered_stderr(error) if error.any() else 0.0)
    low, high = np.array(ahead) - half, np.array(ahead) + half
    says = complexity[name].says if name in complexity else ""
    return Behind(name, says, float(max(ahead)), float(low.max()), float(high.max()))


def _sentence(
    one: Behind, shown: bool, tolerance: float, level: float, policies: int, unit: str
) -> str:
    who, sure = f"“{one.name}” ({one.says})", f"{100.0 * level:.4g} %"
    allowed = f"{tolerance:.4g} {unit}"
    among = f"of the {policies} policies that the log carries"
    if shown:
        least = max(one.at_most, 0.0)
        return (
            f"The simplest policy that is enough is {who}: with {sure} confidence it earns at most "
            f"{least:.4g} {unit} less than the best {among}; {allowed} is tolerated."
        )
    if one.at_least > tolerance:
        return (
            f"No policy that could be recommended is within {allowed} of the best {among}: "
            f"{who} is shown to earn at least {one.at_least:.4g} less."
        )
    return (
        f"The simplest policy that none is shown to beat by more than {allowed} is {who}. Whether "
        f"it is that near the best {among} is open: it may earn up to {one.at_most:.4g} less "
        f"({sure} confidence)."
    )
