"""How much a server takes on at once: bodies in time, work in turns, health without waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from litestar.exceptions import ClientException, InternalServerException

Answer = TypeVar("Answer")

_A_ROUND = 8  # requests that begin between two looks at others


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """What a server takes on; whoever asks for more is told to come back."""

    body_bytes: int = 32 * 1024 * 1024  # of one request: 10,000 events of 3 kB
    body_seconds: float = 15.0  # from the headers to the last byte of the body
    bodies_bytes: int = 256 * 1024 * 1024  # of all requests at once
    bulk_bytes: int = 16 * 1024  # a longer body waits among the bulky ones
    small_requests: int = 512  # read and not yet answered
    bulk_requests: int = 4
    webhook_bytes: int = 8 * 1024 * 1024  # of one webhook, and eight times so many of all at once
    known_seconds: float = 0.05  # how long health waits for the store; then it gives the last state
    silent_seconds: float = 10.0  # a store that does not answer for so long counts as lost
    retry_seconds: int = 5  # what a client is told to wait


class Busy(Exception):
    """More was asked at once than the server takes on; nothing was done."""


class SlowBody(ClientException):
    """A body that did not come in time; nothing was done."""

    status_code = 408


class CutBody(ClientException):
    """A body that broke off, or whose parts nobody can read; nothing was done."""

    status_code = 400


class Turns:
    """Lets a few go on in each round of the event loop, to which it belongs.

    A thousand requests that begin at once would else keep the loop to themselves: whoever
    does not wait here, such as health, comes in between.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = _A_ROUND

    async def taken(self) -> None:
        """Go on in this round or, where it is full, in a later one; first come, first served."""
        loop = asyncio.get_running_loop()
        if self._left == _A_ROUND:
            loop.call_soon(self._next_round)
        if self._left > 0:
            self._left -= 1
            return
        self._waiting.append(loop.create_future())
        await self._waiting[-1]

    def _next_round(self) -> None:
        self._left = _A_ROUND
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():  # its client has not gone
                turn.set_result(None)
                self._left -= 1
        if self._left < _A_ROUND:
            asyncio.get_running_loop().call_soon(self._next_round)


class Bodies:
    """The bodies in memory. Belongs to one event loop."""

    def __init__(self, limits: TrafficLimits) -> None:
        self._limits = limits
        self._bytes = 0

    @asynccontextmanager
    async def read(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Read a body; its bytes count until the block ends.

        Raises:
            SlowBody: it did not come within `body_seconds`.
            CutBody: the connection ended first, or the body is not of the form it claims.
            Busy: with it more than `bodies_bytes` would lie in memory.
        """
        parts: list[bytes] = []
        held = 0
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    async for part in stream:
                        if self._bytes + len(part) > self._limits.bodies_bytes:
                            raise Busy
                        self._bytes += len(part)
                        held += len(part)
                        parts.append(part)
            except TimeoutError as error:
                text = (
                    f"the body did not come within {self._limits.body_seconds:g} s; send it again"
                )
                raise SlowBody(text) from error
            except InternalServerException as error:  # what a stream says whose sender is gone
                raise CutBody("the body broke off before its end; send it again") from error
            yield b"".join(parts)
        finally:
            self._bytes -= held


class Places:
    """How many requests may be inside at once. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a place until the block ends.

        Raises:
            Busy: all are taken.
        """
        if self._free <= 0:
            raise Busy
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Lane:
    """Threads for one kind of request. Belongs to one event loop."""

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = Places(most)

    async def run(self, steps: Iterator[Answer | None]) -> Answer:
        """Take steps until one gives an answer; between two steps others have their turn.

        Raises:
            Busy: as many as the lane holds are inside.
        """
        with self._places.taken():
            loop = asyncio.get_running_loop()
            while (answer := await loop.run_in_executor(self._pool, next, steps)) is None:
                pass
            return answer


class Pulse:
    """Whether the store can be written, without waiting for a write that is running."""

    def __init__(self, beat: Callable[[], bool], limits: TrafficLimits) -> None:
        """`beat` checks this by a write of its own."""
        self._beat, self._limits = beat, limits
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="pulse")
        self._running: asyncio.Future[bool] | None = None
        self._began = 0.0
        self._last: bool | None = None  # what the latest beat said

    async def healthy(self) -> bool:
        """What the store says now or, where it is busy, what it said last."""
        loop = asyncio.get_running_loop()
        if self._running is not None and self._running.done():
            self._last = self._running.result()  # a beat that took longer than its caller waited
            self._running = None
        if self._running is None:
            self._running = loop.run_in_executor(self._pool, self._beat)
            self._began = loop.time()
        limits = self._limits
        patience = limits.silent_seconds if self._last is None else limits.known_seconds
        running = self._running
        done, _ = await asyncio.wait([running], timeout=patience)
        if done:
            self._last = running.result()
        elif loop.time() - self._began > limits.silent_seconds:
            self._last = False
        return bool(self._last)
