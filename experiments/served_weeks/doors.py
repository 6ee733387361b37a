"""Ways to a server: requests to a process of its own, or its service in this one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from nurture_rl.release.bundle import load_bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings, machine_clock
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http import wire
from nurture_rl.serving.http.taking_events import BroughtRow, take_events
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from tests.pipeline.running_server import RunningServer, running

ZONE, SLACK = "Europe/Berlin", (-1, 6)  # of contacts whose zone nobody knows
_AT_ONCE = 5_000  # rows of a request


@dataclass(frozen=True, slots=True)
class Made:
    """A decision, as whoever asked for it is told."""

    decision_id: str
    action: str
    blocked: frozenset[str]  # actions that a guardrail forbids


class Door(Protocol):
    """Where contacts and events are told, and decisions asked for."""

    def put(self, contacts: Sequence[dict[str, Any]]) -> None:
        """Add contacts, each as `POST /v1/contacts` takes it."""
        ...

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """Add events, each as `POST /v1/events` takes it."""
        ...

    def ask(self, asks: Sequence[tuple[str, str]], now_us: int) -> list[Made]:
        """Decisions for contacts, each under an id of its own, at a moment (UTC)."""
        ...


@dataclass(frozen=True, slots=True)
class OverHttp:
    """A server of its own, asked by HTTP."""

    server: RunningServer

    def put(self, contacts: Sequence[dict[str, Any]]) -> None:
        """As of `Door`."""
        self.server.send("PUT", "/v1/contacts", {"contacts": list(contacts)})

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """As of `Door`."""
        for start in range(0, len(events), _AT_ONCE):
            rows = list(events[start : start + _AT_ONCE])
            _require_all(self.server.send("POST", "/v1/events", {"events": rows})["rejected"])

    def ask(self, asks: Sequence[tuple[str, str]], now_us: int) -> list[Made]:
        """As of `Door`."""
        contacts = [{"contact_id": name, "request_id": made} for name, made in asks]
        body = {"contacts": contacts, "now": wire.iso(now_us)}
        found = self.server.send("POST", "/v1/decisions", body)["decisions"]
        return [Made(one["decision_id"], one["action"], frozenset(one["blocked"])) for one in found]


@dataclass(frozen=True, slots=True)
class InProcess:
    """The service of a server, asked as its HTTP routes ask it."""

    service: Service

    def put(self, contacts: Sequence[dict[str, Any]]) -> None:
        """As of `Door`."""
        asked = msgspec.convert({"contacts": list(contacts)}, wire.ContactsIn)
        self.service.put_contacts(wire.contacts_of(asked))

    def tell(self, events: Sequence[dict[str, Any]]) -> None:
        """As of `Door`."""
        brought = [BroughtRow(place, row, row) for place, row in enumerate(events)]
        _require_all(take_events(self.service, "/v1/events", brought).rejected)

    def ask(self, asks: Sequence[tuple[str, str]], now_us: int) -> list[Made]:
        """As of `Door`."""
        answers = self.service.decide([Ask(name, made) for name, made in asks], now_us)
        ids, made = self.service.bundle.catalog.ids, list[Made]()
        for one in answers:
            if not isinstance(one, Decision):
                raise RuntimeError(f"expected a decision, got {one}")
            blocked = frozenset(name for name, bits in zip(ids, one.reasons, strict=True) if bits)
            made.append(Made(one.decision_id, one.action, blocked))
        return made


def _require_all(rejected: Sequence[object]) -> None:
    if rejected:
        raise RuntimeError(f"expected every event to be stored, got {rejected[:3]}")


@contextmanager
def over_http(bundle: Path, store: Path) -> Iterator[OverHttp]:
    """A server that is up."""
    slack = f"unknown_zone_slack={json.dumps(SLACK)}"
    with running(bundle, store, "simulated_clock=true", slack) as server:
        yield OverHttp(server)


@contextmanager
def in_process(bundle: Path, store: Path) -> Iterator[InProcess]:
    """A service over a store."""
    settings = ServerSettings(ZONE, True, machine_clock, unknown_zone_slack=SLACK)
    with closing(Store(store)) as opened:
        yield InProcess(Service(load_bundle(bundle), opened, settings))
