"""Who asks to be forgotten is gone from the store, and old logs do not bring them back."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import DAY_US
from nurture_rl.cli.main import main
from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.mail_permission import permission_of
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.preload import load_log
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.records import Decision, Quarantined, Refusal
from nurture_rl.serving.storage.on_postgresql import PostgresDatabase
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep import erasing
from nurture_rl.serving.upkeep.erasing import OF_CONTACT, OF_DECISION, erase_contacts
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.exported_chain import verify_export
from nurture_rl.serving.upkeep.verifying import verify_store
from tests.postgres import PostgresServer
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event

LATE = MIDNIGHT + 100_000 * DAY_US  # after any clock of a test's machine


@pytest.fixture
def heard(store_file: Path) -> Path:
    """The store of the two days, with events and refused rows of Cleo and of others."""
    with closing(Store(store_file)) as store:
        named = event("click", MIDNIGHT + 1, "ada", decision_id="Cleo-0")
        store.append_events(
            [event("click", MIDNIGHT, "CLEO"), event("open", MIDNIGHT, "bob"), named],
            [
                Quarantined(1, "/v1/events", "cleo ", "r", "{}"),
                Quarantined(1, "/v1/events", None, "r", '{"who": ["CLEO"]}'),
                Quarantined(1, "/v1/events", "bob", "r", '{"note": "not cleo himself"}'),
            ],
        )
    return store_file


def test_nothing_of_the_person_is_left_in_the_file(heard: Path) -> None:
    head = verify_store(heard).head
    with closing(sqlite3.connect(heard, isolation_level=None)) as store:
        store.execute("PRAGMA secure_delete = OFF")  # as SQLite is built on most machines
        store.execute(
            "UPDATE contacts SET attributes = ? WHERE contact_id = 'cleo'", ("cleo" * 50,)
        )
        store.execute("UPDATE contacts SET attributes = '{}' WHERE contact_id = 'cleo'")
    assert b"cleocleo" in heard.read_bytes().lower()  # in free space
    gone = erase_contacts(heard, ["Cleo"], "asked for")
    assert gone == {"contacts": 1, "events": 1, "episodes": 1, "decisions": 2, "quarantine": 2}
    left = heard.read_bytes().lower()
    assert left.replace(b"not cleo himself", b"").count(b"cleo") == 0
    walk = verify_store(heard, head)  # what was noted before the erasure is still in the chain
    assert walk.broken_places == []
    assert (walk.seen["decision"], walk.seen["erased decisions"], walk.seen["erasure"]) == (4, 2, 1)
    with closing(StoreReader(heard)) as store:
        assert set(store.contacts(["ada", "bob", "cleo"])) == {"ada", "bob"}
        assert [one.decision_id for one in store.events(["ada"])["ada"]] == [None]
    assert erase_contacts(heard, ["cleo"], "asked for") == {}
    assert verify_store(heard).seen["erasure"] == 1


def test_an_episode_under_another_spelling_of_version_1_goes_too(heard: Path) -> None:
    with closing(sqlite3.connect(heard, isolation_level=None)) as store:
        store.execute(
            "INSERT INTO episodes (episode_id, contact_id, journey, anchor_us, number, priority) "
            "VALUES ('j:CLEO:1', 'CLEO', 'j', 0, 1, 0)"
        )
        store.execute("UPDATE decisions SET episode_id = 'j:CLEO:1' WHERE decision_id = 'Cleo-1'")
    assert erase_contacts(heard, ["cleo"], "asked for")["episodes"] == 2
    assert b"j:cleo:1" not in heard.read_bytes().lower()


def test_a_file_that_cannot_be_rewritten_is_told(
    heard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (heard.stat().st_size - 4096, hard))
        assert main(["erase", "contact=ada", f"store={heard}"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (told,) = capsys.readouterr().err.splitlines()
    assert "may still stand in its free space" in told
    assert main(["erase", "contact=ada", f"store={heard}"]) == 0
    assert "nothing was there" in capsys.readouterr().out


def test_what_became_of_their_decisions_is_erased_with_them(heard: Path) -> None:
    erase_contacts(heard, ["ada", "bob"], "asked for")
    walk = verify_store(heard)
    assert (walk.broken, walk.seen["erased"]) == (0, 6)
    with closing(sqlite3.connect(heard)) as store:
        for table in ("withdrawals", "confirmations"):
            assert store.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_one_erasure_more_than_was_made_is_found(heard: Path) -> None:
    erase_contacts(heard, ["cleo"], "asked for")
    with closing(sqlite3.connect(heard)) as store:
        (name,) = store.execute("SELECT erasure_id FROM erasures").fetchone()
        store.execute("UPDATE chain SET id = NULL, erasure = ? WHERE id = 'bob-0'", (name,))
        store.execute("DELETE FROM decisions WHERE decision_id = 'bob-0'")
        store.execute("DELETE FROM confirmations")
        store.commit()
    assert verify_store(heard).broken_places == [
        f"erasure {name} (entry 9): what is called erased by it is not what it took"
    ]
    with closing(sqlite3.connect(heard)) as store:
        store.execute("UPDATE erasures SET reason = 'another'")
        store.commit()
    assert "its row is not what was logged" in verify_store(heard).broken_places[0]


def test_what_they_used_of_an_inventory_stays_used(heard: Path, bundle: Bundle) -> None:
    journey, messages = bundle.journey.name, [one.id for one in bundle.journey.messages]
    with closing(StoreReader(heard)) as store:
        before = store.sent_messages(journey, messages)
    assert before
    for name in ("cleo", "ada", "bob"):
        erase_contacts(heard, [name], "asked for")
    with closing(StoreReader(heard)) as store:
        assert store.sent_messages(journey, messages) == before


def log_of(folder: Path, store: Path) -> Path:
    with closing(StoreReader(store)) as reader:
        export_log(reader, folder)
    for name, schema in (("contacts", CONTACTS), ("events", EVENTS)):
        table = pq.read_table(folder / f"{name}.parquet").select(schema.names)
        pq.write_table(table.cast(schema), folder / f"{name}.parquet")
    return folder


def test_an_old_log_does_not_bring_them_back(heard: Path, tmp_path: Path) -> None:
    log = log_of(tmp_path / "log", heard)
    erase_contacts(heard, ["cleo"], "asked for")
    with closing(Store(heard)) as store:
        assert load_log(store, log, Forbidding()) == (0, 0)
        assert store.contacts(["cleo"]) == {}
        assert store.events(["cleo"]) == {}


def test_who_comes_back_gets_mail_again_on_new_consent_alone(heard: Path, bundle: Bundle) -> None:
    erase_contacts(heard, ["cleo"], "asked for")
    clock = Clock(LATE)
    with closing(Store(heard)) as store:
        service = Service(bundle, store, ServerSettings(ZONE, True, clock, seed=11))
        # Reports on old mail are not stored anew; somebody's list puts them, consent and all.
        old = LATE - 3 * DAY_US
        service.append_events([event("open", old, "cleo"), event("complaint", old, "cleo")])
        assert store.events(["cleo"]) == {}
        (unknown,) = service.decide([Ask("cleo")])
        assert isinstance(unknown, Refusal)
        service.put_contacts([contact("Cleo", consent=True)])
        service.put_contacts([contact("Cleo", consent=True)])
        (stop,) = store.events(["cleo"])["cleo"]
        assert (stop.type, stop.source) == ("unsubscribe", "erasure")
        (answer,) = service.decide([Ask("cleo")])
        assert isinstance(answer, Decision)
        assert not any(
            legal
            for legal, action in zip(answer.mask, bundle.catalog.ids, strict=True)
            if action.startswith("send:")
        )
        assert permission_of(store.events(["cleo"])["cleo"]).opted_out
        service.append_events([event("consent_given", LATE, "cleo")])
        assert not permission_of(store.events(["cleo"])["cleo"]).opted_out
        service.append_events([event("open", LATE, "cleo")])  # stored again from now on
        assert len(store.events(["cleo"])["cleo"]) == 3


def test_consent_that_comes_before_the_contact_counts(heard: Path) -> None:
    erase_contacts(heard, ["cleo"], "asked for")
    with closing(Store(heard)) as store:
        assert store.append_events([event("consent_given", LATE, "CLEO")]) == 1
        store.put_contacts([contact("cleo")])
        words = store.events(["cleo"])["cleo"]
        assert [word.type for word in words] == ["unsubscribe", "consent_given"]
        assert not permission_of(words).opted_out


def test_random_appends_erasures_and_backups_keep_the_chain_whole(
    bundle: Bundle, tmp_path: Path
) -> None:
    """And one changed byte of any decision that is left turns it red."""
    rng = np.random.default_rng(3)
    path, clock, names = tmp_path / "store.db", Clock(), [f"c{i}" for i in range(12)]
    for turn in range(12):
        clock.now_us = MIDNIGHT + turn * DAY_US
        with closing(Store(path)) as store:
            service = Service(bundle, store, ServerSettings(ZONE, False, clock))
            some = [names[i] for i in rng.choice(12, 4, replace=False)]
            service.put_contacts([contact(name) for name in some])
            service.decide([Ask(name) for name in some])
            word = "unsubscribe" if turn % 3 else "click"
            service.append_events([event(word, clock.now_us, some[0])])
        kind = rng.integers(3)
        if kind == 0:
            erase_contacts(path, [str(rng.choice(names))], "asked for")
        elif kind == 1:
            out = tmp_path / f"{turn}.backup"
            assert main(["backup", f"store={path}", f"out={out}"]) == 0
        assert verify_store(path).broken_places == []
    walk = verify_store(path)
    assert walk.seen["erased decisions"] > 2
    assert walk.seen["withdrawal"] > 0
    with closing(sqlite3.connect(path)) as store:
        (name,) = store.execute("SELECT decision_id FROM decisions ORDER BY random()").fetchone()
        changed = "UPDATE decisions SET reasons = zeroblob(8) WHERE decision_id = ?"
        store.execute(changed, (name,))
        store.commit()
    assert name in verify_store(path).broken_places[0]


def test_every_table_that_names_a_contact_or_a_decision_is_erased(heard: Path) -> None:
    named = set()
    with closing(sqlite3.connect(heard)) as store:
        tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = {row[1] for row in store.execute(f"PRAGMA table_info({table})")}
            if columns & {"contact_id", "decision_id"}:
                named.add(table)
    assert named == {*OF_CONTACT, *OF_DECISION, "quarantine"}


def test_people_are_erased_from_postgresql_while_a_server_runs(
    postgres: PostgresServer, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    url, clock = postgres.fresh_url(), Clock()
    with closing(Store(url)) as store:
        service = Service(bundle, store, ServerSettings(ZONE, False, clock))
        service.put_contacts([contact(name) for name in ("ada", "cleo", "old")])
        service.decide([Ask(name, f"{name}-0") for name in ("ada", "cleo")])
        service.append_events([event("unsubscribe", MIDNIGHT, "cleo")], [refused("Cleo ")])
        store.append_events([event("unsubscribe", 5, "old")])
        head = verify_store(url).head
        assert main(["erase", "contact=CLEO", f"store={url}"]) == 0
        told = capsys.readouterr().out
        assert "1 of contacts, 1 of decisions, 1 of episodes, 1 of events, 1 of " in told
        assert "1 of news, 1 of quarant" in told
        for table in ("news", "mail_changes"):
            asked = f"SELECT contact_id FROM {table}"
            assert "cleo" not in {name for (name,) in store._source.read(asked)}
        service.put_contacts([contact("cleo")])
        assert [word.source for word in store.events(["cleo"])["cleo"]] == ["erasure"]
        assert main(["retention", f"store={url}", "older_than_days=9999"]) == 0
        assert "1 contact with 1 event and 0 decisions" in capsys.readouterr().out
        assert main(["retention", f"store={url}", "older_than_days=9999", "apply=true"]) == 0
        assert set(store.contacts(["ada", "cleo", "old"])) == {"ada", "cleo"}
        assert set(store.erased(["ada", "cleo", "old"])) == {"cleo", "old"}
    walk = verify_store(url, head)
    assert (walk.broken_places, walk.seen["erased decisions"]) == ([], 1)


def test_an_erasure_in_postgresql_is_in_the_chain_as_soon_as_it_is_seen(
    bundle: Bundle, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.fresh_url()
    with closing(Store(url)) as store:
        store.put_contacts([contact("cleo")])
        Service(bundle, store, ServerSettings(ZONE, False, Clock())).decide([Ask("cleo")])
    monkeypatch.setattr(PostgresDatabase, "_link_committed", lambda *_: None)  # killed just then
    erase_contacts(url, ["cleo"], "asked for")
    walk = verify_store(url)
    assert (walk.broken_places, walk.seen["erased decisions"]) == ([], 1)


def test_a_database_that_refuses_an_erasure_is_told_in_one_line(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.fresh_url()
    with closing(Store(url)) as store:
        store.put_contacts([contact("cleo")])
    monkeypatch.setattr(erasing, "_ADD_ERASURE", "INSERT INTO nothing VALUES (?, ?, ?, ?, ?)")
    assert main(["erase", "contact=cleo", f"store={url}"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert 'relation "nothing" does not exist' in told
    with closing(StoreReader(url)) as reader:
        assert set(reader.contacts(["cleo"])) == {"cleo"}


def refused(name: str) -> Quarantined:
    return Quarantined(MIDNIGHT, "/v1/events", name, "r", "{}")


def test_an_exported_log_is_cleaned_and_still_verifies(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = log_of(tmp_path / "log", heard)
    (log / "mail.csv").write_text("id\nCleo\n")
    (log / "other.csv").write_text("id\ncleopatra\n")
    head = verify_export(log, None).head
    before = (log / "decisions.parquet").stat().st_mode
    assert main(["erase", "contact=CLEO", f"logs=[{log}]"]) == 0
    told = capsys.readouterr().out
    for name, rows in (("contacts", 1), ("events", 2), ("decisions", 2), ("chain", 2)):
        assert f"{log / name}.parquet: {rows} row" in told
        assert "Cleo" not in str(pq.read_table(log / f"{name}.parquet").to_pylist())
    assert f"{log / 'mail.csv'}: names the contact and stays" in told
    assert "other.csv" not in told
    walk = verify_export(log, head)
    assert walk.broken_places == []
    assert (walk.seen["decision"], walk.seen["erased decisions"]) == (4, 2)
    assert (log / "decisions.parquet").stat().st_mode == before
    assert "withdrawn" in pq.read_schema(log / "decisions.parquet").names
    assert main(["erase", "contact=CLEO", f"logs=[{log}]"]) == 0
    assert "no Parquet file of the logs had a row" in capsys.readouterr().out


def test_an_export_after_an_erasure_vouches_for_it(heard: Path, tmp_path: Path) -> None:
    erase_contacts(heard, ["cleo"], "asked for")
    log = log_of(tmp_path / "log", heard)
    walk = verify_export(log, verify_store(heard).head)
    assert (walk.broken_places, walk.seen["erasure"]) == ([], 1)
    table = pq.read_table(log / "chain.parquet").to_pylist()
    name = table[9]["id"]
    table[2] |= {"id": None, "erasure": name}
    pq.write_table(pa.Table.from_pylist(table), log / "chain.parquet")
    found = verify_export(log, None).broken_places
    assert f"erasure {name} (entry 9): what is called erased by it is not what it took" in found


def test_stages_that_learned_from_them_are_named(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = tmp_path / "runs" / "stages"
    record = '{{"inputs": {{"stage": "x", "from": "{}"}}}}'
    sources = {"ingest-a": "raw-1", "ingest-b": "raw-2", "policy-a": "ingest-a"}
    sources |= {"policy-b": "ingest-b", "release-a": "policy-a"}
    for name, source in sources.items():
        (stages / name / "tables").mkdir(parents=True)
        (stages / name / "stage.json").write_text(record.format(source))
    log_of(tmp_path / "log", heard)
    for name in ("contacts", "events"):
        shutil.copy(tmp_path / "log" / f"{name}.parquet", stages / "ingest-a" / "tables")
    (stages / "release-a" / "bundle").mkdir()
    (stages / "release-a" / "bundle" / "manifest.json").write_text('{"policy_id": "abc"}')
    copies = tmp_path / "runs" / "mlartifacts"
    (copies / "m-a").mkdir(parents=True)
    (copies / "m-a" / "manifest.json").write_text('{"policy_id": "abc"}')
    assert main(["erase", "contact=cleo", f"store={heard}", f"runs={tmp_path / 'runs'}"]) == 0
    told = capsys.readouterr().out
    for name in ("ingest-a", "policy-a", "release-a"):
        assert f"{stages / name}: made from a log with the contact" in told
    assert "policy abc; remove it and run again" in told
    assert "policy-b" not in told
    assert f"{copies / 'm-a'}: made from a log with the contact" in told


def test_what_cannot_be_erased_is_refused(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Store(heard)):
        assert main(["erase", "contact=cleo", f"store={heard}"]) == 2
        assert "another server has it" in capsys.readouterr().err
    for words, text in (
        (["contact=cleo"], "expected where to erase from"),
        (["contact= ", f"store={heard}"], "expected the id of a contact"),
        (["contact=cleo", f"store={tmp_path / 'no'}"], "no store at"),
        (["contact=cleo", f"store={heard}", f"logs=[{tmp_path / 'no'}]"], "expected a folder at"),
    ):
        assert main(["erase", *words]) == 2
        assert text in capsys.readouterr().err
    with closing(StoreReader(heard)) as store:
        assert set(store.contacts(["cleo"])) == {"cleo"}
