"""Days held out: a world fitted to the first days of a log is judged on the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.decisions import IntArray
from nurture_rl.simulator.data import WorldData

_EARLY = 0.8  # of the calendar days
_FEWEST_CONTACTS = 10  # a world cannot be fitted to, or judged on, fewer


@dataclass(frozen=True, slots=True, eq=False)
class DaySplit:
    """Rows before a day and rows from it on."""

    early: IntArray
    late: IntArray
    from_day: int  # first day of `late`, days since 1970


def split_days(data: WorldData, share: float = _EARLY) -> DaySplit | None:
    """Usable rows of the first `share` of the calendar days, and of the days after.

    Returns:
        None where a side has fewer than ten contacts: a campaign of one day has no later days.
    """
    rows = np.flatnonzero(data.usable)
    if not len(rows):
        return None
    when = data.when[rows]
    first, last = int(when.min()), int(when.max())
    from_day = first + max(1, round(share * (last - first + 1)))
    early, late = rows[when < from_day], rows[when >= from_day]
    for side in (early, late):
        if len(np.unique(data.cluster[side])) < _FEWEST_CONTACTS:
            return None
    return DaySplit(early, late, from_day)


def unseen_rows(data: WorldData, late: IntArray, fitted: IntArray) -> IntArray:
    """Those of the rows `late` whose contacts have none among the rows `fitted`."""
    return late[~np.isin(data.cluster[late], data.cluster[fitted])]
