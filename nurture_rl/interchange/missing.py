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
    return np.where(nameless(known, missing)[number], -1, number).astype(np.int64)


def nameless(names: NDArray[np.str_], missing: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Which ids name nobody, [k].

    Args:
        names: different ids as texts, [k].
        missing: numbers that the log writes where it has no id.
    """
    nobody = np.zeros(names.size, dtype=np.bool_)
    doubtful = np.ones(names.size, dtype=np.bool_)
    if all(code < 0.0 for code in missing):  # no code is digits alone, and most ids are
        doubtful = ~np.strings.isdigit(names)
    for position in np.flatnonzero(doubtful):
        nobody[position] = _nobody(str(names[position]), missing)
    return nobody


def _nobody(name: str, missing: Sequence[float]) -> bool:
    word = name.strip().lower()
    if word in NOBODY:
        return True
    try:
        return bool(missing) and float(word) in missing
    except ValueError:
        return False


def likely_nobody(
    names: NDArray[np.str_], count: IntArray, known: Sequence[float]
) -> tuple[float, int] | None:
    """A number that many rows write for who is not known, such as -1, and how many.

    It is the only id below 0, or 0 or nines with far more rows than any other id has.

    Args:
        names: different ids, [k].
        count: rows of each, [k].
        known: numbers of which the log's owner says what they are.
    """
    if names.size <= _OTHERS:
        return None
    below, nines = np.strings.startswith(names, "-"), _only(names, "9")
    second, most = (int(rows) for rows in np.partition(count, -2)[-2:])
    for position in np.flatnonzero(below | nines | _only(names, "0")):
        number, rows = _number(str(names[position])), int(count[position])
        if number is None or number in known:
            continue
        crowd = rows >= max(_CROWD, _TIMES * (second if rows == most else most))
        alone = number < 0.0 and below.sum() == 1 and rows >= _OFTEN
        long = nines[position] and len(names[position]) > 2
        if alone or (crowd and (number == 0.0 or long)):
            return number, rows
    return None


def _only(names: NDArray[np.str_], digit: str) -> NDArray[np.bool_]:
    """Which ids consist of one digit, however often, [k]."""
    return np.asarray((names != "") & (np.strings.strip(names, digit) == ""))


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
