"""Work on several things side by side, with the results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WORKERS = 2  # threads; Arrow and NumPy let several run at once

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_turn(work: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """What work makes of each thing, in the things' order; a few are worked on at once.

    Args:
        work: is run in several threads; it changes nothing that another one reads.
        given: is read in the calling thread, a few things ahead.
    """
    running: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for one in given:
            running.append(pool.submit(work, one))
            if len(running) > WORKERS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
