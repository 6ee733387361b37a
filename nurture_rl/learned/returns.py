"""What followed a decision, in one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import LogError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def returns_to_go(
    reward: FloatArray, episode: IntArray, step: IntArray, discount: float
) -> FloatArray:
    """Discounted reward from each decision to the end of its episode, [n], the journey's unit.

        R_t = r_t + discount^(step_{t+1} - step_t) R_{t+1}

    With one decision per episode it is the reward itself.

    Args:
        reward: reward of each decision, [n].
        episode: episode of each decision, its rows next to each other, [n].
        step: bin of each decision, increasing inside an episode, [n].
        discount: per bin, in (0, 1].

    Raises:
        ShapeError: the arrays are not all [n].
        LogError: an episode's rows are apart or its steps do not increase.
    """
    if not reward.ndim == 1 or not reward.shape == episode.shape == step.shape:
        raise ShapeError(
            f"reward, episode and step must all be [n], got {reward.shape}, {episode.shape} and "
            f"{step.shape}"
        )
    require_order(episode, step)
    same, gap = episode[1:] == episode[:-1], np.diff(step)
    onward = np.where(same, discount ** np.where(same, gap, 0).astype(np.float64), 0.0)
    total = reward.astype(np.float64)
    for row in range(total.size - 2, -1, -1):
        total[row] += onward[row] * total[row + 1]
    return total


def require_order(episode: IntArray, step: IntArray) -> None:
    """Guard the order that everything about what follows a decision reads rows in.

    Args:
        episode: episode of each decision, [n].
        step: bin of each decision, [n].

    Raises:
        LogError: an episode's rows are apart or its steps do not increase.
    """
    same = episode[1:] == episode[:-1]
    if np.count_nonzero(~same) + min(episode.size, 1) != np.unique(episode).size:
        raise LogError("the rows of an episode must be next to each other; sort by episode, step")
    back = same & (step[1:] <= step[:-1])
    if back.any():
        row = int(back.argmax()) + 1
        raise LogError(
            f"row {row} has step {step[row]} after step {step[row - 1]} of its own episode; "
            "sort by episode, step"
        )
