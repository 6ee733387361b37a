"""Which mail goes next: when its hour has come, and no faster than mailbox providers like."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Rates:
    """How many mails a minute may go."""

    all: float  # to everybody together
    family: float  # to one family of recipient domains
    own: Mapping[str, float]  # families with a rate of their own


class PacedQueue(Generic[Item]):
    """Items that wait for their time, taken at a steady pace. Times are seconds since 1970 UTC."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._waiting: list[tuple[float, int, str, Item]] = []  # by their time
        self._ready: dict[str, deque[Item]] = {}  # by family, in the order of their times
        self._turns: list[tuple[float, int, str]] = []  # families with ready items, by their turn
        self._free: dict[str, float] = {}  # when a family's next mail may go
        self._all_free = 0.0
        self._now = 0.0  # of the latest question
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._ready.values()))

    def put(self, item: Item, family: str, at: float) -> None:
        """Let an item wait until a moment."""
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, family, item))

    def next_due(self) -> float | None:
        """When the first item's own time comes, whatever the pace; None: there is none."""
        if self._turns:
            return 0.0
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: float) -> tuple[Item | None, float]:
        """The item whose turn it is, or None, and then the moment to ask again."""
        self._follow(now)
        self._wake(now)
        if not self._turns:
            return None, self._waiting[0][0]
        turn, _, family = self._turns[0]
        at = max(turn, self._all_free)
        if at > now:
            earlier = self._waiting[0][0] if self._waiting else at
            return None, min(at, max(earlier, self._all_free))
        heapq.heappop(self._turns)
        items = self._ready[family]
        item = items.popleft()
        rate = self._rates.own.get(family, self._rates.family)
        self._free[family] = now + 60.0 / rate
        self._all_free = now + 60.0 / self._rates.all
        if items:
            self._count += 1
            heapq.heappush(self._turns, (self._free[family], self._count, family))
        else:
            del self._ready[family]
        return item, now

    def _follow(self, now: float) -> None:
        """Take the pace along where the clock was set back: it would stand still until then."""
        back = self._now - now
        if back > 0.0:
            self._all_free -= back
            self._free = {family: at - back for family, at in self._free.items()}
            self._turns = [(at - back, number, family) for at, number, family in self._turns]
        self._now = now

    def _wake(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            at, number, family, item = heapq.heappop(self._waiting)
            if family not in self._ready:
                self._ready[family] = deque()
                turn = max(at, self._free.get(family, 0.0))
                heapq.heappush(self._turns, (turn, number, family))
            self._ready[family].append(item)
