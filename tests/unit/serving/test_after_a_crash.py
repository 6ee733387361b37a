"""A database that crashed numbers transactions anew: what servers remember of it holds no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from litestar.testing import TestClient

from nurture_envs.clock import HOUR_US
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.mail_counts import KeptCounts
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.names import EVERYBODY
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreUnavailable
from tests.postgres import PostgresServer, require_programs
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event
from tests.unit.serving.test_mail_counts import NOW, RAMP, anew, plain


@pytest.fixture
def crashing() -> Iterator[PostgresServer]:
    """A server that writes down late what nobody waits for, such as locks alone."""
    server = PostgresServer(require_programs(), durable=True)
    server.start()
    server.run("ALTER SYSTEM SET wal_writer_delay = '10s'")
    server.run("SELECT pg_reload_conf()")
    yield server
    server.stop()


def crash(server: PostgresServer, store: Store) -> None:
    """Use up numbers of transactions that the crash forgets."""
    for i in range(30):
        with store.held([f"nobody-{i}"]):
            pass
    server.kill()
    server.start()


def written(store: Store, one: Decision) -> None:
    """As a client does that asks again until it is answered."""
    for _ in range(100):
        try:
            store.append_decisions([one])
        except StoreUnavailable:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the database did not come back within 10 seconds")


def test_mail_is_counted_after_a_crash_as_before(bundle: Bundle, crashing: PostgresServer) -> None:
    url = crashing.fresh_url()
    with closing(Store(url)) as one, closing(Store(url)) as other:
        one.put_contacts([contact(attributes={"email_domain": "gmail.com"})])
        clock = Clock(MIDNIGHT + 7 * HOUR_US)
        served = Service(bundle, one, ServerSettings(ZONE, False, clock, seed=11))
        (made,) = served.decide([Ask("ada", "r0")])
        assert isinstance(made, Decision)
        kept = KeptCounts(RAMP, one.beside(), NOW)
        for i in range(1, 4):
            crash(crashing, other)
            sent = replace(made, decision_id=f"r{i}", step=i, scheduled_us=NOW)
            written(other, sent)
            assert plain(kept.as_of(NOW)) == plain(anew(one, NOW))
            assert sum(kept.as_of(NOW).sends["google"].values()) >= i


def test_after_a_crash_everybody_may_have_said_no(bundle: Bundle, crashing: PostgresServer) -> None:
    url = crashing.fresh_url()
    with closing(Store(url)) as one, closing(Store(url)) as other:
        one.put_contacts([contact("ada"), contact("bob")])
        settings = ServerSettings(ZONE, False, Clock(MIDNIGHT + 7 * HOUR_US), seed=11)
        first, second = Service(bundle, one, settings), Service(bundle, other, settings)
        assert one.heard() == set()
        crash(crashing, other)
        second.append_events([event("unsubscribe", MIDNIGHT, "ada")])
        assert one.heard() == {EVERYBODY}
        assert one.heard() == set()
        plain_decide, asked = first.decide, list[int]()

        def decide(asks: list[Ask], now_us: int | None = None) -> object:
            found = plain_decide(asks, now_us)
            asked.append(len(asks))
            if len(asked) == 1:  # decided, and not answered yet
                crash(crashing, other)
                first._hear()
            return found

        first.decide = decide  # type: ignore[method-assign, assignment]
        with TestClient(create_app(first)) as client:
            body = {"contacts": [{"contact_id": "bob", "request_id": "r"}]}
            assert client.post("/v1/decisions", json=body).status_code == 200
        assert asked == [1, 1]
