"""How strongly to shrink: prior precisions that make the observed returns most likely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

FloatArray = NDArray[np.float64]

_GRID = 81


@dataclass(frozen=True, slots=True)
class Ridges:
    """Prior precisions over the noise precision: how many rows each prior is worth."""

    main: float  # of the actions' own effects, z(a)
    crossed: float  # of the effects that depend on the context, u(a) (x) x~


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
    grid = np.geomspace(1e-2, 1e3 * largest, _GRID)
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
