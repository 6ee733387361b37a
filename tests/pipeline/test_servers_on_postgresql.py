"""Two servers of one PostgreSQL store: a kill of a server and of the database loses nothing."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.serving.decide import decide
from nurture_rl.serving.reading import StoreReader
from nurture_rl.serving.records import Decision
from nurture_rl.serving.store import Store
from nurture_rl.serving.verifying import verify_store
from tests.pipeline.running_server import RunningServer, running
from tests.postgres import PostgresServer, require_programs
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, view

_PAUSE = 0.7  # seconds of load before and after each kill
_CLIENTS = 8
_GONE = (urllib.error.URLError, HTTPException, OSError, ValueError)

Acknowledged = dict[str, str]  # action by contact


@pytest.fixture(scope="module")
def durable() -> Iterator[PostgresServer]:
    """A database that keeps what it committed when it is killed."""
    server = PostgresServer(require_programs(), durable=True)
    server.start()
    yield server
    server.stop()


def ask(
    servers: list[RunningServer], name: str, acknowledged: Acknowledged, over: threading.Event
) -> None:
    """Ask one server after the other for a contact, as one request, until one answers."""
    body = {"contacts": [{"contact_id": name, "request_id": f"r-{name}"}]}
    tries = 0
    while not over.is_set():
        try:
            (row,) = servers[tries % 2].send("POST", "/v1/decisions", body)["decisions"]
        except _GONE:
            tries += 1
            time.sleep(0.02)
        else:
            if row["kind"] == "decision":
                acknowledged[name] = row["action"]
                return
            assert row["code"] == "fail_closed"  # the database went before it could be looked at


def killed_in_mid_load(
    database: PostgresServer, bundle: Path, people: int = 4000
) -> tuple[Acknowledged, dict[str, list[Any]], int]:
    """Kill one of two servers, then the database, under the load of clients that ask again.

    Returns:
        What was acknowledged, what is stored by contact, and how much was acknowledged after.
    """
    url, over, acknowledged = database.fresh_url(), threading.Event(), Acknowledged()
    names = [f"c-{i}" for i in range(people)]
    with ExitStack() as stack:
        servers = [stack.enter_context(running(bundle, url)) for _ in range(2)]
        for start in range(0, people, 5000):
            contacts = [{"contact_id": name, "consent": True} for name in names[start:][:5000]]
            servers[0].send("PUT", "/v1/contacts", {"contacts": contacts})

        def client(number: int) -> None:
            own = [servers[number % 2], servers[1 - number % 2]]
            for name in names[number::_CLIENTS]:
                if over.is_set():
                    return
                ask(own, name, acknowledged, over)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(_PAUSE)
        servers[0].kill()
        time.sleep(_PAUSE)
        database.kill()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            servers[1].send("GET", "/healthz")
        database.start()
        before = len(acknowledged)
        time.sleep(_PAUSE)
        after = len(acknowledged) - before
        assert servers[1].send("GET", "/healthz")["status"] == "ok"
        over.set()
        for thread in threads:
            thread.join()
    stored: dict[str, list[Any]] = {}
    with closing(StoreReader(url)) as reader:
        for block in reader.scan("decisions"):
            for decision_id, contact, _, _, _, _, _, action, *_ in block:
                stored.setdefault(contact, []).append((decision_id, action))
    return acknowledged, stored, after


@pytest.mark.slow
def test_a_head_that_was_noted_is_in_the_chain_after_a_crash(
    durable: PostgresServer, tmp_path: Path
) -> None:
    url, bundle = durable.fresh_url(), small_bundle(tmp_path / "bundle")
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    # As long as it can be until a commit that nobody waits for is on disk.
    for sql in ("ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"):
        durable.run(sql)
    for i in range(3):
        with closing(Store(url)) as store:
            store.append_decisions([replace(made, decision_id=f"d{i}", step=i)])
        head = verify_store(url).head
        durable.kill()
        durable.start()
        walk = verify_store(url, head)
        assert (walk.broken, walk.seen["decision"]) == (0, i + 1), walk.broken_places


@pytest.mark.slow
def test_a_kill_of_a_server_and_of_the_database_loses_and_doubles_nothing(
    durable: PostgresServer, tmp_path: Path
) -> None:
    small_bundle(tmp_path / "bundle")
    acknowledged, stored, after = killed_in_mid_load(durable, tmp_path / "bundle")
    assert len(acknowledged) > 20
    assert after > 0  # the server that was left came back by itself
    assert {len(decisions) for decisions in stored.values()} == {1}
    missing = {
        name: action
        for name, action in acknowledged.items()
        if stored.get(name) != [(f"r-{name}", action)]
    }
    assert missing == {}
