"""The best softmax policy that is linear in the context, by the exact gradient of an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from nurture_rl.learned.training_log import Progress

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
# Of some rows: what one more unit of each action's probability adds to the row's number, [m, a].
Gains = Callable[[slice], FloatArray]
# Of every row's number, [n]: the objective, and what one more unit of each adds to it, [n].
Total = Callable[[FloatArray], tuple[float, FloatArray]]

_CHUNK_ROWS = 1 << 15


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxFamily:
    """Policies pi(a|x) ~ exp(basis_a^T theta [1, x~]) over the legal actions.

    Actions share what their rows of the basis share.
    """

    context: FloatArray  # [1, x~] of each row, [n, d + 1]
    mask: BoolArray  # True where legal, [n, a]
    basis: FloatArray  # [a, k]

    def maps(self, theta: FloatArray) -> FloatArray:
        """Logits as linear maps of [1, x~], [a, d + 1].

        Args:
            theta: parameters, [k (d + 1)].
        """
        return self.basis @ theta.reshape(self.basis.shape[1], -1)

    def numbers(self, theta: FloatArray, gains: Gains) -> FloatArray:
        """Every row's number: the sum of its gains, weighted by the policy, [n]."""
        maps, found = self.maps(theta), np.empty(len(self.context))
        for rows in self._chunks():
            found[rows] = (self._probabilities(maps, rows) * gains(rows)).sum(axis=1)
        return found

    def gradient(self, theta: FloatArray, gains: Gains, slope: FloatArray) -> FloatArray:
        """Of an objective whose derivative by each row's number is the slope, [k (d + 1)]."""
        maps = self.maps(theta)
        blocks = np.zeros_like(maps)
        for rows in self._chunks():
            p, gain = self._probabilities(maps, rows), gains(rows)
            by_logit = p * (gain - (p * gain).sum(axis=1, keepdims=True)) * slope[rows, None]
            blocks += by_logit.T @ self.context[rows]
        return (self.basis.T @ blocks).ravel()

    def best(
        self, gains: Gains, total: Total, ridge: float, iterations: int, progress: Progress
    ) -> FloatArray:
        """Parameters of a local maximum of `total - ridge / (2 n) |theta|^2`, [k (d + 1)].

        The search begins at the even distribution over the legal actions.

        Args:
            gains: of rows.
            total: objective of the rows' numbers.
            ridge: how many rows the wish for small parameters counts, >= 0.
            iterations: at most, of L-BFGS.
            progress: is told the objective after each.
        """
        shrink = ridge / len(self.context)

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            value, slope = total(self.numbers(theta, gains))
            gradient = self.gradient(theta, gains, slope)
            return 0.5 * shrink * float(theta @ theta) - value, shrink * theta - gradient

        step = 0

        def told(*, intermediate_result: OptimizeResult) -> None:
            nonlocal step
            progress(step, {"objective": -float(intermediate_result.fun)})
            step += 1

        start = np.zeros(self.basis.shape[1] * self.context.shape[1])
        options = {"maxiter": iterations}
        found = minimize(loss, start, jac=True, method="L-BFGS-B", callback=told, options=options)
        return np.asarray(found.x, np.float64)

    def _chunks(self) -> Iterator[slice]:
        for start in range(0, len(self.context), _CHUNK_ROWS):
            yield slice(start, min(start + _CHUNK_ROWS, len(self.context)))

    def _probabilities(self, maps: FloatArray, rows: slice) -> FloatArray:
        logits = np.where(self.mask[rows], self.context[rows] @ maps.T, -np.inf)
        weight = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def shared_basis(factors: FloatArray) -> FloatArray:
    """Every action has parameters of its own, and those of its factors, [a, a + k].

    Args:
        factors: factor columns of the catalogue, [a, k].
    """
    return np.hstack([np.eye(len(factors)), factors])
