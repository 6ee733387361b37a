"""Events of each contact in the order of time, and what was last before each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def in_time(events: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Contacts one after the other, each one's events by time, with these columns."""
    kept = events.select(["contact_id", "occurred_at", *columns])
    return kept.sort_by([("contact_id", "ascending"), ("occurred_at", "ascending")])


def latest(events: pa.Table, marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The place of the last marked event of the contact at or before each event, -1: none; [n].

    Args:
        events: as `in_time` gives them, [n].
        marked: which ones are looked for, [n].
    """
    who = np.asarray(events["contact_id"].combine_chunks().dictionary_encode().indices)
    place = np.maximum.accumulate(np.where(marked, np.arange(marked.size), -1))
    own = (place >= 0) & (who[place] == who)
    return np.where(own, place, -1)
