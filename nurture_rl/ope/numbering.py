"""Whole numbers told apart without sorting them, where they lie close together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

_ROOM = 8  # numbers that may lie between two that occur, on average, for a table of all to be kept


def numbered(codes: IntArray) -> tuple[IntArray, int]:
    """Each code's place among the different ones in ascending order, [n], and how many there are.

    What `np.unique` says, from a table of all numbers in between where they are few.

    Args:
        codes: whole numbers, [n].
    """
    if not _dense(codes):
        names, place = np.unique(codes, return_inverse=True)
        return place.astype(np.int64), names.size
    occurs = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.bool_)
    occurs[codes] = True
    if occurs.all():
        return codes, occurs.size
    rank = np.cumsum(occurs) - 1
    return rank[codes], int(occurs.sum())


def distinct(codes: IntArray) -> IntArray:
    """The different codes in ascending order, [m]."""
    if not _dense(codes):
        return np.unique(codes).astype(np.int64)
    occurs = np.zeros(int(codes.max(initial=-1)) + 1, dtype=np.bool_)
    occurs[codes] = True
    return np.flatnonzero(occurs).astype(np.int64)


def _dense(codes: IntArray) -> bool:
    """Whether a table from 0 to the largest code is no larger than a few times their number."""
    if codes.size == 0:
        return True
    return bool(codes.min() >= 0 and codes.max() <= _ROOM * codes.size + 1024)
