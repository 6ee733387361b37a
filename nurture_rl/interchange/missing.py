"""Missing ids: empty cells, NaN, None, and the codes that a log writes for missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.logs.vocabulary import NOBODY

IntArray = NDArray[np.int64]
Texts = NDArray[np.object_]

_OFTEN = 3  # rows of the only number below 0 among ids, from which on it is taken for a code
_CROWD = 30  # rows of a zero or nines
_TIMES = 10  # as many as any other id has
_OTHERS = 10  # ids at least


def label(value: Any) -> str:
    """A cell as text, "" where it is None or NaN; whole numbers lose their ".0"."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return ""
        return str(int(value)) if float(value).is_integer() else str(value)
    return str(value)


def labels(values: Iterable[Any]) -> Texts:
    """`label` of each cell, [n]."""
    return np.array([label(value) for value in values], dtype=object)


def numbered_ids(names: Texts, missing: Sequence[float] = ()) -> IntArray:
    """A number for each different id, -1 where there is none, [n].

    Args:
        names: ids as texts, [n].
        missing: numbers that the log writes where it has no id.
    """
    if names.size == 0:
        return np.zeros(0, dtype=np.int64)
    known, number = np.unique(names.astype(str), return_inverse=True)
    codes = bool(missing)
    nobody = np.array([(codes or not name.isdigit()) and _nobody(name, missing) for name in known])
    return np.where(nobody[number], -1, number).astype(np.int64)


def _nobody(name: str, missing: Sequence[float]) -> bool:
    word = name.strip().lower()
    if word in NOBODY:
        return True
    try:
        return bool(missing) and float(word) in missing
    except ValueError:
        return False


def likely_nobody(
    names: Texts, count: IntArray, known: Sequence[float]
) -> tuple[float, int] | None:
    """A number that many rows write for who is not known, such as -1, and how many.

    It is the only id below 0, or 0 or nines with far more rows than any other id has.

    Args:
        names: different ids, [k].
        count: rows of each, [k].
        known: numbers of which the log's owner says what they are.
    """
    alone = sum(name.startswith("-") for name in names) == 1
    for position, name in enumerate(names):
        number, rows = _number(name), int(count[position])
        if number is None or number in known or names.size <= _OTHERS:
            continue
        others = int(np.delete(count, position).max())
        crowd = rows >= max(_CROWD, _TIMES * others)
        nines = len(name) > 2 and set(name) == {"9"}
        if (number < 0.0 and alone and rows >= _OFTEN) or (crowd and (number == 0.0 or nines)):
            return number, rows
    return None


def _number(name: str) -> float | None:
    if not (name.startswith("-") or set(name) in ({"0"}, {"9"})):
        return None
    try:
        return float(name)
    except ValueError:
        return None
