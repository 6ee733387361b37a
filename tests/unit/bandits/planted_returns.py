"""Small linear problems with known truth, and the dense design they are checked against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.linear_posterior import Sample

FloatArray = NDArray[np.float64]

FACTORS = np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]])  # [3 actions, 2 columns]


def sample(n: int, seed: int, rows_per_contact: int = 1) -> Sample:
    """Two features, three actions; action 1 earns 3 more, action 2 earns 2 per unit of x_1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, (n, 2)).astype(np.float32)
    action = rng.integers(0, 3, n)
    returns = 5.0 + x[:, 0] + 3.0 * (action == 1) + 2.0 * x[:, 1] * (action == 2)
    returns = returns + rng.normal(0.0, 4.0, n)
    return Sample(x, action, returns.astype(np.float64), np.arange(n) // rows_per_contact)


def dense(rows: Sample) -> tuple[FloatArray, FloatArray]:
    """Context part [n, d + 1] and action part [n, p] of every row, written out."""
    context = ContextMoments.of(rows.features).extended(rows.features)
    one_hot = np.eye(len(FACTORS))[rows.action]
    crossed = [np.kron(FACTORS[a], x[1:]) for a, x in zip(rows.action, context, strict=True)]
    return context, np.hstack([one_hot, np.array(crossed)])


def projected(rows: Sample) -> tuple[FloatArray, FloatArray]:
    """Action part and returns with the context part regressed out, [n, p] and [n]."""
    context, action_part = dense(rows)
    both = np.column_stack([action_part, rows.returns])
    left = both - context @ np.linalg.lstsq(context, both, rcond=None)[0]
    return left[:, :-1], left[:, -1]
