"""The console's look at reports of `nurture lift`: the latest, and a word for each bad file."""

from __future__ import annotations

import json
import os
import re
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from nurture_rl.serving.arm_records import StartedPlan
from nurture_rl.serving.http.app import create_app
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.watching import lift_reports
from nurture_rl.serving.watching.lift_reports import lift_look
from tests.unit.lift.written_reads import written_read
from tests.unit.serving.busy_store import NOW, bundle_of, journeys, service_at

LEAD = "inbound_lead"


def test_the_latest_read_of_the_journey_is_shown(tmp_path: Path) -> None:
    for day in (20, 25, 22):
        end = datetime(2026, 5, day, tzinfo=UTC)
        written_read(tmp_path / f"on{day}", end=end)
        if day == 25:
            told = written_read(tmp_path / "everybody", end=end)
            written_read(tmp_path / "mailed", end=end, among="mailed")
    written_read(tmp_path / "other", "renewal")
    (tmp_path / "on25" / "lift.json").unlink()
    look = lift_look(tmp_path, LEAD, None)
    assert look.report is not None
    assert (look.report.folder, look.report.among) == ("everybody", "everybody")
    assert look.report.as_of == "2026-05-25T00:00:00+00:00"
    star = told.report.lifts["policy"][0]
    shown = look.report.figures[0]
    assert (shown.name, shown.difference, shown.lower) == (star.name, star.difference, star.lower)
    assert look.report.answers[0] == ("Did it help?", told.journal.answers["Did it help?"])  # type: ignore[union-attr]


def test_an_interval_that_is_not_known_yet_is_none(tmp_path: Path) -> None:
    written_read(tmp_path / "early", units=100_000)
    report = lift_look(tmp_path, LEAD, None).report
    assert report is not None
    assert (report.figures[0].lower, report.figures[0].verdict) == (None, "cannot tell yet")
    written_read(tmp_path / "few" / "a", n=20)
    report = lift_look(tmp_path / "few", LEAD, None).report
    assert report is not None
    assert (report.arm, list(report.figures)) == (None, [])


@pytest.mark.parametrize("same", [True, False])
def test_the_plan_is_held_against_the_served_one(tmp_path: Path, same: bool) -> None:
    served = StartedPlan("e" * 16, LEAD, "spring", 0, "experiment: spring\n")
    written_read(tmp_path / "a", hash=served.digest if same else "0" * 16)
    look = lift_look(tmp_path, LEAD, served)
    assert look.report is not None
    assert (look.served_experiment, look.served_plan) == ("spring", served.digest)
    assert (look.report.plan == look.served_plan) is same


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"plan": 1}', b"\xff\xfe", b'{"journey": "inbound_lead"}']
)
def test_a_bad_file_is_told_and_hides_no_good_one(tmp_path: Path, content: bytes) -> None:
    written_read(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "lift.json").write_bytes(content)
    look = lift_look(tmp_path, LEAD, None)
    assert look.report is not None
    assert look.report.folder == "good"
    (problem,) = look.problems
    assert problem.startswith("bad: ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("as_of_us", 10**18), ("as_of_us", 10**30), ("nested", "deep"), ("difference", '"nan"')],
)
def test_a_report_that_cannot_be_shown_is_told_and_hides_no_good_one(
    tmp_path: Path, field: str, value: object
) -> None:
    written_read(tmp_path / "bad")
    written_read(tmp_path / "good")
    path = tmp_path / "bad" / "lift.json"
    text = path.read_text("utf-8")
    if field == "nested":
        text = text.replace("{", '{"more": ' + "[" * 10_000 + "]" * 10_000 + ",", 1)
    else:
        text, times = re.subn(rf'"{field}": [^,\n]+', f'"{field}": {value}', text)
        assert times
    path.write_text(text, "utf-8")
    look = lift_look(tmp_path, LEAD, None)
    assert look.report is not None
    assert look.report.folder == "good"
    (problem,) = look.problems
    assert problem.startswith("bad: ")


def test_what_a_run_that_was_killed_left_is_no_report(tmp_path: Path) -> None:
    written_read(tmp_path / "whole")
    written_read(tmp_path / ".made.x.partial", end=datetime(2026, 8, 1, tzinfo=UTC))
    (tmp_path / ".made.y.partial").mkdir()
    (tmp_path / ".made.y.partial" / "lift.json").write_text("{", "utf-8")
    look = lift_look(tmp_path, LEAD, None)
    assert look.report is not None
    assert (look.report.folder, list(look.problems)) == ("whole", [])


def test_a_pipe_in_place_of_a_report_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "lift.json")
    # Who would open it and wait is let go: the test fails and does not hang.
    opened = os.open(tmp_path / "pipe" / "lift.json", os.O_RDWR | os.O_NONBLOCK)
    os.write(opened, b"{}")
    timer = threading.Timer(5.0, os.close, [opened])
    timer.start()
    look = lift_look(tmp_path, LEAD, None)
    assert timer.is_alive()
    timer.cancel()
    assert look.problems == ["pipe: expected a file, got something else"]


def test_a_folder_whose_name_is_no_text_does_not_end_the_request(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xff")
    written_read(tmp_path / name)
    (tmp_path / f"{name}2").mkdir()
    (tmp_path / f"{name}2" / "lift.json").write_bytes(b"{")
    look = lift_look(tmp_path, LEAD, None)
    told = json.loads(msgspec.json.encode(look))
    assert told["report"]["folder"] == "r\ufffd"
    assert told["problems"][0].startswith("r\ufffd2: ")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    written_read(tmp_path / "large")
    os.truncate(tmp_path / "large" / "lift.json", 2**25)
    look = lift_look(tmp_path, LEAD, None)
    assert look.report is None
    assert "expected at most 16777216 bytes" in look.problems[0]


def test_only_the_files_written_last_are_read_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lift_reports, "_MOST", 1)
    for name, day, at in (("old", 25, 1), ("new", 20, 2)):
        written_read(tmp_path / name, end=datetime(2026, 5, day, tzinfo=UTC))
        os.utime(tmp_path / name / "lift.json", (at, at))
    look = lift_look(tmp_path, LEAD, None)
    assert look.left_out == 1
    assert look.report is not None
    assert look.report.folder == "new"


def test_without_a_report_the_way_to_one_is_told(tmp_path: Path) -> None:
    for folder, why in (
        (None, "start it with lift_reports=FOLDER"),
        (tmp_path / "none", "is not there yet"),
        (tmp_path, "has no report on it"),
    ):
        look = lift_look(folder, LEAD, None)
        assert look.report is None
        assert why in look.missing
        assert "nurture lift data.path=exported" in look.missing


def test_the_server_answers_and_no_file_brings_it_down(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "bad").mkdir()
    (reports / "bad" / "lift.json").mkdir()  # a folder where a file is expected
    written_read(reports / "good", "toy")
    bundle = bundle_of(tmp_path / "toy", journeys()[0])
    with closing(Store(tmp_path / "s.db")) as store:
        app = create_app(service_at([bundle], store, NOW), lift_reports=reports)
        with TestClient(app) as client:
            answer = client.get("/v1/console/lift?journey=toy")
            unknown = client.get("/v1/console/lift?journey=nothing")
    assert (answer.status_code, unknown.status_code) == (200, 404)
    told = answer.json()
    assert told["report"]["folder"] == "good"
    assert len(told["problems"]) == 1
