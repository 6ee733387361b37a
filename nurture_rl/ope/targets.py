"""Target policies on the logged rows: what they would have done there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray
from nurture_rl.ope.log_checks import require_probabilities


class TargetPolicy(Protocol):
    """Anything that gives action probabilities, [n, d] and [n, a] -> [n, a]."""

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_], /
    ) -> NDArray[np.float64]:
        """Rows sum to 1 and are exactly 0 where `mask` is False."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TabulatedPolicy:
    """A target policy that is known by its probabilities on the log's own rows alone."""

    probabilities: FloatArray  # [N, a]


@dataclass(frozen=True, slots=True, eq=False)
class TargetOnLog:
    """A target policy's probabilities on the logged rows, and how they sit on the log's."""

    probabilities: FloatArray  # [N, a]
    taken: FloatArray  # of the logged actions, [N]
    second_moment: FloatArray  # sum_a target^2 / logging given the row, or its estimate, [N]
    unsupported: FloatArray | None  # mass on actions the log gave no chance; None if unknown, [N]


def target_on_log(
    log: EvaluationLog, policy: TargetPolicy | TabulatedPolicy, name: str, chunk_rows: int
) -> TargetOnLog:
    """Ask a policy for its probabilities, a bounded number of rows at a time, or take its table.

    Where the log holds the propensity alone, the second moment of a row's ratio is estimated by
    the square of the ratio it drew: noisy per row, right on average.

    Raises:
        ProbabilityError, ShapeError: the answer is no distribution over legal actions.
    """
    if isinstance(policy, TabulatedPolicy):
        target = np.asarray(policy.probabilities, dtype=np.float64)
        require_probabilities(target, log.mask, f"policy {name!r}")
    else:
        target = _asked(log, policy, name, chunk_rows)
    return on_logged_rows(log, target)


def on_logged_rows(log: EvaluationLog, target: FloatArray) -> TargetOnLog:
    """Set a target's probabilities on the logged rows, [N, a], against the log's own."""
    taken = target[np.arange(log.n_rows), log.action]
    with np.errstate(over="ignore"):  # a square that is infinite is that of no overlap
        second_moment, unsupported = (taken / log.propensity) ** 2, None
    if log.logged_probabilities is not None:
        logged = log.logged_probabilities
        chance = logged > 0.0
        with np.errstate(over="ignore"):
            spread = np.divide(target, logged, out=np.zeros_like(target), where=chance)
        second_moment = np.einsum("na,na->n", spread, target)
        unsupported = np.asarray(np.where(chance, 0.0, target).sum(axis=1))
    return TargetOnLog(target, taken, second_moment, unsupported)


def _asked(log: EvaluationLog, policy: TargetPolicy, name: str, chunk_rows: int) -> FloatArray:
    target = np.empty((log.n_rows, log.n_actions))
    for first in range(0, log.n_rows, chunk_rows):
        rows = slice(first, first + chunk_rows)
        answer = np.asarray(
            policy.action_probabilities(log.features[rows], log.mask[rows]), dtype=np.float64
        )
        require_probabilities(answer, log.mask[rows], f"policy {name!r} from row {first}")
        target[rows] = answer
    return target


def action_mix(log: EvaluationLog, probabilities: FloatArray) -> FloatArray:
    """Mean probability of each action by bin of `np.unique(log.step)`, over logged rows, [S, a].

    The contexts are the log's: the mix the policy would show where the log went.
    """
    steps, group = np.unique(log.step, return_inverse=True)
    columns = [np.bincount(group, weights=column) for column in probabilities.T]
    return np.stack(columns, axis=1) / np.bincount(group, minlength=steps.size)[:, None]


def logged_one_hot(mask: BoolArray, action: NDArray[np.int64]) -> FloatArray:
    """The logged actions as rows of zeros and one 1, [N, a]."""
    rows = np.zeros(mask.shape)
    rows[np.arange(action.size), action] = 1.0
    return rows
