"""Journeys are ranked by what the log knows of them, and how soon an answer would come."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nurture_rl.errors import ConfigError, LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.workflow.assess_verb import NONE_YET, AssessOptions, assess

BEGAN = datetime(2026, 1, 5, 9, 30, 7, tzinfo=UTC)


def event(number: int, who: str, kind: str, days: float, **cells: Any) -> dict[str, Any]:
    at = (BEGAN + timedelta(days=days)).isoformat()
    return {"event_id": f"e{number}", "contact_id": who, "occurred_at": at, "type": kind, **cells}


def log(folder: Path, meetings: int, opened: int = 0) -> Path:
    """Two hundred leads within a year; some book meetings, and some miss them and buy later."""
    rows: list[dict[str, Any]] = []
    for n in range(200):
        who, day = f"lead{n}", n * 1.5
        rows.append(event(len(rows), who, "form_submitted", day))
        rows.append(event(len(rows), who, "sent", day + 1, message_id="hello", topic="pricing"))
        if n < meetings:
            rows.append(event(len(rows), who, "meeting_booked", day + 10))
        if n < opened:
            rows.append(event(len(rows), who, "stage_changed", day + 12, stage="no_show"))
            rows.append(event(len(rows), who, "stage_changed", day + 32, stage="won"))
    folder.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "events.jsonl").write_text(text, "utf-8")
    people = [{"contact_id": f"lead{n}", "consent": True} for n in range(200)]
    (folder / "contacts.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in people), "utf-8"
    )
    return folder


def options(tmp_path: Path, **changes: Any) -> AssessOptions:
    told: dict[str, Any] = {"path": str(tmp_path / "log"), "out": str(tmp_path / "out")}
    return AssessOptions(**{**told, **changes})


def rows(tmp_path: Path) -> dict[str, dict[str, Any]]:
    told = json.loads((tmp_path / "out" / "assess.json").read_text("utf-8"))
    return {row["name"]: row for row in told}


def test_what_the_log_counts_comes_before_what_it_does_not(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=60)
    result = assess(options(tmp_path, journeys=("renewal", "inbound_lead")))
    assert result.made["order"] == ["inbound_lead", "renewal"]
    lead = rows(tmp_path)["inbound_lead"]
    assert (lead["contacts"], lead["reached"], lead["median_days"]) == (200, 60, 10.0)
    assert lead["watched"] < 200  # the last ones were not watched for a whole journey
    assert lead["heard"] == pytest.approx(2 / 22)  # form and meeting; sends are the policy's own
    assert "product" in rows(tmp_path)["renewal"]["silent_sources"]
    renewal = rows(tmp_path)["renewal"]
    assert renewal["assumed"]
    assert renewal["reached"] == 0


def test_more_who_reach_the_north_star_make_the_answer_come_sooner(tmp_path: Path) -> None:
    weeks = []
    for meetings in (20, 60, 100):
        folder = tmp_path / str(meetings)
        folder.mkdir()
        log(folder / "log", meetings)
        assess(options(folder, journeys=("inbound_lead",)))
        weeks.append(rows(folder)["inbound_lead"]["weeks"])
    assert weeks == sorted(weeks, reverse=True)
    assert len(set(weeks)) == 3


def test_an_entry_says_who_enters_and_from_when(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=60, opened=40)
    journeys, entry = ("stalled_opportunity",), ("stalled_opportunity=became_no_show",)
    assess(options(tmp_path, journeys=journeys))
    late = rows(tmp_path)["stalled_opportunity"]
    assess(options(tmp_path, journeys=journeys, entries=entry))
    stalled = rows(tmp_path)["stalled_opportunity"]
    assert (late["contacts"], late["median_days"]) == (200, 32.0)
    assert (stalled["contacts"], stalled["median_days"]) == (40, 20.0)
    assert stalled["reached"] == stalled["watched"]  # everybody: still an answer
    assert stalled["weeks"] > 0
    with pytest.raises(ConfigError, match=r"no signal 'deal_opened'; known are .*became_no_show"):
        assess(options(tmp_path, journeys=journeys, entries=("stalled_opportunity=deal_opened",)))


def test_nobody_who_enters_is_told(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=60)
    entry = ("stalled_opportunity=became_no_show",)
    result = assess(options(tmp_path, journeys=("stalled_opportunity",), entries=entry))
    assert result.code == NONE_YET
    assert rows(tmp_path)["stalled_opportunity"]["contacts"] == 0


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=60)
    pages = []
    for out in ("a", "b"):
        assess(options(tmp_path, out=str(tmp_path / out)))
        pages.append((tmp_path / out / "assess.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_log_that_knows_no_journey_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log(tmp_path / "log", meetings=0)
    assert assess(options(tmp_path)).code == NONE_YET
    assert "With none yet" in capsys.readouterr().out
    assert all(row["assumed"] for row in rows(tmp_path).values())


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"journeys": ()}, ConfigError, "at least one"),
        ({"journeys": ("renewal", "renewal")}, ConfigError, "named twice"),
        ({"entries": ("renewal",)}, ConfigError, "JOURNEY=SIGNAL"),
        ({"entries": ("other=sent",)}, ConfigError, "JOURNEY=SIGNAL"),
        ({"path": "nowhere"}, LogError, "not there"),
    ],
)
def test_wrong_settings(
    tmp_path: Path, changes: dict[str, Any], kind: type[Exception], said: str
) -> None:
    log(tmp_path / "log", meetings=1)
    with pytest.raises(kind, match=said):
        assess(options(tmp_path, **changes))
    assert not (tmp_path / "out").exists()


def test_the_folder_that_is_read_is_not_replaced(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=1)
    for out in ("log", "."):
        with pytest.raises(ConfigError, match="apart from what is read"):
            assess(options(tmp_path, out=str(tmp_path / out)))
        with pytest.raises(ConfigError, match="apart from what is read"):
            ingest_folder(tmp_path / "log", tmp_path / out, None, None, lambda line: None)
    assert (tmp_path / "log" / "events.jsonl").is_file()


def test_the_refused_rows_are_where_the_message_says(tmp_path: Path) -> None:
    log(tmp_path / "log", meetings=1)
    (tmp_path / "log" / "events.jsonl").write_text('{"event_id": "e"}\n', "utf-8")
    left = tmp_path / "out.quarantine.parquet"
    with pytest.raises(LogError, match=re.escape(f"reasons are in {left}")):
        assess(options(tmp_path))
    assert left.is_file()
