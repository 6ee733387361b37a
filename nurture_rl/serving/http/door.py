"""What stands before every request: its id, a line in the log, its caller's share of the server."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from nurture_envs.errors import NurtureError
from nurture_rl.serving.deciding.metrics import Metrics
from nurture_rl.serving.http.api_keys import ApiKeys
from nurture_rl.serving.http.http_answers import encoded_problem
from nurture_rl.serving.http.traffic import Turns

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")  # of a request, as a proxy may give it
_MOST_CALLERS = 10_000  # remembered at once; who is forgotten begins anew
_OTHER = "other"  # a path or method that is none of the server's, or a request refused before it
_METHODS = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"})


class Application(Protocol):
    """An application of ASGI."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one connection's scope."""


@dataclass(slots=True)
class Shares:
    """How often each caller may ask: a bucket of tokens each. Belongs to one event loop."""

    per_second: float  # tokens that a bucket gains; a request takes one
    burst: float  # tokens that a bucket holds
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, per_second: float) -> Shares:
        """Buckets that hold two seconds' tokens, and one at least.

        Raises:
            NurtureError: the rate is not above 0.
        """
        if not per_second > 0.0:
            raise NurtureError(
                f"expected max_rate above 0 requests a second, got {per_second}; leave it out for "
                "no limit"
            )
        return cls(per_second, max(1.0, 2.0 * per_second))

    def wait(self, caller: str, now: float) -> float:
        """Take a token, or say in how many seconds there is one: 0.0 means taken.

        Args:
            caller: a key or an address.
            now: seconds of a clock that never goes back.
        """
        tokens, since = self._buckets.pop(caller, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.per_second)
        missing = max(0.0, 1.0 - tokens)
        self._buckets[caller] = (tokens - (missing == 0.0), now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return missing / self.per_second


@dataclass(frozen=True, slots=True)
class Door:
    """An application behind ids, figures, a log and shares. Health and opt-outs are never refused.

    Every answer has the header `X-Request-Id`: the one that the request brought, else a fresh one.
    """

    app: Application
    metrics: Metrics
    shares: Shares | None = None  # None: everybody may ask as often as they like
    keys: ApiKeys | None = None  # who has one of these has a share of their own, others by address
    log: Callable[[str], None] | None = None  # takes a line of JSON per request; None: no log
    turns: Turns = field(default_factory=Turns)  # in which all but health begin

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        name = given if _ID.fullmatch(given) else uuid4().hex.encode()
        start, status, size = time.perf_counter(), 500, 0

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name)]
            else:
                size += len(message.get("body", b""))
            await send(message)

        self.metrics.began()
        try:
            if scope["path"] != "/healthz":
                await self.turns.taken()
            wait = self._wait(scope, headers)
            if wait > 0.0:
                await _refuse(noted, wait)
            else:
                await self.app(scope, receive, noted)
        finally:
            route = scope.get("path_template") or _OTHER
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            seconds = time.perf_counter() - start
            self.metrics.answered(route, method, status, seconds)
            if self.log is not None:
                self.log(_line(name.decode(), route, method, status, seconds, size))

    def _wait(self, scope: Any, headers: MutableMapping[bytes, bytes]) -> float:
        # Few addresses unsubscribe for many people: mailbox providers', and senders' webhooks.
        if self.shares is None or scope["path"].startswith(("/healthz", "/u/", "/v1/webhooks/")):
            return 0.0
        caller = str((scope.get("client") or ("",))[0])
        key = headers.get(b"authorization", b"").decode("latin-1")
        if self.keys is not None and self.keys.opened(key) is not None:
            caller = self.keys.name(key)  # however the header is spelt; no key lies in memory
        return self.shares.wait(caller, time.monotonic())


def write_line(line: str) -> None:
    """Write a line of the log to standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _line(name: str, route: str, method: str, status: int, seconds: float, size: int) -> str:
    """What the log says of a request: nothing that names a contact, a key or an address."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    cells = {"at": at, "request": name, "method": method, "route": route, "status": status}
    return json.dumps({**cells, "ms": round(1000.0 * seconds, 1), "bytes": size})


async def _refuse(send: Send, wait: float) -> None:
    after = max(1, int(-(-wait // 1)))
    text = f"this caller asks more often than the server allows; ask again in {after} s"
    media, content = encoded_problem(429, "too many requests", f"{text}; nothing was done")
    headers = [
        (b"content-type", media.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"retry-after", str(after).encode()),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": content})
