"""A store has one writer, is found again where it was, and nobody else's file is touched."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from litestar.testing import TestClient

from nurture_rl.errors import LogError
from nurture_rl.logs.schema import CONTACTS, EVENTS
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.preload import load_log, load_once
from nurture_rl.serving.forbidding import Forbidding
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError, StoreLost
from tests.unit.serving.contacts import MIDNIGHT, Clock, contact, event, service

# What version 1 made.
_VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE contacts (
  contact_id TEXT PRIMARY KEY, account_id TEXT, time_zone TEXT, zone_confidence REAL NOT NULL,
  consent INTEGER NOT NULL, attributes TEXT NOT NULL) STRICT;
CREATE TABLE events (
  event_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, occurred_us INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, message_id TEXT,
  decision_id TEXT, topic TEXT, page_category TEXT, reply_class TEXT, stage TEXT, value REAL,
  is_machine INTEGER NOT NULL, properties TEXT NOT NULL) STRICT;
CREATE TABLE episodes (
  episode_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, journey TEXT NOT NULL,
  anchor_us INTEGER NOT NULL, UNIQUE (contact_id, journey)) STRICT;
CREATE TABLE decisions (
  decision_id TEXT PRIMARY KEY, contact_id TEXT NOT NULL, journey TEXT NOT NULL,
  episode_id TEXT NOT NULL, anchor_us INTEGER NOT NULL, step INTEGER NOT NULL,
  decided_us INTEGER NOT NULL, action TEXT NOT NULL, propensity REAL NOT NULL,
  probabilities BLOB NOT NULL, mask BLOB NOT NULL, reasons BLOB NOT NULL, features BLOB,
  policy_id TEXT NOT NULL, arm TEXT NOT NULL, catalog TEXT NOT NULL, scheduled_us INTEGER,
  note TEXT, UNIQUE (episode_id, step)) STRICT;
INSERT INTO meta VALUES ('version', '1'), ('seed', '77');
INSERT INTO contacts VALUES ('D4', NULL, 'Europe/Berlin', 1.0, 1, '{"a": 1}');
INSERT INTO contacts VALUES ('d4', NULL, 'Europe/Berlin', 1.0, 0, '{}');
INSERT INTO contacts VALUES ('Eve', NULL, NULL, 0.0, 1, '{}');
INSERT INTO events VALUES ('e', 'EVE', 1, 1, 'unsubscribe', 's', NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, 0, '{}');
INSERT INTO episodes VALUES ('x', 'Eve', 'j', 0);
"""


@pytest.mark.slow
def test_a_store_has_one_writer_even_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    with pytest.raises(StoreError, match="another server has it"):
        Store(path)
    (tmp_path / "link.db").symlink_to(path)
    code = "import sys, pathlib; from nurture_rl.serving.storage.store import Store; "
    code += "Store(pathlib.Path(sys.argv[1]))"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "link.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "another server has it" in found.stderr
    store.close()
    Store(path).close()


def test_one_store_has_one_lock_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "file.db").symlink_to(tmp_path / "real" / "s.db")
    monkeypatch.chdir(tmp_path / "folder")
    paths = (tmp_path / "file.db", tmp_path / "folder" / "s.db", Path("s.db"), Path("../real/s.db"))
    with closing(Store(tmp_path / "file.db")) as store:
        store.put_contacts([contact("ada")])
        for path in paths:
            with pytest.raises(StoreError, match="another server has it"):
                Store(path)
            with closing(StoreReader(path)) as reader:
                assert set(reader.contacts(["ada"])) == {"ada"}
    for path in paths:
        with closing(Store(path)) as store:
            assert set(store.contacts(["ada"])) == {"ada"}


def test_a_store_of_two_names_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s.db").close()
    (tmp_path / "other.db").hardlink_to(tmp_path / "s.db")
    for name in ("s.db", "other.db"):
        with pytest.raises(StoreError, match="one name, got 2 hard links"):
            Store(tmp_path / name)
    (tmp_path / "other.db").unlink()
    Store(tmp_path / "s.db").close()


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_a_file_that_is_mounted_alone_is_refused(tmp_path: Path) -> None:
    theirs, ours = Path(f"/dev/shm/{uuid4().hex}"), tmp_path / "s.db"
    Store(theirs).close()
    ours.touch()
    try:
        if subprocess.run(["mount", "--bind", theirs, ours], capture_output=True).returncode:
            pytest.skip("only root may mount")
        try:
            with pytest.raises(StoreError, match="a file mounted alone"):
                Store(ours)
        finally:
            subprocess.run(["umount", ours], check=True)
    finally:
        for path in theirs.parent.glob(f"{theirs.name}*"):
            path.unlink()


def test_a_new_store_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = Store(tmp_path / "store.db")
        store.append_events([event("open", MIDNIGHT)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert {"store.db", "store.db-wal", "store.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_a_store_can_be_read_beside_its_writer(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.append_events([event("open", MIDNIGHT)])
    with closing(StoreReader(tmp_path / "store.db")) as reader:
        assert len(reader.events(["ada"])["ada"]) == 1
        assert reader.seed == store.seed
    store.close()


def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE orders (id INTEGER)")
        other.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program's database with the tables orders"):
        Store(path)
    with pytest.raises(StoreError, match="another program's database"):
        StoreReader(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["other.db"]


def test_a_store_of_version_2_keeps_what_was_taken_back_and_what_counted(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(_VERSION_1)
        old.executescript(
            """
            ALTER TABLE contacts ADD COLUMN spelling TEXT;
            UPDATE contacts SET contact_id = 'eve', spelling = 'Eve', account_id = ' ACME'
              WHERE contact_id = 'Eve';
            DELETE FROM contacts WHERE contact_id = 'D4';
            CREATE TABLE withdrawals (
              decision_id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, reason TEXT NOT NULL) STRICT;
            INSERT INTO withdrawals VALUES ('d', 5, 'opted_out');
            INSERT INTO withdrawals VALUES ('it''s', 5, 'decision "it''s" was send:welcome@09 and '
              || 'must not be carried out any more: the episode ended (left); send nothing, and '
              || 'ask anew without this request_id');
            INSERT INTO decisions VALUES ('d', 'eve', 'j', 'x', 0, 0, 1, 'send:welcome@09', 1.0,
              x'', x'', x'', NULL, 'p', 'a', 'c', 9, NULL);
            UPDATE meta SET value = '2' WHERE name = 'version';
            """
        )
    with pytest.raises(StoreError, match="start the server on it once"):
        StoreReader(path)
    with closing(Store(path)) as store:
        reasons = [store.fates(["d", "it's"])[name].reason for name in ("d", "it's")]
        assert reasons == ["opted_out", "the episode ended (left)"]
        assert [plan.at_us for plan in store.planned(["eve"])[0]["eve"]] == [9]
        assert store.decisions(["d"])["d"].confirm_by_us is None
        assert store.contacts(["eve"])["eve"].account_id == " ACME"


def test_a_store_of_version_1_is_brought_up_to_date_with_all_its_words(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(_VERSION_1)
    with pytest.raises(StoreError, match="start the server on it once"):
        StoreReader(path)
    store = Store(path)
    found = store.contacts(["D4", "eve"])
    assert (found["d4"].consent, found["eve"].spelling) == (False, "Eve")
    assert [word.type for word in store.events(["eve"])["eve"]] == ["unsubscribe"]
    assert store.seed == 77
    store.close()
    with closing(StoreReader(path)) as again:
        assert again.contacts(["D4"]) == {"d4": found["d4"]}


@pytest.mark.parametrize("gone", ["store.db", "store.db-wal"])
def test_a_store_deleted_while_served_acknowledges_nothing(
    bundle: Bundle, tmp_path: Path, gone: str
) -> None:
    served = service(bundle, tmp_path / "store.db", Clock())
    told: list[int] = []
    served.store.when_lost(lambda: told.append(1))
    row = {
        "event_id": "e",
        "contact_id": "ada",
        "type": "click",
        "occurred_at": "2026-03-01T00:00:00Z",
    }
    with TestClient(create_app(served)) as client:
        (tmp_path / gone).unlink()
        answer = client.post("/v1/events", json={"events": [row]})
        assert answer.status_code == 503
        assert "deleted or replaced" in answer.json()["detail"]
        asked = client.post("/v1/decisions", json={"contacts": [{"contact_id": "ada"}]})
        assert asked.status_code == 503
        assert client.get("/healthz").status_code == 503
    assert told == [1]
    assert isinstance(served.store.lost, StoreLost)


def test_a_store_replaced_by_a_copy_acknowledges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    (tmp_path / "copy.db").replace(path)
    with pytest.raises(StoreLost, match="replaced"):
        store.put_contacts([contact("ada")])


def test_another_programs_database_without_tables_is_called_that(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        theirs.executescript("PRAGMA application_id = 7; VACUUM;")
    with pytest.raises(StoreError, match="another program's database without tables; nothing"):
        Store(tmp_path / "theirs.db")


def test_a_log_whose_contacts_differ_in_case_alone_is_refused(tmp_path: Path) -> None:
    row = {"contact_id": "AbC", "zone_confidence": 0.0, "consent": True, "attributes": "{}"}
    rows = [row, {**row, "contact_id": "abc", "consent": False}]
    pq.write_table(pa.Table.from_pylist(rows, CONTACTS), tmp_path / "contacts.parquet")
    pq.write_table(EVENTS.empty_table(), tmp_path / "events.parquet")
    with closing(Store(tmp_path / "store.db")) as store:
        with pytest.raises(LogError, match="'AbC' and 'abc'"):
            load_log(store, tmp_path, Forbidding())
        assert store.contacts(["abc"]) == {}


def test_an_opt_out_in_a_log_counts_under_a_taken_id(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "store.db")) as store:
        word = event("unsubscribe", MIDNIGHT, event_id="e")
        store.append_events([event("open", MIDNIGHT, event_id="e")])
        cells = {name: getattr(word, name) for name in word.__slots__}
        cells |= {"occurred_at": cells.pop("occurred_us"), "recorded_at": cells.pop("recorded_us")}
        pq.write_table(CONTACTS.empty_table(), tmp_path / "contacts.parquet")
        pq.write_table(pa.Table.from_pylist([cells], EVENTS), tmp_path / "events.parquet")
        assert load_log(store, tmp_path, Forbidding()) == (0, 1)
        assert load_log(store, tmp_path, Forbidding()) == (0, 0)
        kinds = [found.type for found in store.events(["ada"])["ada"]]
        assert kinds == ["open", "unsubscribe"]


@pytest.mark.parametrize("kind", ["asked_to_stop", "meeting_booked", "open"])
def test_a_journeys_own_word_in_a_log_counts_under_a_taken_id(tmp_path: Path, kind: str) -> None:
    forbidding = Forbidding(Forbidding().types | {"asked_to_stop"})
    with closing(Store(tmp_path / "store.db")) as store:
        store.append_events([event("click", MIDNIGHT, event_id="e")])
        word = event(kind, MIDNIGHT, event_id="e")
        cells = {name: getattr(word, name) for name in word.__slots__}
        cells |= {"occurred_at": cells.pop("occurred_us"), "recorded_at": cells.pop("recorded_us")}
        pq.write_table(CONTACTS.empty_table(), tmp_path / "contacts.parquet")
        pq.write_table(pa.Table.from_pylist([cells], EVENTS), tmp_path / "events.parquet")
        assert load_once(store, tmp_path, Forbidding()) == (0, 0)
        assert load_once(store, tmp_path, Forbidding()) is None
        # Served under the journey whose word it is, the same log is read again.
        assert load_once(store, tmp_path, forbidding) == (0, int(kind == "asked_to_stop"))
        assert load_once(store, tmp_path, forbidding) is None
