"""What numba makes of the sequential estimators: one pass over the rows, no array in between.

Nothing imports this module unless numba is installed.
"""

from __future__ import annotations

from typing import Any

import numba
from numpy.typing import NDArray

Array = NDArray[Any]

_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_jit
def fill_returns(
    target: Array, q: Array, rows: tuple[Array, ...], worth: Array, first: Array, out: Array
) -> None:
    """`fused.EpisodeReturns` of every episode into `out`, [5, E].

    Args:
        target: target probabilities, [N, a].
        q: action values, [N, a].
        rows: action, propensity, reward and step of each decision, [N] each.
        worth: discount by bins since the episode's first decision, [bins].
        first: row of each episode's first decision, and N, [E + 1].
        out: filled with direct, whole, weighted, corrected and final, [5, E].
    """
    action, propensity, reward, step = rows
    for e in range(first.shape[0] - 1):
        start = first[e]
        weight, whole, weighted, corrected, direct = 1.0, 0.0, 0.0, 0.0, 0.0
        for k in range(start, first[e + 1]):
            value = 0.0
            for a in range(target.shape[1]):
                value += target[k, a] * q[k, a]
            if k == start:
                direct = value
            gain = worth[step[k] - step[start]]
            corrected += gain * weight * value
            weight *= target[k, action[k]] / propensity[k]
            whole += gain * reward[k]
            weighted += gain * weight * reward[k]
            corrected += gain * weight * (reward[k] - q[k, action[k]])
        out[0, e] = direct
        out[1, e] = weight * whole
        out[2, e] = weighted
        out[3, e] = corrected
        out[4, e] = weight
