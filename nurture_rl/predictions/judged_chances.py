"""How well predicted chances agree with what came later, on decisions of a time not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from nurture_rl.errors import ShapeError
from nurture_rl.simulator.calibration import ReliabilityBin, wilson

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_BINS = 10


@dataclass(frozen=True, slots=True)
class JudgedChances:
    """Chances against outcomes; the interval is of 95 % and takes clusters for independent."""

    n: int  # decisions
    clusters: int  # accounts and contacts without one
    events: int  # decisions that the outcome followed
    predicted_rate: float
    base_rate: float
    brier: float
    brier_skill: float  # 1 - Brier / Brier of always saying the base rate; 0: no better than that
    skill_low: float
    skill_high: float
    ece: float  # expected calibration error over ten equally filled bins
    ece_by_chance: float  # the same of chances that are right, by the luck of so many decisions
    bins: tuple[ReliabilityBin, ...]


def judged_chances(
    chance: FloatArray, happened: BoolArray, cluster: NDArray[np.int64]
) -> JudgedChances:
    """Compare chances with what happened.

    The skill's interval is that of a ratio of sums over clusters (delta method):

        skill = 1 - sum b / sum c,    psi = (b - (1 - skill) c) / sum c

    by Student's t of one degree of freedom less than there are clusters, as few accounts know
    little of how much accounts differ.

    Args:
        chance: predicted, [n].
        happened: [n].
        cluster: number of what is independent, [n].

    Raises:
        ShapeError: the arrays are empty, not equally long, of one cluster alone, or the outcome
            came always or never.
    """
    if not chance.size or chance.shape != happened.shape or chance.shape != cluster.shape:
        raise ShapeError(
            f"expected chance, happened and cluster of one length above 0, got {chance.shape}, "
            f"{happened.shape} and {cluster.shape}"
        )
    y = happened.astype(np.float64)
    rate = float(y.mean())
    if rate in (0.0, 1.0):
        raise ShapeError("expected decisions with the outcome and without, got one kind alone")
    _, of = np.unique(cluster, return_inverse=True)
    if not of.any():
        raise ShapeError("expected decisions of two clusters or more, got one")
    error = np.bincount(of, weights=(chance - y) ** 2)
    constant = np.bincount(of, weights=(rate - y) ** 2)
    ratio = float(error.sum() / constant.sum())
    psi = (error - ratio * constant) / constant.sum()
    far = float(stdtrit(psi.size - 1, 0.975))
    half = far * float(np.sqrt(psi.size / (psi.size - 1) * (psi @ psi)))
    bins, ece, luck = _reliability(chance, y)
    return JudgedChances(
        n=chance.size,
        clusters=psi.size,
        events=int(y.sum()),
        predicted_rate=float(chance.mean()),
        base_rate=rate,
        brier=float(error.sum() / chance.size),
        brier_skill=1.0 - ratio,
        skill_low=1.0 - ratio - half,
        skill_high=1.0 - ratio + half,
        ece=ece,
        ece_by_chance=luck,
        bins=bins,
    )


def _reliability(
    chance: FloatArray, y: FloatArray
) -> tuple[tuple[ReliabilityBin, ...], float, float]:
    """Ten bins, their calibration error, and that of right chances by luck."""
    bins, ece, luck = [], 0.0, 0.0
    order = np.argsort(chance, kind="stable")
    for rows in np.array_split(order, min(_BINS, chance.size)):
        predicted, observed = float(chance[rows].mean()), float(y[rows].mean())
        low, high = wilson(float(y[rows].sum()), len(rows))
        bins.append(ReliabilityBin(predicted, observed, low, high, len(rows)))
        share = len(rows) / chance.size
        ece += share * abs(predicted - observed)
        spread = predicted * (1.0 - predicted) / len(rows)
        luck += share * float(np.sqrt(2.0 / np.pi * max(spread, 0.0)))
    return tuple(bins), ece, luck
