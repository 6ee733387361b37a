"""How a target policy's weight is spread over a log: enough to draw its tail and its overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray

CURVE_POINTS = 101  # shares of episodes at which the carried weight is told
TOPS = (0.001, 0.01, 0.1)  # shares of episodes, the heaviest first
TAIL_POINTS = 200  # weights at which the tail is told


@dataclass(frozen=True, slots=True, eq=False)
class WeightProfile:
    """The weights of one policy, by the episode's last decision."""

    unused: float  # share of episodes with weight 0, in [0, 1]
    largest: float  # weight
    carried: FloatArray  # share of all weight on the heaviest share k / (P - 1) of episodes, [P]
    top: FloatArray  # the same for `TOPS`, [3]
    tail_weight: FloatArray  # weights > 0 in ascending order, thinned, [Q]
    tail_share: FloatArray  # share of episodes at least so heavy, [Q]


def weight_profile(weights: FloatArray) -> WeightProfile:
    """Profile of weights, one per episode.

    Args:
        weights: final cumulative weights, [E], each >= 0.

    Raises:
        ShapeError: no weight, or a negative one.
    """
    if weights.ndim != 1 or weights.size == 0 or not (weights >= 0.0).all():
        raise ShapeError(f"expected weights [E] >= 0 of at least one episode, got {weights.shape}")
    heavy = np.sort(weights)[::-1]
    total = heavy.sum()
    carried = np.append(0.0, np.cumsum(heavy)) / (total if total > 0.0 else 1.0)
    shares = np.linspace(0.0, 1.0, CURVE_POINTS)
    steps = np.linspace(0.0, 1.0, heavy.size + 1)
    used = heavy[heavy > 0.0][::-1]
    # Few points in the bulk, every one in the tail: places are even in the logarithm of the rank.
    rank = np.unique(np.geomspace(1, max(used.size, 1), TAIL_POINTS).astype(np.int64))
    place = used.size - rank[::-1] if used.size else np.empty(0, dtype=np.int64)
    return WeightProfile(
        unused=float((weights == 0.0).mean()),
        largest=float(heavy[0]),
        carried=np.interp(shares, steps, carried),
        top=np.interp(TOPS, steps, carried),
        tail_weight=used[place],
        tail_share=(used.size - place) / weights.size,
    )
