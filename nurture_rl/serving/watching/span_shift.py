"""Whether two samples of contacts differ, by size and beyond chance: numpy alone."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_BINS = 10
_SURE = 4.0  # standard deviations beyond which chance is no cause, also among some hundred figures


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a distribution moved."""

    psi: float  # population stability index; above 0.25 is commonly called a large shift
    is_sure: bool  # more than chance would do with so many contacts


@dataclass(slots=True)
class ContactSample:
    """One row for each of at most `most` contacts, whichever have the smallest hashes.

    So the sample depends on who was seen, not on the order or on how often.
    """

    most: int
    rows: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    _limit: int = 1 << 64  # contacts with a hash from here on are left out

    def add(self, contact_id: str, row: NDArray[np.float64]) -> None:
        """Keep a contact's row; the latest one counts.

        Args:
            contact_id: whose.
            row: [d].
        """
        if _hash(contact_id) >= self._limit:
            return
        self.rows[contact_id] = row
        if len(self.rows) > 2 * self.most:
            self._cut()

    def table(self) -> NDArray[np.float64]:
        """The rows of the sample, [n, d]; [0, 0] where nobody was seen."""
        if len(self.rows) > self.most:
            self._cut()
        return np.array(list(self.rows.values())) if self.rows else np.zeros((0, 0))

    def _cut(self) -> None:
        hashes = sorted(_hash(name) for name in self.rows)
        self._limit = hashes[self.most]
        self.rows = {name: row for name, row in self.rows.items() if _hash(name) < self._limit}


def shift_of(before: NDArray[np.float64], now: NDArray[np.float64]) -> Shift:
    """How far values moved between two samples, over ten bins of about equal share or fewer.

    Args:
        before: one value per contact, [n].
        now: likewise, [m]; n and m at least 1.
    """
    both = np.sort(np.concatenate([before, now]))
    edges = np.unique(both[[len(both) * i // _BINS for i in range(1, _BINS)]])
    counts = np.array([_counted(before, edges), _counted(now, edges)], np.float64)  # [2, bins]
    counts = counts[:, counts.sum(0) > 0]
    share = (counts + 0.5) / (counts + 0.5).sum(1, keepdims=True)
    psi = float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    squares = float(((counts - expected) ** 2 / expected).sum())
    return Shift(psi, deviations(squares, counts.shape[1] - 1) > _SURE)


def _counted(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many values lie below, between and from the edges on, [edges + 1]."""
    return np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)


def deviations(squares: float, freedom: int) -> float:
    """A chi-square statistic as standard deviations above chance, after Wilson and Hilferty (1931).

    Args:
        squares: the statistic.
        freedom: its degrees of freedom; 0 gives 0.0, for then nothing can differ.
    """
    if freedom == 0:
        return 0.0
    spread = 2.0 / (9.0 * freedom)
    return float(((squares / freedom) ** (1.0 / 3.0) - (1.0 - spread)) / math.sqrt(spread))


def is_other_rate(before: int, now: int, ratio: float) -> bool:
    """Whether counts of two spans differ beyond chance, as rates, if spans are as `ratio`.

    Args:
        before: how often in the first span.
        now: how often in the second.
        ratio: of the second span (or of what was exposed in it) to the first, above 0.
    """
    total = before + now
    expected = total * ratio / (1.0 + ratio)
    spread = math.sqrt(expected / (1.0 + ratio))
    return total > 0 and abs(now - expected) > _SURE * spread


def _hash(contact_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(contact_id.encode(), digest_size=8).digest(), "big")
