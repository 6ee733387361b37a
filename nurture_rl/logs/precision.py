"""How precisely probabilities were written down, and so how closely they can be checked.

Three thirds written with four decimals sum to 0.9999, which is not a fault. A number's precision is
the least number of decimals that gives it back; an error of half the last decimal is allowed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FINEST = 7  # decimals: what is written with more is taken as exact, but for `FLOOR`
COARSEST = 4  # decimals: a short number among longer ones is taken as this precise at least
FLOOR = 1e-6  # of probability: what logs in 32 bits lose
SUM_CAP, MATCH_CAP = 0.02, 0.01  # of probability: no rounding excuses more
_SINGLE = 2.0**-24  # relative error of a number kept in 32 bits
_SLACK = 1e-9  # of probability: what arithmetic in 64 bits loses


def written_decimals(values: ArrayLike) -> IntArray:
    """The fewest decimals that give each number back, at most `FINEST`; of any shape.

    A number that went through 32 bits is given back as closely as those can. What is not finite
    counts as written with none.
    """
    exact = np.asarray(values, np.float64)
    left = np.where(np.isfinite(exact), exact, 0.0).ravel()
    decimals_of = np.full(left.size, FINEST, np.int64)
    rows = np.arange(left.size)
    for decimals in range(FINEST - 1, -1, -1):  # what six do not give back, no fewer do
        back = np.abs(np.round(left, decimals) - left) <= _SINGLE * np.abs(left)
        left, rows = left[back], rows[back]
        decimals_of[rows] = decimals
    return decimals_of.reshape(exact.shape)


def row_decimals(most: IntArray) -> IntArray:
    """Decimals each row of a column can be checked with, [n].

    A short number is no less precise than its longer neighbours: 0.5 among numbers of sixteen
    decimals is a half, so only a column that is short throughout is taken as coarse.

    Args:
        most: the most decimals that any number of the row was written with, [n].
    """
    if most.size == 0:
        return most
    return np.asarray(np.maximum(most, min(int(most.max()), COARSEST)))


def table_decimals(table: FloatArray) -> IntArray:
    """`row_decimals` of a table of one distribution a row, [n, a] → [n]."""
    return row_decimals(written_decimals(table).max(axis=1, initial=0))


def sum_tolerance(decimals: IntArray, entries: ArrayLike) -> FloatArray:
    """How far from 1 a sum of rounded probabilities may lie, [n].

    Args:
        decimals: of each row, as `row_decimals` gives them, [n].
        entries: numbers that were rounded and added up in each row, [n] or one number.
    """
    error = _half(decimals) * np.asarray(entries)
    return np.asarray(np.clip(error, FLOOR, SUM_CAP) + _SLACK)


def match_tolerance(first: IntArray, second: IntArray) -> FloatArray:
    """How far two writings of one probability may lie apart, given the decimals of each, [n]."""
    return np.asarray(np.clip(_half(first) + _half(second), FLOOR, MATCH_CAP) + _SLACK)


def _half(decimals: IntArray) -> FloatArray:
    return np.asarray(np.where(decimals >= FINEST, 0.0, 0.5 * 10.0 ** -decimals.astype(np.float64)))
