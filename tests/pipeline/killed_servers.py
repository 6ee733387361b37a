"""Kills of one of two servers, or of their database, while clients ask and ask again."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal

from nurture_rl.serving.chain_walk import Head
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.verifying import verify_store
from tests.pipeline.running_server import RunningServer, running
from tests.postgres import PostgresServer

Victim = Literal["first server", "second server", "database"]
VICTIMS: tuple[Victim, ...] = ("first server", "second server", "database")
_CLIENTS = 8
_PEOPLE = 2_000  # of a round; nobody asks for all of them
_WAIT = 60.0  # seconds until what was killed is back and answers
_GONE = (urllib.error.URLError, HTTPException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class KilledRound:
    """What became of the load of one kill."""

    acknowledged: int  # decisions and events
    after: int  # of these, after what was killed came back
    lost: list[str]  # ids that were acknowledged, and are not there as they were
    doubled: list[str]  # contacts with more than one decision
    broken: list[str]  # places of the chain


@dataclass(slots=True)
class _Load:
    """Clients that ask for contacts of a round, and what they were told."""

    servers: list[RunningServer]
    names: list[str]
    over: threading.Event = field(default_factory=threading.Event)
    decided: dict[str, str] = field(default_factory=dict)  # action by contact
    told: list[str] = field(default_factory=list)  # ids of events

    @property
    def acknowledged(self) -> int:
        return len(self.decided) + len(self.told)

    def client(self, number: int) -> None:
        for name in self.names[number::_CLIENTS]:
            ask: dict[str, Any] = {"contact_id": name, "request_id": f"r-{name}"}
            answer = self._answer(number, "/v1/decisions", {"contacts": [ask]})
            if answer is None:
                return
            (row,) = answer["decisions"]
            if row["kind"] == "decision":  # else the database went before it could be looked at
                self.decided[name] = row["action"]
            event = {"event_id": f"e-{name}", "contact_id": name, "type": "open"}
            event["occurred_at"] = "2026-01-01T00:00:00Z"
            if self._answer(number, "/v1/events", {"events": [event]}) is None:
                return
            self.told.append(f"e-{name}")

    def _answer(self, number: int, path: str, body: Any) -> Any:
        """Ask one server after the other, as one request, until one answers; None: it is over."""
        while not self.over.is_set():
            try:
                return self.servers[number % 2].send("POST", path, body)
            except _GONE:
                number += 1
                time.sleep(0.02)
        return None


class KilledServers:
    """Two servers of one store, of which a round kills one, or the database."""

    def __init__(self, database: PostgresServer, bundle: Path, stack: ExitStack) -> None:
        self._database, self._bundle, self._stack = database, bundle, stack
        self._url = database.fresh_url()
        self._servers = [self._started() for _ in range(2)]
        self._head: Head | None = None

    def round(self, number: int, victim: Victim, pause: float) -> KilledRound:
        """Kill in mid-load, bring back, and look at what is there.

        Args:
            number: of the round.
            victim: what is killed.
            pause: seconds of load before the kill.
        """
        load = _Load(self._servers, [f"c{number}-{i}" for i in range(_PEOPLE)])
        contacts = [{"contact_id": name, "consent": True} for name in load.names]
        self._servers[0].send("PUT", "/v1/contacts", {"contacts": contacts})
        threads = [threading.Thread(target=load.client, args=(i,)) for i in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(pause)
            self._kill(victim)
            before, end = load.acknowledged, time.monotonic() + _WAIT
            while load.acknowledged < before + 2 * _CLIENTS and time.monotonic() < end:
                time.sleep(0.05)
            after = load.acknowledged - before
        finally:
            load.over.set()
            for thread in threads:
                thread.join()
        return self._looked_at(load, after)

    def _kill(self, victim: Victim) -> None:
        if victim == "database":
            self._database.kill()
            self._database.start()
        else:
            place = VICTIMS.index(victim)
            self._servers[place].kill()
            self._servers[place] = self._started()

    def _started(self) -> RunningServer:
        return self._stack.enter_context(running(self._bundle, self._url))

    def _looked_at(self, load: _Load, after: int) -> KilledRound:
        stored: dict[str, str] = {}
        with closing(StoreReader(self._url)) as reader:
            decisions = [row for block in reader.scan("decisions") for row in block]
            stored = {row[0]: row[7] for row in decisions}
            events = reader.events_of_ids(load.told)
        lost = [name for name, action in load.decided.items() if stored.get(f"r-{name}") != action]
        lost += [name for name in load.told if name not in events]
        made = Counter(row[1] for row in decisions)
        doubled = [name for name, times in made.items() if times > 1]
        walk = verify_store(self._url, self._head)
        self._head = walk.head
        return KilledRound(load.acknowledged, after, lost, doubled, walk.broken_places)


@contextmanager
def killed_servers(database: PostgresServer, bundle: Path) -> Iterator[KilledServers]:
    """Two servers on an empty store; they end with the block."""
    with ExitStack() as stack:
        yield KilledServers(database, bundle, stack)
