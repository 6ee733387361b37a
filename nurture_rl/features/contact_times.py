"""Moments of contacts in order: which came last before another, or next after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
NONE = -1  # position of a moment that is not there


@dataclass(frozen=True, slots=True)
class ContactTimes:
    """Moments sorted by contact, then time."""

    order: IntArray  # position in what was given, [m]
    contact: IntArray  # [m], sorted
    moments: IntArray  # all different times, ascending
    keys: IntArray  # one number for contact and time, ascending, [m]

    def before(self, contact: IntArray, time: IntArray, back: int = 0) -> IntArray:
        """The last moment of each contact before a time, or one further back.

        Args:
            contact: [n].
            time: [n], the unit of the moments.
            back: 0 for the last, 1 for the one before it, and so on.

        Returns:
            Positions in what was given, [n]; NONE where there is none.
        """
        place = np.searchsorted(self.keys, self._key(contact, time), side="left") - 1 - back
        return self._at(place, contact)

    def since(self, contact: IntArray, time: IntArray) -> IntArray:
        """The first moment of each contact at a time or after it, likewise, [n]."""
        place = np.searchsorted(self.keys, self._key(contact, time), side="left")
        return self._at(place, contact)

    def _key(self, contact: IntArray, time: IntArray) -> IntArray:
        rank = np.searchsorted(self.moments, time, side="left")
        return np.asarray(contact * (len(self.moments) + 1) + rank, np.int64)

    def _at(self, place: IntArray, contact: IntArray) -> IntArray:
        inside = (place >= 0) & (place < len(self.keys))
        if not inside.any():
            return np.full(len(contact), NONE, np.int64)
        safe = np.where(inside, place, 0)
        found = inside & (self.contact[safe] == contact)
        return np.where(found, self.order[safe], NONE)


def contact_times(contact: IntArray, time: IntArray) -> ContactTimes:
    """Sort moments.

    Args:
        contact: whose, [m].
        time: when, [m]; of equal ones the first given comes first.
    """
    order = np.lexsort((time, contact))
    moments, rank = np.unique(time, return_inverse=True)
    keys = contact * (len(moments) + 1) + rank
    return ContactTimes(
        order.astype(np.int64),
        contact[order].astype(np.int64),
        moments.astype(np.int64),
        keys[order].astype(np.int64),
    )
