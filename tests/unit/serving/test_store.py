"""What the store acknowledges is on disk, once, and reads back as it was."""

from __future__ import annotations

import resource
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.deciding.decide import decide
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.databases import Statement
from nurture_rl.serving.storage.on_sqlite import SqliteDatabase
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.rows import VERSION
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.storage.writer import GroupCommit
from nurture_rl.serving.store_errors import (
    StoreConflict,
    StoreError,
    StoreLost,
    StoreUnavailable,
)
from tests.unit.serving.contacts import MIDNIGHT, ZONE, contact, event, view


def _decision(bundle: Bundle, name: str) -> Decision:
    (answer,) = decide(bundle, [view(decision_id=name)], MIDNIGHT, 3, ZONE)
    assert isinstance(answer, Decision)
    return replace(answer, contact_id=f"contact of {name}", episode_id=f"episode of {name}")


@pytest.mark.usefixtures("either_database")
def test_records_read_back_as_they_were_written(bundle: Bundle, tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    decision = _decision(bundle, "d-1")
    bare = replace(_decision(bundle, "d-2"), features=None, note="the model failed")
    sale = event("purchase", MIDNIGHT, value=0.1, is_machine=True, properties='{"a": "ü"}')
    store.put_contacts([contact("ada"), contact("bob", time_zone=None, consent=False)])
    store.append_events([sale])
    store.append_decisions([decision, bare])
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.decisions(["d-1", "d-2", "d-3"]) == {"d-1": decision, "d-2": bare}
    assert again.events(["ada", "bob"]) == {"ada": (sale,)}
    assert again.contacts(["bob", "zoe"])["bob"] == contact("bob", time_zone=None, consent=False)
    assert again.seed == store.seed
    again.close()


@pytest.mark.usefixtures("either_database")
def test_an_event_id_is_stored_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    first, second = event("open", MIDNIGHT), event("open", MIDNIGHT + 1)
    assert store.append_events([first]) == 1
    assert store.append_events([replace(first, type="click"), second, second]) == 1
    assert [found.type for found in store.events(["ada"])["ada"]] == ["open", "open"]
    store.close()


@pytest.mark.usefixtures("either_database")
def test_a_bin_is_decided_once_and_a_refused_group_leaves_nothing(
    bundle: Bundle, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store.db")
    first = _decision(bundle, "d-1")
    store.append_decisions([first])
    fresh, same_bin = _decision(bundle, "d-2"), replace(first, decision_id="d-3")
    with pytest.raises(StoreConflict):
        store.append_decisions([fresh, same_bin])
    assert set(store.decisions(["d-1", "d-2", "d-3"])) == {"d-1"}
    store.close()


def test_one_failing_write_does_not_undo_its_neighbours(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    writer = GroupCommit(connection)
    failed: list[int] = []

    def write(n: int) -> None:
        try:
            writer.write([Statement("INSERT INTO t VALUES (?)", [(n,), (1000 + n % 7,)])])
        except sqlite3.IntegrityError:
            failed.append(n)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    reader = sqlite3.connect(tmp_path / "x.db")
    kept = {n for (n,) in reader.execute("SELECT n FROM t WHERE n < 1000")}
    reader.close()
    assert len(failed) == 33  # seven distinct companions, each taken once
    assert kept == set(range(40)) - set(failed)


def test_a_cell_that_no_database_takes_fails_its_own_write_alone(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def write(store: Store) -> None:
        for at_us in (2**70, MIDNIGHT):
            try:
                store.append_events([event("click", at_us)])
            except OverflowError as error:
                failed.append(error)

    with closing(Store(tmp_path / "store.db")) as store:
        thread = threading.Thread(target=write, args=(store,), daemon=True)
        thread.start()
        thread.join(10.0)
        assert not thread.is_alive()  # the writer still writes
        assert (len(failed), len(store.events(["ada"])["ada"])) == (1, 1)


def test_a_full_disk_is_called_that_and_nothing_is_stored(tmp_path: Path) -> None:
    some = [contact(f"p{i}", attributes={"a": "x" * 9_000}) for i in range(500)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(Store(tmp_path / "store.db")) as store:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
            with pytest.raises(StoreUnavailable, match="disk"):
                store.put_contacts(some)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.contacts(["p0"]) == {}
        store.put_contacts(some)
        assert set(store.contacts(["p0", "p499"])) == {"p0", "p499"}


def test_what_limits_of_a_crowd_count_is_found_by_indexes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    with closing(Store(tmp_path / "store.db")) as store:
        source: Any = store._source
        real = source.read

        def read(sql: str, given: tuple[Any, ...]) -> Any:
            plans.extend(row[3] for row in real(f"EXPLAIN QUERY PLAN {sql}", given))
            return real(sql, given)

        monkeypatch.setattr(source, "read", read)
        store.calls_since(MIDNIGHT)
        store.events_since(("complaint", "hard_bounce"), MIDNIGHT)
        store.sends_since(MIDNIGHT)
    assert len(plans) > 3
    assert not [plan for plan in plans if "SCAN" in plan]


class Stalled:
    """A writer whose first commit waits until all other writes stand in line."""

    def __init__(self, path: Path, lost: StoreLost | None = None) -> None:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        self.commits, self.lost = 0, lost
        self.committed, self.in_line = threading.Event(), threading.Event()
        self.writer = GroupCommit(connection, self.after_a_commit)
        self.failed: list[str] = []

    def after_a_commit(self) -> None:
        self.commits += 1
        self.committed.set()
        self.in_line.wait(10.0)
        if self.lost:
            raise self.lost

    def write(self, rows: range) -> None:
        try:
            self.writer.write([Statement("INSERT INTO t VALUES (?)", [(n,) for n in rows])])
        except (sqlite3.Error, StoreLost) as error:
            self.failed.append(type(error).__name__)

    def write_all(self, first: range, others: list[range]) -> None:
        """Each from a thread of its own."""
        threads = [
            threading.Thread(target=self.write, args=(rows,), daemon=True)
            for rows in (first, *others)
        ]
        threads[0].start()
        assert self.committed.wait(10.0)
        for thread in threads[1:]:
            thread.start()
        while self.writer._queue.qsize() < len(others):
            time.sleep(0.001)
        self.in_line.set()
        for thread in threads:
            thread.join(10.0)
            assert not thread.is_alive()
        self.writer.close()


def test_what_is_lost_at_the_commit_is_told_to_everybody_who_waits(tmp_path: Path) -> None:
    stalled = Stalled(tmp_path / "x.db", lost=StoreLost("the file is gone"))
    stalled.write_all(range(1), [range(1), range(1), range(1, 2)])
    # What a write did wrong itself is said of it even so: the first row is in the table.
    lost, wrong = "StoreLost", "IntegrityError"
    assert sorted(stalled.failed) == [wrong, wrong, lost, lost]


def test_who_waits_shares_a_commit_up_to_its_number_of_rows(tmp_path: Path) -> None:
    stalled = Stalled(tmp_path / "x.db")
    stalled.write_all(range(1), [range(n, n + 200) for n in range(1, 1001, 200)])
    # After the first, 200 + 200 + 200 rows reach 512, and two writes are left.
    assert (stalled.commits, stalled.failed) == (3, [])


@pytest.mark.usefixtures("either_database")
def test_a_store_is_read_from_any_thread(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put_contacts([contact("ada")])
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(store.contacts, ["ada"]).result() == {"ada": contact("ada")}
    store.close()


@pytest.mark.usefixtures("either_database")
def test_a_closed_store_refuses_at_once_instead_of_waiting(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.append_events([event("open", MIDNIGHT)])


def test_closing_waits_for_who_reads_and_then_refuses(tmp_path: Path) -> None:
    """SQLite crashes the process where a connection is closed under a running query."""
    database = SqliteDatabase(tmp_path / "store.db", 7)
    with ThreadPoolExecutor(1) as pool:
        with database._reading:
            ending = pool.submit(database.close)
            time.sleep(0.2)
            assert not ending.done()
            database._reader.execute("SELECT 1")
        ending.result()
    with pytest.raises(StoreUnavailable, match="closed"):
        database.read("SELECT 1")


def test_a_closed_store_lies_whole_in_its_one_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.append_events([event("open", MIDNIGHT)])
    store.close()
    (tmp_path / "copy.db").write_bytes((tmp_path / "store.db").read_bytes())
    with closing(StoreReader(tmp_path / "copy.db")) as copy:
        assert len(copy.events(["ada"])["ada"]) == 1
    assert not (tmp_path / "store.db-wal").exists()


def test_a_store_that_nobody_closes_keeps_no_process_alive(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with closing(Store(tmp_path / "store.db")):
        started = set(threading.enumerate()) - before
    assert [thread.daemon for thread in started] == [True]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match="expected a store"):
        Store(path)
    other = Store(tmp_path / "other.db")
    other.close()
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'version'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=rf"version {VERSION} at .*, got 99"):
        Store(tmp_path / "other.db")
