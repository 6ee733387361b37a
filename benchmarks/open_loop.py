"""Requests at a given rate, whether or not earlier ones were answered: how long callers wait.

Callers who wait for their answer before they ask again come less often where a server is slow, and
so hide what others would have waited. Here every request has its moment, and waits from then on.
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

import numpy as np

_PATIENCE = 30.0  # seconds for the last answers
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Waited:
    """What callers met who came at random, at a rate of their own."""

    rate: float  # requests a second
    p50: float  # ms, from the moment of a request to the last byte of its answer
    p99: float
    longest: float
    answers: int
    refused: int  # answers other than 2xx


def open_loop(
    urls: Sequence[str],
    bodies: Iterable[bytes],
    rate: float,
    seconds: float,
    rng: np.random.Generator,
) -> Waited:
    """Send requests as a Poisson process and wait for all answers.

    Args:
        urls: `http://host:port/path` of the servers, asked in turns.
        bodies: JSON of the requests; at least one.
        rate: requests a second, > 0.
        seconds: that they come, > 0.
        rng: draws when.

    Raises:
        RuntimeError: answers stay away.
    """
    moments = np.cumsum(rng.exponential(1.0 / rate, max(1, round(rate * seconds))))
    with closing(_Lines()) as lines:
        begun = time.perf_counter()
        for moment, body, url in zip(moments.tolist(), bodies, cycle(urls), strict=False):
            lines.listen(begun + moment)
            lines.ask(url, body, begun + moment)
        end = time.perf_counter() + _PATIENCE
        while lines.busy and time.perf_counter() < end:
            lines.listen(time.perf_counter() + 0.01)
        if lines.busy:
            raise RuntimeError(f"{len(lines.busy)} requests had no answer after {_PATIENCE:g} s")
    p50, p99 = np.percentile(lines.waited, [50, 99])
    longest, answers = max(lines.waited), len(lines.waited)
    return Waited(rate, 1e3 * p50, 1e3 * p99, 1e3 * longest, answers, lines.refused)


@dataclass(slots=True)
class _Asked:
    url: str
    body: bytes
    due: float
    address: tuple[str, int]
    is_anew: bool  # after a server hung up just when it was asked
    heard: bytes = b""


@dataclass(slots=True)
class _Lines:
    """Connections, as many as there are requests without an answer."""

    waited: list[float] = field(default_factory=list)  # seconds
    refused: int = 0
    busy: dict[socket.socket, _Asked] = field(default_factory=dict)
    free: dict[tuple[str, int], list[socket.socket]] = field(default_factory=dict)

    def ask(self, url: str, body: bytes, due: float, is_anew: bool = False) -> None:
        """Send a request that is due."""
        parts = urlsplit(url)
        address = (str(parts.hostname), int(parts.port or 80))
        line = socket.create_connection(address) if is_anew else self._line(address)
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        line.sendall(head.encode() + body)
        self.busy[line] = _Asked(url, body, due, address, is_anew)

    def _line(self, address: tuple[str, int]) -> socket.socket:
        free = self.free.setdefault(address, [])
        while free:
            line = free.pop()
            if not _ready([line], 0.0):
                return line
            line.close()  # a server hangs up where nothing comes for some seconds
        return socket.create_connection(address)

    def listen(self, until: float) -> None:
        """Take answers until a moment."""
        while (left := until - time.perf_counter()) > 0.0:
            for line in _ready(self.busy, left):
                self._hear(line)

    def _hear(self, line: socket.socket) -> None:
        asked = self.busy[line]
        try:
            part = line.recv(1 << 16)
        except ConnectionError:
            part = b""
        if not part:
            del self.busy[line]
            line.close()
            if asked.heard or asked.is_anew:
                raise RuntimeError("a server closed the connection of a request without an answer")
            self.ask(asked.url, asked.body, asked.due, is_anew=True)
            return
        asked.heard += part
        head, _, content = asked.heard.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None or len(content) < int(length[1]):
            return
        self.waited.append(time.perf_counter() - asked.due)
        self.refused += not head.split(b" ", 2)[1].startswith(b"2")
        del self.busy[line]
        self.free[asked.address].append(line)

    def close(self) -> None:
        """Hang up."""
        for line in [*self.busy, *(line for some in self.free.values() for line in some)]:
            line.close()


def _ready(lines: Iterable[socket.socket], seconds: float) -> list[socket.socket]:
    """Connections on which something came, once one has it or the time is over.

    `select.select` knows no descriptor above 1,023.
    """
    waiting = {line.fileno(): line for line in lines}
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLIN)
    return [waiting[number] for number, _ in poll.poll(1e3 * seconds)]
