"""Numbers told apart, and ranked; whole ones that lie close together without sorting them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

_TENS = 10 ** np.arange(18)
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


def numbered_as_texts(codes: IntArray) -> IntArray | None:
    """Each code's place among the different ones in the order of their texts, [n]: 10 before 9.

    Args:
        codes: whole numbers, [n].

    Returns:
        The places; None where a number is below 0 or has more than 17 digits.
    """
    if codes.size and not 0 <= codes.min() <= codes.max() < _TENS[-1]:
        return None
    digits = np.searchsorted(_TENS[1:], codes, side="right") + 1
    filled = codes * _TENS[digits.max(initial=1) - digits]  # with zeros, to one length
    return np.unique(32 * filled + digits, return_inverse=True)[1].astype(np.int64)


def shared_ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Place of each value in its column from 1 on, equal values sharing the mean place, [n, d].

    What `scipy.stats.rankdata` says; to load it takes longer than many an evaluation.

    Args:
        values: columns of finite numbers, [n, d].
    """
    ranks = np.empty(values.shape)
    for column, places in zip(values.T, ranks.T, strict=True):
        order = np.argsort(column)
        ordered = column[order]
        begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        ends = np.append(begins[1:], ordered.size)
        places[order] = np.repeat(0.5 * (begins + ends + 1), ends - begins)
    return ranks


def _dense(codes: IntArray) -> bool:
    """Whether a table from 0 to the largest code is no larger than a few times their number."""
    if codes.size == 0:
        return True
    return bool(codes.min() >= 0 and codes.max() <= _ROOM * codes.size + 1024)
