"""Rows told apart by what they hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.contact_hash import mixed
from nurture_rl.ope.log import EvaluationLog, IntArray


def kinds(columns: Iterable[NDArray[np.generic]]) -> IntArray:
    """Number of each row's kind, 0, 1, ...: rows alike in all columns share one, [n].

    Args:
        columns: at least one, [n] each, of numbers that a float64 can hold.
    """
    key: NDArray[np.uint64] | None = None
    for column in columns:
        number = column.astype(np.float64) + 0.0  # -0 and 0 are one number
        bits = number.view(np.uint64)
        # Hashed one into another: sixty-four bits do not meet by chance in any log.
        key = mixed(bits if key is None else key ^ bits)
    assert key is not None
    return np.unique(key, return_inverse=True)[1].astype(np.int64)


def contexts(log: EvaluationLog) -> IntArray:
    """Number of each row's context: features and mask, [N]."""
    return kinds([*log.features.T, *log.mask.T])
