"""A stand-in of listmonk's lists of bounces and subscribers, over real HTTP.

listmonk is not here: this is written from its documentation (API, Bounces and Subscribers), and
answers with the fields that it shows. What it cannot show is how listmonk itself behaves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.delivery.provider_stand_ins import answering

KEY = "api:secret"
_MOST = 50  # rows that it gives at once, whatever it is asked for


@dataclass(slots=True)
class Listmonk:
    """What it knows, and what it is told to play."""

    port: int = 0
    bounces: list[dict[str, Any]] = field(default_factory=list)
    subscribers: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)  # statuses of its next answers
    overlooks_pages: bool = False
    is_unsteady: bool = (
        False  # rows of one moment stand in another order on each page, oldest first
    )
    is_endless: bool = False  # there are always more rows
    deletes: int = 0  # first subscribers who go away once a page of them was read
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def bounce(self, email: str, kind: str = "hard", **changes: Any) -> None:
        """A record as the documentation shows it."""
        number = 839_000 + len(self.bounces)
        row = {
            "id": number,
            "type": kind,
            "source": "demo",
            "meta": {"some": "parameter"},
            "created_at": "2024-08-20T23:54:22.851858Z",
            "email": email,
            "subscriber_uuid": f"32ca1f3e-1a1d-42e1-af04-{number:012}",
            "subscriber_id": number,
            "campaign": {"id": 1, "name": "Test campaign"},
        }
        self.bounces.append({**row, **changes})

    def subscriber(
        self, email: str, status: str = "enabled", lists: dict[int, str] | None = None
    ) -> dict[str, Any]:
        """A subscriber as the documentation shows it; `lists` says how they stand, by id."""
        number = len(self.subscribers) + 1
        times = dict.fromkeys(("created_at", "updated_at"), "2020-02-10T23:07:16.194843+01:00")
        entries = [
            {
                "subscription_status": said,
                "id": one,
                "uuid": f"ce13e971-c2ed-4069-bd0c-{one:012}",
                "name": f"List {one}",
                "type": "public",
                "tags": ["test"],
                **times,
            }
            for one, said in (lists or {}).items()
        ]
        row = {
            "id": number,
            **times,
            "uuid": f"ea06b2e7-4b08-4697-bcfc-{number:012}",
            "email": email,
            "name": email,
            "attribs": {},
            "status": status,
            "lists": entries,
        }
        self.subscribers.append(row)
        return row


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    listmonk: Listmonk

    def do_GET(self) -> None:
        one, parts = self.listmonk, urlsplit(self.path)
        one.asked.append(self.path)
        wanted = f"Basic {base64.b64encode(KEY.encode()).decode()}"
        lists = {"/api/bounces": one.bounces, "/api/subscribers": one.subscribers}
        if one.faults:
            return self._say(one.faults.pop(0), {"message": "not now"})
        if self.headers["authorization"] != wanted:
            return self._say(403, {"message": "invalid session"})
        if parts.path not in lists:
            return self._say(404, {"message": "not found"})
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        page, size = int(asked["page"]), min(int(asked["per_page"]), _MOST)
        rows = sorted(lists[parts.path], key=lambda row: str(row.get("created_at")))
        if asked["order"] == "desc":
            rows.reverse()
        elif one.is_unsteady:
            rows = [*rows[10 * (page - 1) :], *rows[: 10 * (page - 1)]]
        if one.is_endless:
            rows = [{"id": number} for number in range(page * size + 1)]
        start = 0 if one.overlooks_pages else (page - 1) * size
        told = {"results": rows[start : start + size], "query": "", "total": len(rows)}
        if parts.path == "/api/subscribers" and one.deletes:
            del one.subscribers[: one.deletes]
            one.deletes = 0
        return self._say(200, {"data": {**told, "per_page": size, "page": page}})

    def _say(self, status: int, told: Any) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def listmonk_stand_in() -> Iterator[Listmonk]:
    """One that runs until the block ends."""
    found = Listmonk()
    handler = type("Handler", (_Handler,), {"listmonk": found})
    with answering(handler) as found.port:
        yield found
