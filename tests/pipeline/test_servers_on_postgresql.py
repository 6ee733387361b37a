"""Two servers of one PostgreSQL store: a kill of a server and of the database loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nurture_rl.serving.decide import decide
from nurture_rl.serving.records import Decision
from nurture_rl.serving.store import Store
from nurture_rl.serving.verifying import verify_store
from tests.pipeline.killed_servers import VICTIMS, killed_servers
from tests.postgres import PostgresServer, require_programs
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, view


@pytest.fixture(scope="module")
def durable() -> Iterator[PostgresServer]:
    """A database that keeps what it committed when it is killed."""
    server = PostgresServer(require_programs(), durable=True)
    server.start()
    yield server
    server.stop()


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
def test_kills_of_servers_and_of_the_database_lose_and_double_nothing(
    durable: PostgresServer, tmp_path: Path
) -> None:
    small_bundle(tmp_path / "bundle")
    with killed_servers(durable, tmp_path / "bundle") as killed:
        for number, victim in enumerate(VICTIMS):
            found = killed.round(number, victim, pause=0.7)
            assert (found.lost, found.doubled, found.broken) == ([], [], [])
            assert found.acknowledged > 10
            assert found.after > 0  # who was left went on, or came back by itself
