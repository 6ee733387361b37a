"""Missing ids: empty cells, NaN, None, and the codes that a log writes for missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Texts = NDArray[np.object_]

# What other programs write for a missing id; rows with such a text are not one person.
NOBODY = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>", "nat", "inf", "-inf"})


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
