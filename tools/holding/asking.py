"""Requests to a server, sent again where it is busy, and moments as they are written."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def written(us: int) -> str:
    """A moment as ISO-8601."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat()


def read(text: str) -> int:
    """Microseconds since 1970 UTC of a moment."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def machine_us() -> int:
    """The machine's clock, by which servers stamp what carries no moment of its own."""
    return time.time_ns() // 1000


def posted(url: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
    """What a plain request answers, sent again where the server is busy; None: it is no JSON."""
    line = line_to(url)
    try:
        for attempt in range(200):
            line.request("GET" if body is None else "POST", path, body, dict(headers))
            answer = line.getresponse()
            told = answer.read()
            if answer.status == 503:
                threading.Event().wait(0.05 * min(attempt + 1, 20))
                continue
            if answer.status != 200:
                raise AssertionError(f"{path} answered {answer.status}: {told[:300]!r}")
            is_json = "json" in (answer.getheader("content-type") or "")
            return json.loads(told) if is_json else None
    finally:
        line.close()
    raise AssertionError(f"{path} was turned away 200 times")


def line_to(url: str) -> http.client.HTTPConnection:
    """A connection that is kept; an answer of a busy machine may take long."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(
        str(parts.hostname), parts.port, timeout=3_000
    )  # a storm on a busy machine


def asked_once(url: str, method: str, path: str, body: Any) -> Any:
    """The answer of a request on a connection of its own."""
    line = line_to(url)
    try:
        return asked(line, method, path, body)
    finally:
        line.close()


def asked(line: http.client.HTTPConnection, method: str, path: str, body: Any) -> Any:
    """The answer of a request; one that a busy server turns away is sent again."""
    for attempt in range(200):
        try:
            content = None if body is None else json.dumps(body)
            line.request(method, path, content, {"content-type": "application/json"})
            answer = line.getresponse()
            told = answer.read()
        except (ConnectionError, http.client.HTTPException):
            line.close()  # the server closes a line that was quiet; nothing was lost, ids are kept
            continue
        if answer.status == 503:
            threading.Event().wait(0.05 * min(attempt + 1, 20))
            continue
        if answer.status not in (200, 422):
            raise AssertionError(f"{method} {path} answered {answer.status}: {told[:300]!r}")
        return json.loads(told)
    raise AssertionError(f"{method} {path} was turned away 200 times")
