"""A store in PostgreSQL is backed up beside its servers, and comes back as a database or a file."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.cli.main import main
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.arm_records import Ghost, StartedPlan
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import (
    STATE_ROW,
    AuditEntry,
    ConsentEntry,
    ContactState,
    Decision,
    JourneyEntry,
    MailWords,
    Moves,
    Preferences,
    Quarantined,
    Shadow,
    Waiting,
    Withdrawal,
)
from nurture_rl.serving.storage import arm_rows, rows
from nurture_rl.serving.storage.databases import Statement
from nurture_rl.serving.storage.locating import open_for_reading
from nurture_rl.serving.storage.on_postgresql import PostgresDatabase, ReadPostgres
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.erasing import erase_contacts
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event, view
from tests.unit.serving.lives import until

PEOPLE = [f"p{i}" for i in range(12)]
OF_SERVERS = ("news", "mail_changes", "stripes")  # of one database, in no file


@pytest.fixture
def url(bundle: Bundle, postgres: PostgresServer) -> str:
    """A store of two days with a withdrawal, a confirmation, events, and somebody erased."""
    found, clock = postgres.fresh_url(), Clock()
    with closing(Store(found)) as store:
        store.put_contacts([contact(name) for name in (*PEOPLE, "gone")])
        service = Service(bundle, store, ServerSettings(ZONE, False, clock, seed=None))
        for day in range(2):
            clock.now_us = MIDNIGHT + day * DAY_US
            service.decide([Ask(name, f"{name}-{day}") for name in (*PEOPLE, "gone")])
        taken = store.decisions(["p0-0"])["p0-0"]
        store.settle([Withdrawal(taken, 5, "why", True)], {"p1-0": 6})
        store.append_events([event("open", MIDNIGHT, name, value=0.1) for name in PEOPLE])
        (bob, carl), at_us = PEOPLE[:2], MIDNIGHT + 5
        wish = Preferences(frozenset({"product"}), per_week=2)
        refused = ConsentEntry(at_us, bob, "page", "marketing", "refused", "product")
        store.put_preferences(bob, wish, [refused], [])
        store.note(AuditEntry(at_us, "mail_volume", "google", "slowed", "a test"))
        store.append_events([], [Quarantined(at_us, "api", carl, "why", "{}")])
        plan = StartedPlan("0" * 16, "other", "spring", at_us, "experiment: spring\n")
        ghost = Ghost("p0-0", taken.episode_id, 0, "exit", 0.5, (0.5, 0.5), (True, True), "other")
        store._database.write(
            [
                Statement(arm_rows.ADD_PLAN, [arm_rows.plan_row(plan)]),
                Statement(arm_rows.ADD_GHOST, [arm_rows.ghost_row(ghost)]),
            ]
        )
        store.add_shadows([Shadow("p0-0", "other", at_us, 0.5, (0.5, 0.5), None)])
        store.move(
            Moves(
                waits=[Waiting(carl, "other", 1, at_us, "busy")],
                entries=[JourneyEntry(at_us, "rule", "other", carl, None, "waits", "busy")],
            )
        )
        words = MailWords(open=(event("reply", at_us, bob),), soft_us=(at_us,))
        sums, sends = np.zeros(2, STATE_ROW), ((at_us, "welcome"),)
        state = ContactState("e", at_us, ZONE, sums, words, sends)
        store.put_states("inbound_lead", "folding", {bob: state})
        store.remember("a log that was read")
    erase_contacts(found, ["gone"], "asked for")
    return found


def backup(store: str, out: Path) -> int:
    return main(["backup", f"store={store}", f"out={out}"])


def restore(source: Path, store: object, *words: str) -> int:
    return main(["restore", f"backup={source}", f"store={store}", *words])


def tables_of(location: Path | str) -> dict[str, list[str]]:
    """All rows that are not the database's own, by table, in the order in which they came."""
    found: dict[str, list[str]] = {}
    with closing(open_for_reading(location)) as source:
        numbered = isinstance(source, ReadPostgres)  # in the last column
        listed = (
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            if numbered
            else "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
        for (name,) in source.read(listed):
            if name in OF_SERVERS:
                continue
            chained = name == "chain"
            asked = f"SELECT * FROM {name} ORDER BY {'number' if chained else 'rowid'}"
            with source.blocks(asked, 1000) as blocks:
                rows = [row for block in blocks for row in block]
            found[name] = [repr(row[:-1] if numbered else row) for row in rows]
    return found


def test_a_database_comes_back_whole_as_a_database_and_as_a_file(
    url: str, bundle: Bundle, postgres: PostgresServer, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    head = verify_store(url).head
    assert backup(url, tmp_path / "b") == 0
    assert f"head {head}" in capsys.readouterr().out
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
    assert main(["verify", f"store={tmp_path / 'b'}", f"head={head}"]) == 0
    new, file = postgres.fresh_url(), tmp_path / "new.db"
    assert restore(tmp_path / "b", new) == 0
    assert restore(tmp_path / "b", file) == 0
    whole = tables_of(url)
    assert [name for name, rows in whole.items() if not rows] == ["waiting_links"]
    for place in (new, file):
        assert tables_of(place) == whole
        clock = Clock(MIDNIGHT + 2 * DAY_US)
        with closing(Store(place)) as store:
            service = Service(bundle, store, ServerSettings(ZONE, False, clock, seed=None))
            again, *_ = service.decide([Ask("p1", "p1-1")])
            assert getattr(again, "decision_id", None) == "p1-1"
            fresh = service.decide([Ask(name, f"{name}-2") for name in PEOPLE[2:]])
            assert any(isinstance(answer, Decision) for answer in fresh)
            assert set(store.erased(["gone"])) == {"gone"}
        walk = verify_store(place, head)
        assert (walk.broken, walk.seen["decision"] > 24) == (0, True)


def test_a_file_becomes_a_database(
    store_file: Path, postgres: PostgresServer, tmp_path: Path
) -> None:
    assert backup(str(store_file), tmp_path / "b") == 0
    url = postgres.fresh_url()
    Store(url).close()  # a store that knows nothing yet
    assert restore(tmp_path / "b", url) == 0
    walk = verify_store(url, verify_store(store_file).head)
    assert (walk.broken, tables_of(url)) == (0, tables_of(store_file))


def test_a_backup_beside_servers_that_write_is_of_one_moment(
    url: str, bundle: Bundle, tmp_path: Path
) -> None:
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    over, written = threading.Event(), list[int]()
    with closing(Store(url)) as store:

        def write() -> None:
            while not over.is_set():
                i = len(written)
                one = replace(made, decision_id=f"d{i}", episode_id=f"d{i}", contact_id=f"d{i}")
                store.append_decisions([one])
                written.append(i)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for i in range(3):
                before = len(written)
                assert backup(url, tmp_path / f"{i}.backup") == 0
                assert verify_store(tmp_path / f"{i}.backup").broken == 0
                with closing(StoreReader(tmp_path / f"{i}.backup")) as copy:
                    there = copy.decisions([f"d{k}" for k in range(before)])
                    assert len(there) == before
        finally:
            over.set()
            thread.join()


def test_what_waits_for_the_chain_is_linked_where_it_comes_back(
    url: str, bundle: Bundle, postgres: PostgresServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (made,) = decide(bundle, [view()], MIDNIGHT, 3, ZONE)
    assert isinstance(made, Decision)
    head = verify_store(url).head
    assert head is not None
    with monkeypatch.context() as patched, closing(Store(url)) as store:
        patched.setattr(PostgresDatabase, "_link_committed", lambda *_: None)
        store.append_decisions([made])
    assert backup(url, tmp_path / "b") == 0
    new, file = postgres.fresh_url(), tmp_path / "new.db"
    for place in (new, file):
        assert restore(tmp_path / "b", place) == 0
        assert verify_store(place).head == head  # it waits there too
    Store(file).close()
    with closing(PostgresDatabase(new, 0)) as database:
        database.link()
    for place in (new, file):
        walk = verify_store(place, head)
        assert walk.broken == 0
        assert walk.head is not None
        assert walk.head.number == head.number + 1


def test_a_restore_takes_no_place_in_a_database(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup(url, tmp_path / "b") == 0
    before = tables_of(url)
    assert restore(tmp_path / "b", url) == 2
    assert "got one with contacts; it stays as it is" in capsys.readouterr().err
    assert restore(tmp_path / "b", url, "replace=true") == 2
    assert "no database takes another's place" in capsys.readouterr().err
    assert tables_of(url) == before


def test_a_database_of_a_server_takes_no_other_store(
    url: str, bundle: Bundle, postgres: PostgresServer, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert backup(url, tmp_path / "b") == 0
    new = postgres.fresh_url()
    with closing(Store(new)) as store:  # it decides by the seed that it has found
        Service(bundle, store, ServerSettings(ZONE, False, Clock(), seed=None))
        assert restore(tmp_path / "b", new) == 2
    assert "got one with policy_log; it stays as it is" in capsys.readouterr().err


def test_a_store_that_is_taken_whole_waits_for_who_is_at_work(postgres: PostgresServer) -> None:
    url = postgres.fresh_url()
    taken = list[bool]()
    with closing(PostgresDatabase(url, 1)) as one, closing(PostgresDatabase(url, 1)) as other:

        def take() -> None:
            with other.alone():
                taken.append(True)

        thread = threading.Thread(target=take)
        with one.held("contact", ["ada"]):
            thread.start()
            asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode LIKE 'AccessExcl%'"
            until(lambda: one.read(asked)[0][0] == 1)
            row = ("ada", None, None, 1.0, 1, "{}", None, None)
            one.write([Statement(rows.PUT_CONTACT, [row])])
            assert not taken
        thread.join()
        assert taken == [True]


def test_a_broken_database_is_not_backed_up_and_a_broken_copy_leaves_nothing(
    url: str, postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert backup(url, tmp_path / "b") == 0
    new = postgres.fresh_url()
    schema = new.rpartition("%3D")[2]
    Store(new).close()
    postgres.run(
        f"SET search_path TO {schema}; CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.arm = 'x'; RETURN NEW; END $$; CREATE TRIGGER other BEFORE INSERT ON "
        "decisions FOR EACH ROW EXECUTE FUNCTION other()"
    )
    assert restore(tmp_path / "b", new) == 2
    assert "its row is not what was logged" in capsys.readouterr().err
    assert verify_store(new).seen["decision"] == 0
    postgres.run(f"UPDATE {url.rpartition('%3D')[2]}.decisions SET arm = 'x'")
    assert backup(url, tmp_path / "c") == 2
    assert "expected what was logged in postgresql://" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_who_was_erased_after_the_backup_is_erased_from_what_comes_back(
    url: str, postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup(url, tmp_path / "b") == 0
    erase_contacts(url, ["p3", "P4 "], "asked for")
    new = postgres.fresh_url()
    assert restore(tmp_path / "b", new, f"erased_in={new}") == 2
    assert "expected a store at" in capsys.readouterr().err
    for place in (new, tmp_path / "new.db"):
        assert restore(tmp_path / "b", place, f"erased_in={url}") == 0
        assert "erased again, as after the backup: 2 contacts" in capsys.readouterr().out
        with closing(StoreReader(place)) as reader:
            assert set(reader.contacts(PEOPLE)) == {*PEOPLE} - {"p3", "p4"}
            assert set(reader.erased(["p3", "p4", "gone"])) == {"p3", "p4", "gone"}
        assert verify_store(place).broken == 0
