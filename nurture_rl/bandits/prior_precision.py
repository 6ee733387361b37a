"""How strongly to shrink: prior precisions that make the observed returns most likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigh
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_GRID = 81
_LEAST, _MOST = 1e-2, 1e3  # of the precisions that are tried, in rows; the most per largest column
_STEPS = 60  # of the search for more than two precisions


@dataclass(frozen=True, slots=True)
class Ridges:
    """Prior precisions over the noise precision: how many rows each prior is worth."""

    main: float  # of the actions' own effects, z(a)
    crossed: float  # of the effects that depend on the context, u(a) (x) x~
    more: tuple[float, ...] = ()  # of further groups, in the order of the design

    @property
    def values(self) -> FloatArray:
        """One for each group of the design, [groups]."""
        return np.array([self.main, self.crossed, *self.more])

    def told(self, names: Sequence[str]) -> dict[str, float]:
        """By the names of the design's groups, as a fit tells them."""
        values = self.values.tolist()
        return {f"ridge_{name}": one for name, one in zip(names, values, strict=True)}

    def times(self, factor: float) -> Ridges:
        """All of them, scaled."""
        return Ridges(
            self.main * factor, self.crossed * factor, tuple(one * factor for one in self.more)
        )


def best_ridges(
    gram: FloatArray, right: FloatArray, leftover: float, freedom: int, n_main: int
) -> Ridges:
    """Maximise the evidence over a grid of both precisions; at each, the noise is maximised out.

        log evidence = -freedom/2 log(leftover - right^T (gram + K)^-1 right)
                       - 1/2 log det(I + K^-1 gram),    K = diag(main .., crossed ..)

    The two kinds of effect need their own precision. A common one would shrink everything: of a
    thousand context effects most are 0, and a dozen real action effects would vanish among them.

    Args:
        gram: Gram matrix of the columns, [p, p].
        right: their products with the returns, [p].
        leftover: sum of squared returns before these columns explain any.
        freedom: rows less the parameters already fitted.
        n_main: leading columns that are main effects.

    Source: MacKay (1992), Bayesian Interpolation; Bishop (2006), 3.5.
    """
    size, axes = eigh(gram[n_main:, n_main:], driver="evd")
    size = np.maximum(size, 0.0)
    link = gram[:n_main, n_main:] @ axes  # [m, p - m]
    score = axes.T @ right[n_main:]
    largest = max(float(np.diag(gram).max()), 1.0)
    grid = np.geomspace(_LEAST, _MOST * largest, _GRID)
    evidence = np.empty((_GRID, _GRID))
    for row, crossed in enumerate(grid):
        below = size + crossed
        inner, turn = np.linalg.eigh(gram[:n_main, :n_main] - (link / below) @ link.T)
        inner = np.maximum(inner, 0.0)
        rest = turn.T @ (right[:n_main] - link @ (score / below))
        explained = score @ (score / below) + (rest**2 / (inner + grid[:, None])).sum(axis=1)
        penalty = np.log1p(size / crossed).sum() + np.log1p(inner / grid[:, None]).sum(axis=1)
        noise = np.maximum(leftover - explained, 1e-300)
        evidence[row] = -freedom * np.log(noise) - penalty
    best = np.unravel_index(int(evidence.argmax()), evidence.shape)
    return Ridges(main=float(grid[best[1]]), crossed=float(grid[best[0]]))


def grouped_ridges(
    gram: FloatArray,
    right: FloatArray,
    leftover: float,
    freedom: int,
    group: IntArray,
    groups: int = 2,
) -> Ridges:
    """As `best_ridges`, for any number of groups: L-BFGS on the logarithms of the precisions.

        d log evidence / d log k_g = 1/2 (p_g - k_g tr_g A^-1 - k_g |m_g|^2 freedom / rest),
        A = gram + K,    m = A^-1 right,    rest = leftover - right^T m

    It begins where each prior is worth one row, so that nothing is shrunk away before the data
    were heard.

    Args:
        gram: Gram matrix of the columns, [p, p].
        right: their products with the returns, [p].
        leftover: sum of squared returns before these columns explain any.
        freedom: rows less the parameters already fitted.
        group: of each column, 0 .. groups - 1, [p].
        groups: how many; one without columns keeps the precision 1.

    Source: MacKay (1992), Bayesian Interpolation; Tipping (2001) for one precision a group.
    """
    sizes = np.bincount(group, minlength=groups)
    bounds = np.log([_LEAST, _MOST * max(float(np.diag(gram).max()), 1.0)])

    def loss(logs: FloatArray) -> tuple[float, FloatArray]:
        ridge = np.exp(logs)
        factor = cholesky(gram + np.diag(ridge[group]), lower=True, check_finite=False)
        inverse, _ = dpotri(factor, lower=1)
        inverse += np.tril(inverse, -1).T
        mode = inverse @ right
        rest = max(leftover - float(right @ mode), 1e-300)
        log_det = 2.0 * np.log(np.diag(factor)).sum() - sizes @ logs
        trace = ridge * np.bincount(group, np.diag(inverse), groups)
        square = ridge * np.bincount(group, mode**2, groups)
        value = 0.5 * (freedom * np.log(rest) + log_det)
        return float(value), -0.5 * (sizes - trace - square * freedom / rest)

    start = np.zeros(sizes.size)
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(bounds)] * sizes.size,
        options={"maxiter": _STEPS},
    )
    main, crossed, *more = (float(one) for one in np.exp(found.x))
    return Ridges(main, crossed, tuple(more))
