"""How well one world's values of policies agree with another's: order, choice, error and spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nurture_rl.errors import ShapeError

FloatArray = NDArray[np.float64]

_DECIDED = 2.0  # standard errors of a difference from which the truth knows which one is better


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """What every policy earns in one world, on the same contacts with the same luck."""

    names: tuple[str, ...]
    value: FloatArray  # [p], journey's unit per episode
    stderr: FloatArray  # [p], of the value
    difference_stderr: FloatArray  # [p, p], of the difference of two values
    parts: tuple[str, ...]  # what a value is the sum of
    part: FloatArray  # [p, k], journey's unit per episode
    members: FloatArray  # [E, p], value in each member of an ensemble; E = 0: no ensemble
    member_stderr: float  # of a member's value, mean over policies and members; 0: no ensemble


@dataclass(frozen=True, slots=True)
class Agreement:
    """What trusting one world's values would have meant in the other."""

    spearman: float  # rank correlation, in [-1, 1]; NaN where all values of a world are equal
    kendall: float  # tau-b, in [-1, 1]; NaN likewise
    ordered: float  # share in [0, 1], of the pairs that the truth tells apart; NaN: none
    decided: int  # pairs that the truth tells apart
    best: str  # of the truth
    chosen: str  # the policy that looks best
    regret: float  # best minus chosen, in the truth, journey's unit per episode, >= 0
    relative_regret: float  # of what the best earns above the reference; NaN: nothing
    bias: float  # mean over policies of the values' error, journey's unit per episode
    error: float  # mean absolute error of the values
    contrast_error: float  # the same of the differences to the reference
    spread: float  # mean over policies of the members' standard deviation
    inside: float  # share of policies with a true value between the lowest and highest member
    above_worst: float  # share of policies with a true value no less than the worst member's


def agreement(truth: Standings, believed: Standings, reference: str) -> Agreement:
    """Hold what a world believes of policies against what they earn.

    Args:
        truth: standings in the true world.
        believed: standings of the same policies in the other world.
        reference: the policy that others are measured from.

    Raises:
        ShapeError: the worlds played different policies, fewer than two, or not the reference.
    """
    if truth.names != believed.names or len(truth.names) < 2 or reference not in truth.names:
        raise ShapeError(
            f"expected the same two or more policies in both worlds, {reference!r} among them, "
            f"got {truth.names} and {believed.names}; play them again"
        )
    best, chosen = int(truth.value.argmax()), int(believed.value.argmax())
    base = truth.names.index(reference)
    regret = float(truth.value[best] - truth.value[chosen])
    gain = float(truth.value[best] - truth.value[base])
    off = believed.value - truth.value
    ordered, decided = _ordered(truth, believed.value)
    spearman, kendall = rank_correlation(truth.value, believed.value)
    low, high = _range(believed)
    inside = (low <= truth.value) & (truth.value <= high)
    return Agreement(
        spearman=spearman,
        kendall=kendall,
        ordered=ordered,
        decided=decided,
        best=truth.names[best],
        chosen=truth.names[chosen],
        regret=regret,
        relative_regret=regret / gain if gain > 0.0 else float("nan"),
        bias=float(off.mean()),
        error=float(np.abs(off).mean()),
        contrast_error=float(np.abs(off - off[base]).sum() / (len(off) - 1)),
        spread=float(believed.members.std(axis=0, ddof=1).mean())
        if len(believed.members) > 1
        else float("nan"),
        inside=float(inside.mean()),
        above_worst=float((truth.value >= low).mean()),
    )


def rank_correlation(truth: FloatArray, estimated: FloatArray) -> tuple[float, float]:
    """Spearman's and Kendall's correlation of two rankings; NaN where one has no order."""
    if np.ptp(truth) == 0.0 or np.ptp(estimated) == 0.0:
        return float("nan"), float("nan")
    return (
        float(stats.spearmanr(truth, estimated).statistic),
        float(stats.kendalltau(truth, estimated).statistic),
    )


def _range(believed: Standings) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest member of each policy, [p]; the value itself without an ensemble."""
    members = believed.members if len(believed.members) else believed.value[None]
    return members.min(axis=0), members.max(axis=0)


def _ordered(truth: Standings, value: FloatArray) -> tuple[float, int]:
    """Share in the right order of the pairs that the truth tells apart, and how many they are."""
    gap = truth.value[:, None] - truth.value
    told_apart = gap > _DECIDED * truth.difference_stderr
    right = (value[:, None] > value) & told_apart
    decided = int(told_apart.sum())
    return float(right.sum() / decided) if decided else float("nan"), decided
