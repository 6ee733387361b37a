"""What cannot happen in a bin without something else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_SURE = 10.0  # expected events whose absence is no accident: exp(-10) = 5e-5


def hard_requirements(happened: BoolArray, action: IntArray, actions: int) -> BoolArray:
    """Whether head h never happens in a bin without the earlier head j, [H, H].

    True where no bin has h alone, although at least ten would be expected if, after each action, h
    were independent of j. Example: a mail that was not delivered is never opened.

    Args:
        happened: bins with events, [n, H], heads in the order they see each other.
        action: catalogue positions, [n].
        actions: size of the catalogue.
    """
    heads = happened.shape[1]
    rows = np.bincount(action, minlength=actions).astype(np.float64)
    events = np.zeros((actions, heads))
    for head in range(heads):
        events[:, head] = np.bincount(action[happened[:, head]], minlength=actions)
    rates = events / np.maximum(rows, 1.0)[:, None]
    expected = rates.T @ (rows[:, None] - events)
    y = happened.astype(np.float32)
    alone = happened.sum(axis=0)[:, None] - np.rint(y.T @ y)
    earlier = np.tri(heads, k=-1, dtype=bool)
    return np.asarray((alone == 0) & (expected >= _SURE) & earlier)
