"""What a policy is, and the checks and the sampling that every policy shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import NurtureError, ProbabilityError, ShapeError

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Spec = Mapping[str, Any]  # JSON-able; `build_policy` turns it back into an equal policy

SUM_TOLERANCE = 1e-9


class PolicyError(NurtureError):
    """A policy's description cannot be turned into a policy."""


class Policy(Protocol):
    """A distribution over the catalogue's actions for every context."""

    def action_probabilities(self, features: FeatureArray, mask: BoolArray) -> FloatArray:
        """Probability of every action, rows sum to 1, exactly 0 where masked, [n, a].

        Args:
            features: contexts in the order of the journey's feature columns, [n, d].
            mask: True where an action is legal; every row has at least one, [n, a].
        """
        ...

    def spec(self) -> Spec:
        """Description that `build_policy` turns back into an equal policy."""
        ...


def require_batch(features: FeatureArray, mask: BoolArray, n_actions: int) -> None:
    """Guard the arguments of `action_probabilities`.

    Raises:
        ShapeError: not [n, d] and [n, a] with the policy's a, or a mask that is not boolean.
        ProbabilityError: a row without any legal action.
    """
    if features.ndim != 2 or mask.shape != (features.shape[0], n_actions):
        raise ShapeError(
            f"expected features [n, d] and mask [n, {n_actions}], got {features.shape} and "
            f"{mask.shape}; use the catalogue the policy was built with"
        )
    if mask.dtype != np.bool_:
        raise ShapeError(f"expected a boolean mask, got {mask.dtype}; True means legal")
    dead = np.flatnonzero(~mask.any(axis=1))
    if dead.size:
        raise ProbabilityError(
            f"row {dead[0]} has no legal action; pause:1 is always legal, mend the mask"
        )


def check_probabilities(probabilities: FloatArray, mask: BoolArray) -> None:
    """Refuse anything that is not one distribution over the legal actions per row.

    Args:
        probabilities: [n, a].
        mask: True where legal, [n, a].

    Raises:
        ShapeError: the arrays do not have one shape [n, a].
        ProbabilityError: an entry is negative or not a number, a masked action has any
            probability at all, or a row misses 1 by more than 1e-9; names the first bad row.
    """
    if probabilities.ndim != 2 or probabilities.shape != mask.shape:
        raise ShapeError(
            f"probabilities and mask must both be [n, a], got {probabilities.shape} and "
            f"{mask.shape}"
        )
    total = probabilities.sum(axis=1)
    fine = (probabilities >= 0.0) & (mask | (probabilities == 0.0))
    if fine.all() and (np.abs(total - 1.0) <= SUM_TOLERANCE).all():
        return
    faults = (
        (~(probabilities >= 0.0).all(axis=1), "has an entry that is negative or not a number"),
        ((probabilities * ~mask != 0.0).any(axis=1), "puts probability on a masked action"),
        (~(np.abs(total - 1.0) <= SUM_TOLERANCE), f"misses 1 by more than {SUM_TOLERANCE:g}"),
    )
    for bad, fault in faults:
        if bad.any():
            row = int(bad.argmax())
            raise ProbabilityError(
                f"row {row} of {len(mask)} {fault}; it sums to {total[row]:.12g}, expected "
                "probabilities >= 0 that sum to 1 and are exactly 0 where masked"
            )


def normalised(weights: FloatArray, mask: BoolArray) -> FloatArray:
    """Share of each legal action in its row's weight; masked weights are dropped, [n, a].

    Args:
        weights: >= 0, one row per context or one for all, [n, a] or [a].
        mask: True where legal, [n, a].

    Raises:
        ProbabilityError: a row has no weight on a legal action.
    """
    legal = np.where(mask, weights, 0.0)
    total = legal.sum(axis=1, keepdims=True)
    dead = np.flatnonzero(~(total[:, 0] > 0.0))
    if dead.size:
        raise ProbabilityError(
            f"row {dead[0]} has weight {total[dead[0], 0]:g} on its legal actions, expected more "
            "than 0; give every action that can be the only legal one some weight"
        )
    return np.asarray(legal / total, dtype=np.float64)


def certain(action: IntArray, n_actions: int) -> FloatArray:
    """All probability on one action per row, [n, a].

    Args:
        action: position of the action of each row, [n].
        n_actions: actions in the catalogue, a.
    """
    probabilities = np.zeros((action.size, n_actions))
    probabilities[np.arange(action.size), action] = 1.0
    return probabilities


def sample_actions(probabilities: FloatArray, uniforms: FloatArray) -> IntArray:
    """Draw one action per row by inverting its cumulative distribution, [n].

    An action of probability 0 is never drawn, whatever the uniform.

    Args:
        probabilities: rows that sum to 1, [n, a].
        uniforms: one number in [0, 1] per row, [n].

    Raises:
        ShapeError: the shapes do not fit.
        ProbabilityError: a uniform outside [0, 1].
    """
    if probabilities.ndim != 2 or uniforms.shape != probabilities.shape[:1]:
        raise ShapeError(
            f"expected probabilities [n, a] and uniforms [n], got {probabilities.shape} and "
            f"{uniforms.shape}"
        )
    if not ((uniforms >= 0.0) & (uniforms <= 1.0)).all():
        raise ProbabilityError("uniforms must lie in [0, 1]; draw them with rng.random(n)")
    cumulative = np.cumsum(probabilities, axis=1)
    # Strictly above: at uniform 0 a leading action of probability 0 is passed over.
    passed = cumulative <= (uniforms * cumulative[:, -1])[:, None]
    last_possible = probabilities.shape[1] - 1 - (probabilities[:, ::-1] > 0.0).argmax(axis=1)
    return np.asarray(np.minimum(passed.sum(axis=1), last_possible), np.int64)
