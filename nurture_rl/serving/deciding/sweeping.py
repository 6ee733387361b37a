"""Up to when it was looked for sends that had to be confirmed, while new ones are decided."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nurture_rl.serving.records import Decision


class Swept:
    """The moment up to which nothing unconfirmed is left. Any thread may look and tell."""

    def __init__(self) -> None:
        """Nobody has looked yet."""
        self._until_us = -1
        self._running: list[list[int]] = []  # of each look: its end, and what falls due in it
        self._door = threading.Lock()

    @contextmanager
    def look(self, now_us: int) -> Iterator[int]:
        """Yield the moment from which on to look, up to `now_us`; what fails is looked at again."""
        mine = [now_us]
        with self._door:
            self._running.append(mine)
            since_us = self._until_us
        try:
            yield since_us
        except BaseException:
            mine.append(since_us)
            raise
        finally:
            with self._door:
                self._running = [other for other in self._running if other is not mine]
                self._until_us = max(self._until_us, min(mine))

    @contextmanager
    def told(self, decisions: Sequence[Decision]) -> Iterator[None]:
        """Have decisions looked at that others can read from the end of the block on.

        A look that runs by then may have missed them.
        """
        try:
            yield
        finally:
            self._look_again(decisions)

    def _look_again(self, decisions: Sequence[Decision]) -> None:
        due = [one.confirm_by_us - 1 for one in decisions if one.confirm_by_us is not None]
        with self._door:
            for running in self._running:
                running += due
            self._until_us = min([self._until_us, *due])
