"""Large arrays that are handed out again once nobody holds them: a step need not ask for memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

Arrays = TypeVar("Arrays", bound="tuple[Any, ...]")

_SPARE = 2  # that wait to be handed out; what more was let go of goes back to the system
_OWN = 3  # references to an array that its tuple and the count itself hold


class Recycled(Generic[Arrays]):
    """Tuples of arrays of one shape.

    Whoever was given an array, a view of it or a tensor over it keeps it: an array is handed out
    again only when no reference to its memory is left but the pool's own.
    """

    def __init__(self, make: Callable[[], Arrays]) -> None:
        self._make = make
        self._all: list[Arrays] = []

    def take(self) -> Arrays:
        """Arrays that nobody else holds; what they contain is left from before."""
        free = [arrays for arrays in self._all if _free(arrays)]
        let_go = {id(arrays) for arrays in free[_SPARE:]}
        self._all = [arrays for arrays in self._all if id(arrays) not in let_go]
        if not free:
            self._all.append(self._make())
            return self._all[-1]
        return free[0]


def _free(arrays: tuple[NDArray[Any], ...]) -> bool:
    return all(sys.getrefcount(one) <= _OWN for one in arrays)
