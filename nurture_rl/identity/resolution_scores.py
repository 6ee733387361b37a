"""How well a resolution agrees with known truth, counted over pairs of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError


@dataclass(frozen=True, slots=True)
class PairwiseScores:
    """Agreement of two clusterings; a pair of records counts when both lie in one cluster."""

    precision: float  # share of predicted pairs that are true; 1 when none is predicted
    recall: float  # share of true pairs that are predicted; 1 when there is none
    f1: float  # harmonic mean of both


def pairwise_scores(
    predicted: Sequence[str] | NDArray[np.str_], truth: Sequence[str] | NDArray[np.str_]
) -> PairwiseScores:
    """Score predicted clusters of records against the true ones.

    Args:
        predicted: the cluster each record was given, [n].
        truth: the cluster each record belongs to, [n].

    Raises:
        ShapeError: the two are not equally long.
    """
    if len(predicted) != len(truth):
        raise ShapeError(
            f"expected one true cluster per record, got {len(predicted)} predicted and "
            f"{len(truth)} true; score the same records"
        )
    _, guess = np.unique(np.asarray(predicted), return_inverse=True)
    _, real = np.unique(np.asarray(truth), return_inverse=True)
    _, both = np.unique(np.stack([guess, real]), axis=1, return_counts=True)
    agreed = _pairs(both)
    guessed, existing = _pairs(np.bincount(guess)), _pairs(np.bincount(real))
    precision = agreed / guessed if guessed else 1.0
    recall = agreed / existing if existing else 1.0
    total = precision + recall
    return PairwiseScores(precision, recall, 2 * precision * recall / total if total else 0.0)


def _pairs(sizes: NDArray[np.int64]) -> int:
    """How many pairs lie inside clusters of these sizes."""
    return int((sizes * (sizes - 1) // 2).sum())
