"""A batch of decisions is the server's own decisions, each made once, and a table of them."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import HOUR_US
from nurture_rl.cli.main import main
from nurture_rl.errors import ConfigError, LogError
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.deciding.decide import replay
from nurture_rl.serving.deciding.server_settings import ServerSettings
from nurture_rl.serving.deciding.service import Service
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.store_errors import StoreError
from nurture_rl.serving.upkeep import bulk_work
from nurture_rl.serving.upkeep.bulk import DecideOptions, decide_batch
from nurture_rl.serving.upkeep.bulk_table import CHOSEN, SENT
from nurture_rl.serving.upkeep.export import export_log
from nurture_rl.serving.upkeep.exported_rows import exported_decisions
from tests.postgres import PostgresServer
from tests.unit.release.bundles import small_bundle
from tests.unit.serving.contacts import MIDNIGHT, ZONE, Clock, contact, event

MORNING = "2027-03-01T07:00:00+00:00"
MORNING_US = MIDNIGHT + 8 * HOUR_US


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle."""
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    small_bundle(path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of forty contacts: one without consent, one who clicked, one spelled in capitals."""
    path = tmp_path / "store.db"
    with closing(Store(path)) as store:
        people = [contact(f"lead-{i:02}") for i in range(38)]
        people += [contact("no", consent=False), contact("CAPS", time_zone="America/New_York")]
        store.put_contacts(people)
        store.append_events([event("click", MIDNIGHT + 5, "lead-00", topic="pricing")])
    return path


def options(folder: Path, out: Path, **changes: Any) -> DecideOptions:
    cells: dict[str, Any] = {"bundle": str(folder), "out": str(out), "default_zone": ZONE}
    return DecideOptions(**{"at": MORNING, **cells, **changes})


def stored(path: Path) -> dict[str, Decision]:
    with closing(StoreReader(path)) as store:
        names = [row[0] for block in store.scan("decisions") for row in block]
        return store.decisions(names)


def test_the_batch_decides_what_the_server_decides(
    folder: Path, path: Path, bundle: Bundle, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(path, tmp_path / "copy.db"))
    made = decide_batch(options(folder, tmp_path / "sent.parquet", store=str(path), block=7)).made
    batch = stored(path)
    assert (made["decisions"], made["refused"]) == (40, {})
    with closing(Store(copy)) as store:
        server = Service(bundle, store, ServerSettings(ZONE, True, lambda: MORNING_US))
        asks = [Ask(one.contact_id, name) for name, one in batch.items()]
        assert server.decide(asks, MORNING_US) == list(batch.values())
    table = pq.read_table(tmp_path / "sent.parquet")
    assert table.schema == SENT
    rows = {row["decision_id"]: row for row in table.to_pylist()}
    for name, decision in batch.items():
        row = rows[name]
        assert (row["action"], row["propensity"]) == (decision.action, decision.propensity)
        assert (row["message"] is not None) == (decision.scheduled_us is not None)
        assert (row["reason"] is None) == (decision.scheduled_us is not None)
        if decision.scheduled_us is not None:
            assert row["message"] == decision.action.split(":")[1].split("@")[0]
            assert row["send_at"].timestamp() * 1e6 == decision.scheduled_us
            ahead = 1 if row["contact_id"] != "CAPS" else -5
            hour = decision.scheduled_us // HOUR_US + ahead
            assert row["send_at_local"].hour == hour % 24
    by_name = {row["contact_id"]: row for row in rows.values()}
    assert by_name["no"]["reason"] == "no_consent"
    assert by_name["CAPS"]["time_zone"] == "America/New_York"
    assert 0 < made["sends"] < 40
    assert CHOSEN in {row["reason"] for row in rows.values()}


def test_who_is_not_due_is_counted(folder: Path, path: Path, tmp_path: Path) -> None:
    decide_batch(options(folder, tmp_path / "first.parquet", store=str(path)))
    # Another moment of the same bin: another batch, for which nobody is due.
    later = "2027-03-01T07:30:00Z"
    made = decide_batch(options(folder, tmp_path / "again.parquet", store=str(path), at=later)).made
    assert (made["decisions"], made["refused"]) == (0, {"already_decided": 40})
    assert pq.read_table(tmp_path / "again.parquet").num_rows == 0
    # The same batch anew is the same decisions.
    decide_batch(options(folder, tmp_path / "same.parquet", store=str(path)))
    assert pq.read_table(tmp_path / "same.parquet") == pq.read_table(tmp_path / "first.parquet")
    assert len(stored(path)) == 40


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_list_says_whom_it_is_for(folder: Path, path: Path, tmp_path: Path, form: str) -> None:
    given = pa.table({"n": [1, 2, 3, 4], "contact_id": ["lead-03", "caps", " LEAD-03", "nobody"]})
    write = pc.write_csv if form == "csv" else pq.write_table
    write(given, tmp_path / f"list.{form}")
    asked = options(
        folder, tmp_path / "sent.parquet", store=str(path), contacts=str(tmp_path / f"list.{form}")
    )
    made = decide_batch(asked).made
    assert (made["decisions"], made["repeated"]) == (2, 1)
    assert made["refused"] == {"unknown_contact": 1}
    names = pq.read_table(tmp_path / "sent.parquet")["contact_id"].to_pylist()
    assert names == ["lead-03", "caps"]


def test_without_a_store_the_decisions_table_lies_beside(
    folder: Path, path: Path, bundle: Bundle, tmp_path: Path
) -> None:
    with closing(StoreReader(path)) as store:
        export_log(store, tmp_path / "raw")
    code = main(
        [
            *("decide", f"bundle={folder}", f"logs={tmp_path / 'raw'}", f"at={MORNING}"),
            f"out={tmp_path / 'sent.parquet'}",
        ]
    )
    assert code == 0
    sent = pq.read_table(tmp_path / "sent.parquet")
    (tmp_path / "log").mkdir()
    shutil.copy(tmp_path / "sent.decisions.parquet", tmp_path / "log" / "decisions.parquet")
    logged = list(exported_decisions(tmp_path / "log"))
    assert [one.decision_id for one, _ in logged] == sent["decision_id"].to_pylist()
    assert all(replay(bundle, decision, seed) for decision, seed in logged)
    assert len(logged) == 40
    assert not list(tmp_path.glob(".*.work"))


def test_a_killed_batch_goes_on_without_a_second_decision(folder: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "store.db", tmp_path / "sent.parquet"
    with closing(Store(path)) as store:
        store.put_contacts([contact(f"lead-{i}", time_zone="UTC") for i in range(3000)])
    command = [sys.executable, "-m", "nurture_rl.cli", "decide", f"bundle={folder}"]
    command += [f"store={path}", f"out={out}"]
    with subprocess.Popen([*command, "block=5"], stdout=subprocess.PIPE) as process:
        end = time.monotonic() + 120
        while time.monotonic() < end and count(path) < 20:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert 20 <= (before := count(path)) < 3000
    assert not out.exists()
    done = stored(path)
    sends = [one for one in done.values() if one.scheduled_us is not None]
    if sends:  # whoever opts out meanwhile gets no mail of what was decided before
        with closing(Store(path)) as store:
            name = sends[0].contact_id
            store.append_events([event("unsubscribe", MIDNIGHT, name)])
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "3000 decisions written" in again.stdout
    after, rows = stored(path), pq.read_table(out).to_pylist()
    assert {name: after[name] for name in done} == done
    assert len({one.contact_id for one in after.values()}) == len(after) == 3000 > before
    assert {row["decision_id"] for row in rows} == after.keys()
    told = {row["decision_id"]: row for row in rows}
    assert not sends or told[sends[0].decision_id]["message"] is None
    assert not (tmp_path / ".sent.parquet.work").exists()


def count(path: Path) -> int:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM decisions").fetchone()[0])


def test_parts_that_are_done_are_not_asked_again(
    folder: Path, path: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_work, "PART", 10)
    asked, real = options(folder, tmp_path / "sent.parquet", store=str(path)), Service.decide
    calls: list[list[str]] = []

    def broken(self: Service, asks: Any, now_us: int | None = None) -> Any:
        if len(calls) == 2:
            raise OSError("no space left on device")
        calls.append([ask.contact_id for ask in asks])
        return real(self, asks, now_us)

    monkeypatch.setattr(Service, "decide", broken)
    with pytest.raises(OSError, match="no space"):
        decide_batch(asked)
    assert not (tmp_path / "sent.parquet").exists()

    def counted(self: Service, asks: Any, now_us: int | None = None) -> Any:
        calls.append([ask.contact_id for ask in asks])
        return real(self, asks, now_us)

    monkeypatch.setattr(Service, "decide", counted)
    # A word against mail arrives by the server between the two attempts.
    parts = sorted((tmp_path / ".sent.parquet.work").glob("part-*"))
    first = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert len(first) == 20
    sent = next(row for row in first if row["send_at"])
    with closing(Store(path)) as store:
        server = Service(bundle, store, ServerSettings(ZONE, True, lambda: MORNING_US))
        server.append_events([event("unsubscribe", MORNING_US, sent["contact_id"])])
    decide_batch(asked)
    assert [len(names) for names in calls] == [10, 10, 10, 10]
    rows = {row["decision_id"]: row for row in pq.read_table(tmp_path / "sent.parquet").to_pylist()}
    assert rows.keys() == stored(path).keys()
    assert len(rows) == 40
    row = rows[sent["decision_id"]]
    assert (row["message"], row["send_at"], row["reason"]) == (None, None, "opted_out")
    assert row["action"] == sent["action"]


def test_a_word_at_a_server_of_the_same_store_reaches_the_table(
    folder: Path,
    bundle: Bundle,
    postgres: PostgresServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, real, told = postgres.fresh_url(), bulk_work.BulkWork.keep, set[str]()
    with closing(Store(url)) as store:
        store.put_contacts([contact(f"lead-{i:02}") for i in range(40)])
        server = Service(bundle, store, ServerSettings(ZONE, True, lambda: MORNING_US))

        def keep(work: bulk_work.BulkWork, number: int, table: pa.Table, refused: Any) -> None:
            real(work, number, table, refused)
            planned = [row["contact_id"] for row in table.to_pylist() if row["message"]]
            told.update(planned[::2])
            server.append_events([event("unsubscribe", MORNING_US, name) for name in told])

        monkeypatch.setattr(bulk_work.BulkWork, "keep", keep)
        decide_batch(options(folder, tmp_path / "sent.parquet", store=url))
    rows = pq.read_table(tmp_path / "sent.parquet").to_pylist()
    assert told
    taken = {row["contact_id"] for row in rows if row["reason"] == "opted_out"}
    assert taken == told
    assert all(row["message"] is None for row in rows if row["contact_id"] in told)


def test_a_decision_that_was_late_is_not_sent(
    folder: Path, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on between a decision and the end of the batch: quiet hours have begun."""
    clock, real = Clock(MORNING_US), bulk_work.BulkWork.keep

    def keep(*given: Any) -> None:
        real(*given)
        clock.now_us = MORNING_US + 13 * HOUR_US

    monkeypatch.setattr("nurture_rl.serving.upkeep.bulk.machine_clock", clock)
    monkeypatch.setattr(bulk_work.BulkWork, "keep", keep)
    made = decide_batch(options(folder, tmp_path / "sent.parquet", store=str(path), at=None)).made
    rows = pq.read_table(tmp_path / "sent.parquet").to_pylist()
    assert made["decisions"] == 40
    sends = [row for row in rows if row["action"].startswith("send")]
    sends = [row for row in sends if row["time_zone"] == ZONE]  # elsewhere it is not late yet
    assert sends
    assert [r for r in sends if r["message"] is not None or not r["reason"]] == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"store": None}, "expected store or logs, got neither"),
        ({"at": "2027-03-01"}, "at: expected a moment from 1970 to 2199 with its zone"),
        ({"at": "soon"}, "at: expected a moment"),
        ({"at": "9999-12-31T23:59:59Z"}, "at: expected a moment from 1970 to 2199"),
        ({"at": "0001-01-01T00:00:00Z"}, "at: expected a moment from 1970 to 2199"),
        ({"block": 0}, "block: expected a number from 1 to 10000, got 0"),
        ({"contacts": "none.csv"}, "give a Parquet or CSV file with a column contact_id"),
    ],
)
def test_bad_settings_are_told(
    folder: Path, path: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    asked = options(folder, tmp_path / "sent.parquet", store=str(path))
    with pytest.raises((ConfigError, LogError), match=says):
        decide_batch(replace(asked, **changes))
    assert not (tmp_path / "sent.parquet").exists()
    assert count(path) == 0


def test_another_table_another_batch_and_no_store_are_refused(
    folder: Path, path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sent.parquet"
    with pytest.raises(StoreError, match="no store at"):
        decide_batch(options(folder, out, store=str(tmp_path / "other.db")))
    asked = options(folder, out, store=str(path))
    settings = {"bundle": "other"}
    with closing(bulk_work.BulkWork(out, settings)) as work:
        work.ask_for(["lead-01"])
        with pytest.raises(ConfigError, match="process"):
            decide_batch(asked)
    with pytest.raises(ConfigError, match="was begun with bundle 'other'"):
        decide_batch(asked)
    out.write_text("kept")
    with pytest.raises(ConfigError, match="a batch replaces none"):
        decide_batch(asked)
    assert out.read_text() == "kept"


def test_a_batch_without_a_journey_that_contacts_are_in_is_refused(
    folder: Path, path: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(
            "INSERT INTO episodes (episode_id, contact_id, journey, anchor_us, number, priority, "
            "over_us) VALUES ('e', 'lead-01', 'renewal', 0, 1, 0, ?)",
            (MORNING_US + 80 * HOUR_US,),
        )
    with pytest.raises(ConfigError, match=r"got none of renewal; give journeys="):
        decide_batch(options(folder, tmp_path / "sent.parquet", store=str(path)))
    assert count(path) == 0


def test_a_list_needs_its_column_and_every_id(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(LogError, match="expected a column contact_id, got id"):
        list(bulk_work.listed_contacts(tmp_path / "other.parquet"))
    (tmp_path / "list.csv").write_text("contact_id,n\na,1\n,2\n")
    with pytest.raises(LogError, match="expected an id in every row"):
        list(bulk_work.listed_contacts(tmp_path / "list.csv"))
    (tmp_path / "list.csv").write_text("contact_id\n007\n")
    assert list(bulk_work.listed_contacts(tmp_path / "list.csv")) == ["007"]
