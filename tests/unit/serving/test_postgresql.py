"""Servers of one PostgreSQL store know of each other, and outlive the loss of their connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from litestar.testing import TestClient

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import HOUR_US
from nurture_rl.cli.main import main
from nurture_rl.policies.build import PolicyContext, build_policy
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage import postgres_tables, rows
from nurture_rl.serving.storage.databases import Statement
from nurture_rl.serving.storage.locating import shown_location
from nurture_rl.serving.storage.on_postgresql import PostgresDatabase
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError, StoreUnavailable
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event

PEOPLE = [f"p{i}" for i in range(200)]


@contextmanager
def servers(bundle: Bundle, url: str, count: int = 2) -> Iterator[list[Service]]:
    """Servers of one store that send whenever they may, at seven in the morning."""
    context = PolicyContext(bundle.journey, bundle.catalog, bundle.feature_spec)
    sends = [name for name in bundle.catalog.ids if name.startswith("send:")]
    eager = replace(bundle, policy=build_policy(f"always:{sends[0]}", context))
    settings = ServerSettings(ZONE, False, Clock(MIDNIGHT + 7 * HOUR_US), seed=11)
    stores = [Store(url) for _ in range(count)]
    try:
        stores[0].put_contacts([contact(name) for name in PEOPLE])
        yield [Service(eager, store, settings) for store in stores]
    finally:
        for store in stores:
            store.close()


def test_a_no_at_one_server_stops_the_mail_of_another(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    with servers(bundle, postgres.fresh_url()) as (first, second):
        (sent,) = second.decide([Ask("p0", "r")])
        assert isinstance(sent, Decision)
        assert sent.action.startswith("send:")
        appended = first.append_events(
            [event("unsubscribe", MIDNIGHT, name) for name in ("p0", "p1")]
        )
        assert [one.decision.decision_id for one in appended.withdrawn] == ["r"]
        again, fresh = second.decide([Ask("p0", "r"), Ask("p1")])
        assert [getattr(one, "code", None) for one in (again, fresh)] == [
            "withdrawn",
            "episode_over",
        ]


def test_a_request_asked_again_elsewhere_has_one_decision(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    with servers(bundle, postgres.fresh_url()) as (first, second):
        assert first.decide([Ask("p0", "r")]) == second.decide([Ask("p0", "r")])
        (other,) = second.decide([Ask("p0")])
        assert getattr(other, "code", None) == "already_decided"


def test_an_id_of_a_request_is_nobody_else_s_while_it_is_decided(
    bundle: Bundle, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers(bundle, postgres.fresh_url()) as (first, second):
        plain, waited = first.store.append_decisions, list[str]()
        beside = [Ask("p2", "s"), Ask("p3", "r")]  # in the other order: no deadlock either

        def append(*given: Any) -> None:
            with pytest.raises(StoreUnavailable, match="lock timeout") as refused:
                second.decide(beside)
            waited.append(str(refused.value))
            plain(*given)

        monkeypatch.setattr(first.store, "append_decisions", append)
        second.store._database.read("SELECT set_config('lock_timeout', '200ms', false)")
        found = first.decide([Ask("p0", "r"), Ask("p1", "s")])
        assert [type(one) for one in found] == [Decision, Decision]
        assert len(waited) == 1
        again = second.decide(beside)
        assert [getattr(one, "code", None) for one in again] == ["request_id_taken"] * 2


def test_a_no_at_one_server_is_heard_while_another_answers(
    bundle: Bundle, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers(bundle, postgres.fresh_url()) as (first, second):
        plain, steps = second.decide, list[int]()

        def decide(asks: Sequence[Ask], now_us: int | None = None) -> Any:
            if len(steps) == 1:  # the first part was decided
                first.append_events([event("unsubscribe", MIDNIGHT, "p0")])
            steps.append(len(asks))
            return plain(asks, now_us)

        monkeypatch.setattr(second, "decide", decide)
        with TestClient(create_app(second)) as client:
            body = {"contacts": [{"contact_id": name} for name in PEOPLE]}
            found = client.post("/v1/decisions", json=body).json()["decisions"]
    assert steps == [128, 72, 1]
    assert (found[0]["code"], found[1]["action"][:5]) == ("withdrawn", "send:")


def test_news_are_heard_once_committed_and_once(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    with closing(PostgresDatabase(url, 1)) as one, closing(PostgresDatabase(url, 2)) as other:
        with one.held("contact", ["ada"]):
            one.tell(["ADA ", "bob"])
            assert other.heard() == set()
        assert other.heard() == {"ada", "bob"}
        assert other.heard() == set()
        one.tell(["ada"])
        assert other.heard() == {"ada"}


def test_what_fails_inside_a_block_leaves_nothing(postgres: PostgresServer) -> None:
    with closing(Store(postgres.fresh_url())) as store:

        def fail() -> None:
            with store.held(["ada"]):
                store.put_contacts([contact("ada")])
                assert set(store.contacts(["ada"])) == {"ada"}
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert store.contacts(["ada"]) == {}


def test_a_server_outlives_the_loss_of_its_connections(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'nurture' AND state IS NOT NULL"
    )
    with servers(bundle, postgres.fresh_url(), 1) as (served,):
        postgres.run(cut)  # nobody was asking: nobody notices
        assert isinstance(served.decide([Ask("p0", "r")])[0], Decision)

        def put() -> None:
            with served.store.held(["p1"]):
                postgres.run(cut)
                served.store.put_contacts([contact("p1", consent=False)])

        with pytest.raises(StoreUnavailable):
            put()
        assert served.store.contacts(["p1"])["p1"].consent
        with TestClient(create_app(served)) as client:
            postgres.run(cut)
            assert client.get("/healthz").status_code == 200


def test_the_console_says_that_the_database_is_away_and_blames_nobody_who_asks(
    bundle: Bundle, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise psycopg.OperationalError("connection refused")

    with servers(bundle, postgres.fresh_url(), 1) as (served,):
        monkeypatch.setattr(psycopg, "connect", refused)
        with TestClient(create_app(served)) as client:
            for path in ("decisions", "mail", "reach", "health", "lift"):
                answer = client.get(f"/v1/console/{path}")
                assert answer.status_code == 503, path
            answer = client.get("/v1/timelines/p0")
        assert (answer.status_code, answer.json()["title"]) == (503, "store not available")


_FULL = """
CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device'
     USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON decisions EXECUTE FUNCTION refused();
CREATE TRIGGER full_disk BEFORE INSERT ON meta EXECUTE FUNCTION refused();
"""


def test_a_full_disk_is_refused_until_there_is_room(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    url = postgres.fresh_url()
    schema = url.rpartition("search_path%3D")[2]
    with servers(bundle, url, 1) as (served,), TestClient(create_app(served)) as client:
        body = {"contacts": [{"contact_id": "p0", "request_id": "r"}]}
        postgres.run(f"SET search_path TO {schema}; {_FULL}")
        asked = client.post("/v1/decisions", json=body)
        assert (asked.status_code, client.get("/healthz").status_code) == (503, 503)
        assert "No space left" in asked.json()["detail"]
        postgres.run(f"DROP FUNCTION {schema}.refused CASCADE")
        assert client.post("/v1/decisions", json=body).json()["decisions"][0]["kind"] == "decision"
        assert client.get("/healthz").status_code == 200


def test_a_long_list_of_names_holds_up_only_whom_it_names(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    names = [f"c{i}" for i in range(2_000)]
    with (
        closing(PostgresDatabase(url, 1)) as one,
        closing(PostgresDatabase(url, 1)) as other,
    ):
        other.read("SELECT set_config('lock_timeout', '200ms', false)")
        with one.held("contact", names):
            taken = "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND granted"
            assert other.read(taken)[0][0] < 30  # no shared memory for each
            free = 0
            for i in range(40):
                with suppress(StoreUnavailable), other.held("contact", [f"free-{i}"]):
                    free += 1
            assert free > 20  # 2,000 names have 11 % of the stripes
            for kind in ("account", "limits", "roles"):
                with other.held(kind, names):
                    pass
            with pytest.raises(StoreUnavailable, match="lock timeout"):
                other.held("contact", ["c7"]).__enter__()
        with other.held("contact", names):
            pass
        one.write([Statement("DELETE FROM stripes WHERE stripe = 5", [()])])
        with pytest.raises(StoreUnavailable, match="the table stripes lacks rows"):
            one.held("contact", [f"c{i}" for i in range(100_000)]).__enter__()


def test_decisions_of_a_newer_release_are_told_by_an_older_server(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    with servers(bundle, postgres.fresh_url()) as (older, newer):
        actions = tuple(action for action in bundle.catalog.actions if action.routing != "escalate")
        own = replace(newer.bundle, catalog=ActionCatalog(actions))
        newer = Service(own, newer.store, newer.settings)
        newer.decide([Ask("p0", "r")])
        with TestClient(create_app(older)) as client:
            assert client.get("/v1/decisions/r").status_code == 200


@pytest.mark.parametrize("host", ["...", "nowhere.invalid", "127.0.0.1:1"])
def test_a_database_that_is_not_there_is_named(host: str) -> None:
    with pytest.raises(StoreError, match="expected a database that can be used at postgresql://"):
        Store(f"postgresql://nurture:secret@{host}/nurture?connect_timeout=2")


def test_a_store_of_another_version_or_program_is_refused(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.fresh_url()
    with pytest.raises(StoreError, match=r'relation "meta" does not exist'):
        StoreReader(url)
    Store(url).close()
    before = rows.VERSION
    monkeypatch.setattr(rows, "VERSION", "next")
    with pytest.raises(StoreError, match=rf"version next at .*, got {before}"):
        Store(url)
    noted = f"UPDATE meta SET value = 'next' WHERE value = '{before}'"
    step = f"ALTER TABLE contacts ADD COLUMN n TEXT; {noted}"
    monkeypatch.setattr(postgres_tables, "_STEPS", {before: step})
    Store(url).close()
    Store(url).close()
    theirs = postgres.fresh_url()
    postgres.run(f"CREATE TABLE {theirs.rpartition('%3D')[2]}.events (n INTEGER)")
    with pytest.raises(StoreError, match="another program's tables events; nothing was written"):
        Store(theirs)


def test_a_store_of_version_8_goes_on_and_its_older_servers_do_not(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    url = postgres.fresh_url()
    with servers(bundle, url, 1) as (served,):
        sent = [one for one in served.decide([Ask("p0"), Ask("p1")]) if isinstance(one, Decision)]
    assert len(sent) == 2
    postgres.run(
        f"SET search_path TO {url.rpartition('%3D')[2]}; UPDATE meta SET value = '8' "
        "WHERE name = 'version'; ALTER TABLE waiting_links RENAME TO unlinked; "
        "INSERT INTO unlinked SELECT kind, id, digest FROM chain WHERE number = 2; "
        "DELETE FROM chain WHERE number = 2; DROP INDEX decisions_by_moment, decisions_by_row; "
        "ALTER TABLE policy_log DROP COLUMN after_row; "
        "ALTER TABLE decisions DROP COLUMN experiment, DROP COLUMN arm_share; "
        "DROP TABLE stripes, mail_changes, ghosts, plans; DROP FUNCTION link_waiting, "
        "note_own_mail, note_decided_mail, note_known_mail, note_all_mail CASCADE"
    )
    with closing(Store(url)) as store:
        mark, _ = store.mail_changes(None)
        assert store.mail_changes(mark)[1] == set()
        assert store.mail_changes(f"{mark.split()[0]} 1:1:")[1] == {"p0", "p1"}
        with pytest.raises(StoreUnavailable, match='relation "unlinked" does not exist'):
            store._database.write([Statement("INSERT INTO unlinked VALUES ('', '', '')", [()])])
        store._database.link()
    walk = verify_store(url)
    assert (walk.broken, walk.seen["decision"]) == (0, 2)


def test_a_reader_cannot_write(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    Store(url).close()
    with closing(StoreReader(url)) as reader, pytest.raises(StoreUnavailable, match="read-only"):
        reader._source.read("DELETE FROM meta")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/store",
        "postgresql://ann@127.0.0.1:1/store?password=s3cret",
    ],
)
def test_a_password_is_never_shown(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown_location(url) == "postgresql://ann@127.0.0.1:1/store"
    assert main(["export_log", f"store={url}", f"out={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr()
    assert "postgresql://ann@127.0.0.1:1/store" in told.err
    assert "s3cret" not in told.err + told.out
    for wrong in (url.replace("/store", "/store?nothing"), url.replace("sql", "")[1:], f"'{url}'"):
        with pytest.raises(StoreError, match="cannot be read") as refused:
            Store(wrong)
        assert "s3cret" not in str(refused.value)


def test_no_text_is_one_that_the_database_cannot_keep(
    bundle: Bundle, postgres: PostgresServer
) -> None:
    with (
        servers(bundle, postgres.fresh_url(), 1) as (served,),
        TestClient(create_app(served)) as client,
    ):
        row: dict[str, Any] = {"event_id": "e", "contact_id": "p0", "type": "unsubscribe"}
        row |= {"occurred_at": "2027-03-01T00:00:00Z"}
        texts = ("source", "message_id", "decision_id", "topic", "page_category", "reply_class")
        odd = [{**row, name: "a\0b"} for name in (*texts, "stage", "properties", "type", "z")]
        odd.append({**row, "properties": {"a\0": "\0"}})
        for event_row in odd:
            answer = client.post("/v1/events", json={"events": [event_row]})
            assert answer.status_code in (200, 422), (event_row, answer.text)
        person: dict[str, Any] = {"contact_id": "p1", "consent": True}
        odd = [{**person, name: "a\0b"} for name in ("account_id", "time_zone", "contact_id")]
        odd.append({**person, "attributes": {"industry": "a\0b"}})
        for contact_row in odd:
            answer = client.put("/v1/contacts", json={"contacts": [contact_row]})
            assert answer.status_code in (200, 400), (contact_row, answer.text)
        assert client.get("/v1/decisions/a%00b").status_code == 404
        assert client.post("/v1/decisions/confirm", json={"ids": ["a\0b"]}).status_code in (
            400,
            404,
        )


def test_events_after_a_place_are_found_without_a_look_at_those_before(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    with closing(Store(postgres.fresh_url())) as store:
        store.append_events(
            [event("open", MIDNIGHT + i, PEOPLE[i % 200 * (i % 2)]) for i in range(3_000)]
        )
        source: Any = store._source
        source.write([Statement("ANALYZE events", [()])])

        def read(sql: str, given: tuple[Any, ...]) -> Any:
            plans.extend(line for (line,) in real(f"EXPLAIN (ANALYZE) {sql}", given))
            return real(sql, given)

        real: Callable[..., list[rows.Row]] = source.read
        monkeypatch.setattr(source, "read", read)
        assert len(store.events(["p0"], {"p0": 2_990})["p0"]) == 5
    assert not [line for line in plans if "Seq Scan" in line or "Rows Removed" in line]
