"""A file for another system is whole or not there, and hands each decision over once."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_rl.delivery.deliver_options import DeliverOptions, ReconcileOptions
from nurture_rl.delivery.delivering import deliver
from nurture_rl.delivery.delivery_ledger import DeliveryLedger
from nurture_rl.delivery.recommendation_file import HandOver
from nurture_rl.delivery.reconciling import reconcile
from nurture_rl.errors import ConfigError, DeliveryError
from nurture_rl.serving.upkeep.erasing import erase_contacts
from tests.pipeline.running_server import RunningServer, running
from tests.postgres import PostgresServer
from tests.unit.delivery.now_sends import (
    PUBLIC,
    decide,
    deliver_options,
    write_ids,
    write_recipients,
    write_table,
)


@pytest.fixture
def ids(folder: Path, server: RunningServer) -> list[str]:
    names = [f"ada.{folder.name}", f"bob.{folder.name}"]
    write_recipients(folder / "recipients.csv", names)
    found = decide(server, names)
    write_table(folder / "decided.parquet", server, *found)
    return found


def options(folder: Path, server: RunningServer, out: str, **changes: Any) -> DeliverOptions:
    told = {"decided": str(folder / "decided.parquet"), "sender": "file", **changes}
    return deliver_options(folder, server, out=str(folder / out), **told)


def states(folder: Path) -> dict[str, int]:
    with closing(DeliveryLedger(folder / "deliveries.db")) as ledger:
        return ledger.counts()


def test_the_three_formats_say_the_same(
    folder: Path, server: RunningServer, ids: list[str]
) -> None:
    for name in ("x.csv", "x.jsonl", "x.parquet"):
        deliver(options(folder, server, name, dry_run=True))
    lines = [json.loads(line) for line in (folder / "x.jsonl").read_text("utf-8").splitlines()]
    text = (folder / "x.csv").read_text("utf-8")
    cells = list(csv.DictReader(io.StringIO(text, newline="")))
    rows = pq.read_table(folder / "x.parquet").to_pylist()
    for line, cell, row in zip(lines, cells, rows, strict=True):
        assert line["decision_id"] == cell["decision_id"] == row["decision_id"]
        assert line["blocks"] == row["blocks"] == cell["blocks"].split() == ["intro", "tour"]
        assert line["fields"] == json.loads(row["fields"]) == json.loads(cell["fields"])
        assert line["fields"]["city"] == "Köln"
        assert line["send_at_local"] == cell["send_at_local"] == row["send_at_local"]
        assert line["send_at"] == row["send_at"].isoformat().replace("+00:00", "Z")
        assert line["list_unsubscribe"].startswith("<https://policy.example/u/")
        assert line["list_unsubscribe_post"] == "List-Unsubscribe=One-Click"
    assert {line["decision_id"] for line in lines} == set(ids)
    assert not (folder / "deliveries.db").exists()  # a dry run notes nothing
    assert server.send("GET", f"/v1/decisions/{ids[0]}")["status"] == "planned"


def test_what_is_handed_over_is_confirmed_and_is_not_handed_over_again(
    folder: Path, server: RunningServer, ids: list[str]
) -> None:
    assert deliver(options(folder, server, "now.csv")).code == 0
    assert states(folder) == {"accepted": 2}
    assert (folder / "now.csv").stat().st_mode & 0o777 == 0o600
    told = [server.send("GET", f"/v1/decisions/{name}")["status"] for name in ids]
    assert told == ["confirmed"] * 2  # nobody reported that it went
    deliver(options(folder, server, "again.csv"))
    assert len((folder / "again.csv").read_text("utf-8").splitlines()) == 1  # names of columns
    with pytest.raises(ConfigError, match="expected nothing at"):
        deliver(options(folder, server, "now.csv"))


def test_cloud_events_are_told_apart_by_journey_and_decision(
    folder: Path, server: RunningServer, ids: list[str]
) -> None:
    deliver(options(folder, server, "e.jsonl", sender="cloudevents"))
    events = [json.loads(line) for line in (folder / "e.jsonl").read_text("utf-8").splitlines()]
    assert [one["id"] for one in events] == ids
    for one in events:
        assert {"specversion", "id", "source", "type"} <= set(one)
        assert (one["specversion"], one["type"]) == ("1.0", "nurture.send")
        assert one["source"] == "urn:nurture:journey:inbound_lead"
        assert one["data"]["template_id"] == "welcome"


class Killed(BaseException):
    """In place of a kill."""


@pytest.mark.parametrize(
    ("when", "found", "rows"), [("before", "planned", 3), ("after", "accepted", 1)]
)
def test_a_file_that_was_cut_off_tells_itself(
    folder: Path, server: RunningServer, ids: list[str], when: str, found: str, rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        if when == "after":
            rename(path, target)
        raise Killed

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(Killed):
        deliver(options(folder, server, "one.csv"))
    monkeypatch.undo()
    assert (folder / "one.csv").exists() == (when == "after")
    assert states(folder) == {"attempted": 2}
    deliver(options(folder, server, "two.csv"))
    assert states(folder) == {"accepted": 2}
    assert len((folder / "two.csv").read_text("utf-8").splitlines()) == rows


def test_a_file_that_somebody_took_away_meanwhile_is_asked_for(
    folder: Path, server: RunningServer, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def killed(path: Path, target: Path) -> Path:
        rename(path, folder / "taken.csv")
        raise Killed

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(Killed):
        deliver(options(folder, server, "one.csv"))
    monkeypatch.undo()
    assert deliver(options(folder, server, "two.csv")).code == 4
    assert states(folder) == {"unknown": 2}
    (folder / "archive" / "new").mkdir(parents=True)  # of mails: it says nothing of files
    mails = ReconcileOptions(
        (str(folder / "archive"),), str(folder / "deliveries.db"), server.url, None, True, 0.0
    )
    assert reconcile(mails).made["states"] == {"unknown": 2}
    found = ReconcileOptions(
        (str(folder / "taken.csv"),), str(folder / "deliveries.db"), server.url
    )
    assert reconcile(found).made["states"] == {"accepted": 2}


def test_two_runs_at_once_show_no_file_as_their_own_that_the_other_made(tmp_path: Path) -> None:
    out = tmp_path / "calls.jsonl"

    def beside() -> None:
        with pytest.raises(DeliveryError, match="another run does"):
            HandOver(out).write(b"other", lambda: None)

    HandOver(out).write(b"own", beside)
    assert [one.name for one in tmp_path.iterdir()] == ["calls.jsonl"]
    assert out.read_bytes() == b"own"


def test_a_dry_run_does_not_pass_for_a_file_that_was_cut_off(
    folder: Path, server: RunningServer, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, target: Path) -> Path:
        raise Killed

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(Killed):
        deliver(options(folder, server, "one.csv"))
    monkeypatch.undo()
    with pytest.raises(DeliveryError, match="was cut off"):
        deliver(options(folder, server, "one.csv", dry_run=True))
    deliver(options(folder, server, "two.csv"))
    assert states(folder) == {"accepted": 2}
    assert len((folder / "two.csv").read_text("utf-8").splitlines()) == 3


def test_a_contact_without_an_address_stops_the_run_or_is_left_out(
    folder: Path, server: RunningServer, ids: list[str]
) -> None:
    write_recipients(folder / "recipients.csv", [f"ada.{folder.name}"])
    with pytest.raises(DeliveryError, match="expected a row of every contact, got none of 1: 'bob"):
        deliver(options(folder, server, "x.csv"))
    assert not (folder / "deliveries.db").exists()
    deliver(options(folder, server, "x.csv", skip_without_address=True))
    assert states(folder) == {"accepted": 1, "withdrawn": 1}


def test_an_hour_that_passed_is_over(folder: Path, server: RunningServer, ids: list[str]) -> None:
    deliver(options(folder, server, "x.csv", window_minutes=1e-6))
    assert states(folder) == {"withdrawn": 2}


@pytest.mark.parametrize("table", ["ids.csv", "decided.parquet"])
def test_who_was_erased_since_gets_no_mail_and_holds_up_nobody(
    folder: Path, bundle_folder: Path, postgres: PostgresServer, table: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    store = postgres.fresh_url()
    with running(bundle_folder, store, PUBLIC) as served:
        names = ["ada", "bob", "cleo"]
        write_recipients(folder / "recipients.csv", names)
        found = decide(served, names)
        write_ids(folder / "ids.csv", found)
        write_table(folder / "decided.parquet", served, *found)
        assert erase_contacts(store, ["bob"], "asked for")["decisions"] == 1
        told = {"decided": str(folder / table)}
        deliver(options(folder, served, "look.csv", dry_run=True, **told))
        left_out = "1 decision left out" in capsys.readouterr().out
        assert left_out == (table == "ids.csv")  # the table of `decide` itself is asked at its hour
        deliver(options(folder, served, "one.csv", **told))
    text = (folder / "one.csv").read_text("utf-8")
    assert [row["contact_id"] for row in csv.DictReader(io.StringIO(text))] == ["ada", "cleo"]
    with closing(sqlite3.connect(folder / "deliveries.db")) as file:
        assert "bob" not in str(file.execute("SELECT contact_id FROM deliveries").fetchall())
        states = dict(file.execute("SELECT decision_id, state FROM deliveries").fetchall())
    assert states.get("d-bob", "withdrawn") == "withdrawn"


def test_a_server_that_did_not_decide_loses_nothing(
    folder: Path, server: RunningServer, bundle_folder: Path, ids: list[str]
) -> None:
    """Whoever names a wrong server by mistake sends all as soon as he names the right one."""
    with running(bundle_folder, folder / "other.db", PUBLIC) as other:
        wrong = options(folder, other, "one.csv")
        with pytest.raises(DeliveryError, match="knows none of"):
            deliver(wrong)
    assert states(folder) == {"planned": 2}
    deliver(options(folder, server, "one.csv"))
    assert states(folder) == {"accepted": 2}


def test_decisions_that_nobody_made_are_refused(folder: Path, server: RunningServer) -> None:
    write_recipients(folder / "recipients.csv", [])
    ids = write_ids(folder / "ids.csv", ["nobody-made-this"])
    with pytest.raises(DeliveryError, match="knows none of 'nobody-made-this'"):
        deliver(options(folder, server, "x.csv", decided=str(ids)))
