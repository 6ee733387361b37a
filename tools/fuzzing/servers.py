"""The server below its socket, the server as a process, and servers that break the promise."""

from __future__ import annotations

import asyncio
import json
import os
import random
import unicodedata
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from litestar import Litestar

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.release.bundle import Bundle, BundleContent, load_bundle, write_bundle
from nurture_rl.release.parity import normal_states
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.storage.store import Store
from tests.pipeline.running_server import RunningServer, running
from tests.unit.release.bundles import CREATED, card
from tools.fuzzing.promise import said
from tools.fuzzing.rows import written

START_US = 1_803_859_200_000_000  # Monday 2027-03-01 08:00 UTC
_LOOSE = {"frequency_caps": [{"max": 6, "hours": 72}], "min_gap_hours": 6, "quiet_hours": [21, 8]}
_DAILY = {"period_hours": 24, "slots_hours": [0], "periods": 40}
_SLOTS = [9, 12, 15, 18, 20]
_MAILS = {"kind": "random", "weights": {"send": 0.85, "pause": 0.14, "escalate": 0.01}}


class Server(Protocol):
    """Whatever answers."""

    clock_us: int

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""

    def restart(self, bundle: int) -> None:
        """Stop, and start with another bundle on the same store."""

    def close(self) -> None:
        """Stop for good."""


def write_bundles(folder: Path) -> list[Path]:
    """Two releases of one journey and another journey, whose policies mail whenever they may."""
    import numpy as np

    found = []
    for number, (name, change) in enumerate(
        [("inbound_lead", "plain"), ("re_engagement", "plain"), ("inbound_lead", "more")]
    ):
        plain = json.loads(json.dumps(load_journey(name).resolved, default=str))
        plain["guardrails"] |= _LOOSE
        plain |= {"clock": _DAILY, "drip": {}, "rules": [], "expert": []}
        plain["actions"]["slots"] = _SLOTS
        for message in plain["messages"].values():
            message["expires"] = "2199-12-31"
        if change == "more":
            first = next(iter(plain["messages"]))
            plain["messages"] = {"another": dict(plain["messages"][first]), **plain["messages"]}
        journey = parse_journey(plain)
        catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
        shape, rng = (16, len(catalog)), np.random.default_rng(5)
        states = normal_states(np.zeros(d), np.ones(d), shape, catalog.wait, rng)
        content = BundleContent(journey, _MAILS, None, states, card())
        path = folder / f"bundle-{number}"
        write_bundle(path, content, CREATED)
        found.append(path)
    return found


class InProcess:
    """The application, called as its HTTP server calls it, on a clock that the caller sets."""

    def __init__(self, bundles: Sequence[Path], store: Path) -> None:
        self._bundles: list[Bundle] = [load_bundle(path) for path in bundles]
        self._path = store
        self._loop = asyncio.new_event_loop()
        self.clock_us = START_US
        self._store: Store | None = None
        self._app: Litestar | None = None
        self.restart(0)

    def restart(self, bundle: int) -> None:
        """Stop, and start with another bundle on the same store."""
        self._stop()
        self._store = Store(self._path)
        settings = ServerSettings("Europe/Berlin", False, lambda: self.clock_us, seed=11)
        self._app = create_app(Service(self._bundles[bundle], self._store, settings))

    def close(self) -> None:
        """Stop for good."""
        self._stop()
        self._loop.close()

    def _stop(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""
        return self._loop.run_until_complete(self._answer(method, path, body))

    async def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        status, parts = 0, [b""]
        coming: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return coming.pop() if coming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        app: Any = self._app
        await app(scope, receive, send)
        return status, json.loads(b"".join(parts))


class Process:
    """The server as users start it, told the time by each request, killed at every restart."""

    def __init__(self, bundles: Sequence[Path], store: Path) -> None:
        self._bundles, self._store = bundles, store
        self._stack = ExitStack()
        self._server: RunningServer | None = None
        self.clock_us = START_US
        self.restart(0)

    def restart(self, bundle: int) -> None:
        """Kill the process, and start one with another bundle on the same store."""
        if self._server is not None:
            self._server.kill()
        self.close()
        started = running(self._bundles[bundle], self._store, "simulated_clock=true")
        self._server = self._stack.enter_context(started)

    def close(self) -> None:
        """Stop for good."""
        self._stack.close()

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request; one for decisions says what time it is."""
        found, now = json.loads(body), written(self.clock_us, random.Random(0))
        if path.startswith("/v1/decisions"):
            found["now"] = now
        for row in found.get("events", ()):
            if row.get("type") == "snoozed" and (said(row) or self.clock_us) <= self.clock_us:
                row["recorded_at"] = now  # its days count from then; the server cannot know it
        body = json.dumps(found).encode()
        assert self._server is not None
        request = urllib.request.Request(self._server.url + path, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


class Forgetful(InProcess):
    """Breaks the promise: says that a complaint was stored, and stores it not."""

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""
        if path == "/v1/events":
            for row in (rows := json.loads(body)["events"]):
                if row.get("type") == "complaint":
                    row["type"] = "open"
            body = json.dumps({"events": rows}).encode()
        return super().ask(method, path, body)


class Quiet(InProcess):
    """Breaks the promise: refuses what may forbid mail as if nothing were wrong."""

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""
        status, answer = super().ask(method, path, body)
        return 200 if status == 422 else status, answer


class Stubborn(InProcess):
    """Breaks the promise: a request id gets for ever what it got first."""

    def __init__(self, bundles: Sequence[Path], store: Path) -> None:
        self._given: dict[str, Any] = {}
        super().__init__(bundles, store)

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""
        status, answer = super().ask(method, path, body)
        if path == "/v1/decisions" and status == 200:
            asks, found = json.loads(body)["contacts"], answer["decisions"]
            for position, ask in enumerate(asks):
                name = f"{ask.get('request_id')} {ask['contact_id']}"
                if "request_id" in ask:
                    found[position] = self._given.setdefault(name, found[position])
        return status, answer


class Literal(InProcess):
    """Breaks the promise: takes an id in other signs for somebody else's."""

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and decoded answer of a request."""
        if path == "/v1/events":
            for row in (rows := json.loads(body)["events"]):
                name = row.get("contact_id")
                if isinstance(name, str) and not unicodedata.is_normalized("NFC", name):
                    row["contact_id"] = f"someone else {name}"
            body = json.dumps({"events": rows}).encode()
        return super().ask(method, path, body)


@contextmanager
def known_luck(seed: int) -> Iterator[None]:
    """Ids that the server makes up are the same in every run."""
    with patch.object(os, "urandom", random.Random(f"{seed}:luck").randbytes):
        yield
