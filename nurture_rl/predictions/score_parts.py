"""A chance as a sum of what groups of features add to it.

With v(S) the chance when the features of the groups S are the contact's own and all others are
average, a group adds its Shapley value: the mean over all orders of what it changes when it comes.
Parts and the chance of an average contact sum to the chance, exactly.

Source: Shapley (1953), A Value for n-Person Games.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

BASE = "base"  # the chance of an average contact on the same day of the episode


def group_parts(
    chance: Callable[[FloatArray], FloatArray],
    z: FloatArray,
    columns: Sequence[str],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, FloatArray]:
    """What each group adds to a chance, and `BASE`; [n] each.

    Args:
        chance: of standardised features, [n, d] -> [n].
        z: the contacts' own, 0 is average, [n, d].
        columns: names of the features, [d].
        groups: columns by group, each in one group.
    """
    place = {name: k for k, name in enumerate(columns)}
    members = {name: [place[one] for one in of] for name, of in groups.items()}
    names = tuple(members)
    value: dict[frozenset[str], FloatArray] = {}
    for size in range(len(names) + 1):
        for some in combinations(names, size):
            seen = np.zeros_like(z)
            rows = [column for name in some for column in members[name]]
            seen[:, rows] = z[:, rows]
            value[frozenset(some)] = chance(seen)
    parts = {BASE: value[frozenset()]}
    for name in names:
        others = [one for one in names if one != name]
        added = np.zeros(len(z))
        for size in range(len(others) + 1):
            weight = factorial(size) * factorial(len(others) - size) / factorial(len(names))
            for some in combinations(others, size):
                before = frozenset(some)
                added += weight * (value[before | {name}] - value[before])
        parts[name] = added
    return parts
