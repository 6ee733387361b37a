"""Several journeys on real servers: races of two processes, and kills in the middle of an event."""

from __future__ import annotations

import threading
import time
import urllib.error
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

import pytest

from nurture_rl.serving.deciding.same_journeys import require_same_journeys
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.pipeline.running_server import RunningServer, running
from tests.pipeline.served_journeys_load import bundles, faults, missed, options, put, race
from tests.postgres import PostgresServer, require_programs

PEOPLE = [f"p{i}" for i in range(40)]
_GONE = (urllib.error.URLError, HTTPException, OSError)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A bundle of each of four journeys."""
    return bundles(tmp_path_factory.mktemp("bundles"))


def _require_sound(location: str | Path) -> None:
    found, seen = faults(location, PEOPLE)
    assert found == []
    assert min(seen["paused"], seen["sends"], seen["ended"]) >= 5
    with closing(StoreReader(location)) as store:
        reasons = {row.reason for rows in store.passes(PEOPLE).values() for row in rows}
    assert reasons >= {"superseded", "person", "goal"}
    assert verify_store(location).broken_places == []


@pytest.mark.slow
def test_two_processes_never_have_a_person_in_two_journeys_nor_mail_a_paused_one(
    folders: list[Path], postgres: PostgresServer
) -> None:
    url, told = postgres.fresh_url(), options(folders)
    with running(folders[0], url, told) as first, running(folders[0], url, told) as second:
        put(first, PEOPLE)
        race([first, second], PEOPLE, clients=16, times=100)
    _require_sound(url)


@pytest.mark.slow
def test_one_process_over_a_file_does_neither(folders: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with running(folders[0], path, options(folders)) as server:
        put(server, PEOPLE)
        race([server], PEOPLE, clients=16, times=100)
    _require_sound(path)


@pytest.mark.slow
def test_an_event_that_was_stored_before_a_kill_has_enrolled_its_contact(
    folders: list[Path], tmp_path: Path
) -> None:
    path, names = tmp_path / "s.db", [f"c{i}" for i in range(4_000)]
    for kill in range(3):
        mine = names[kill * 1_000 : (kill + 1) * 1_000]
        with running(folders[0], path, options(folders)) as server:
            put(server, mine)
            clients = [threading.Thread(target=_tell, args=(server, mine[i::8])) for i in range(8)]
            for client in clients:
                client.start()
            time.sleep(0.5 + 0.2 * kill)
            server.kill()
            for client in clients:
                client.join()
        with closing(StoreReader(path)) as store:
            there = set(store.events_of_ids([f"e-{name}" for name in mine]))
            passes = store.passes(mine)
        assert 10 < len(there) < len(mine)
        # Whoever tells again is told that it is there: what follows from it must be there too.
        assert {name for name in mine if f"e-{name}" in there} == passes.keys()


def _tell(server: RunningServer, names: list[str]) -> None:
    for name in names:
        try:
            server.send("POST", "/v1/events", missed(name, f"e-{name}", _at()))
        except _GONE:
            return


def _at() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def test_servers_of_other_journeys_are_refused_while_one_runs(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    with closing(Store(url)) as first, closing(Store(url)) as second:
        require_same_journeys(first, ["low", "base"])
        require_same_journeys(second, ["base", "low"])
        with pytest.raises(StoreError, match="have, 'base, low', got 'base'"):
            require_same_journeys(second, ["base"])
    with closing(Store(url)) as alone:  # nobody else runs any more
        require_same_journeys(alone, ["base"])


@pytest.mark.slow
def test_a_server_is_seen_again_after_a_restart_of_its_database(folders: list[Path]) -> None:
    database = PostgresServer(require_programs())
    database.start()
    try:
        url = database.fresh_url()
        with running(folders[0], url, options(folders)):
            database.kill()
            database.start()
            refused = []
            for _ in range(40):
                try:
                    with closing(Store(url)) as other:
                        require_same_journeys(other, ["base"])
                except StoreError as error:
                    refused.append(str(error))
                    break
                except StoreUnavailable:
                    pass
                time.sleep(0.5)
            assert refused
            assert refused[0].startswith("expected the journeys that the other servers")
    finally:
        database.stop()
