"""A log is read with its journey: its words, what decisions leave out, where the log ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.summary import IngestSummary
from tests.unit.features.small_journey import shop_journey

JOURNEY = shop_journey()
ACTIONS = ActionCatalog.of(JOURNEY).ids  # send:hello@now, pause:1, escalate, exit
Row = dict[str, Any]

EVENTS: list[Row] = [
    {"event_id": "e1", "contact_id": "ann", "occurred_at": "2026-03-02T10:00:00Z", "type": "visit"}
]
CONTACTS: list[Row] = [{"contact_id": "ann", "time_zone": "UTC", "consent": True}]
DECISION: Row = {
    "decision_id": "d1",
    "contact_id": "ann",
    "anchor": "2026-03-02T00:00:00",
    "step": 0,
    "decided_at": "2026-03-02T08:00:00Z",
    "action": "pause:1",
    "propensity": 0.75,
    "probabilities": {"pause:1": 0.75, "send:hello@now": 0.25},
}


def write(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[_text(row.get(name)) for name in names] for row in rows]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([names, *cells])
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def ingest(
    home: Path,
    *,
    events: list[Row] = EVENTS,
    decisions: list[Row] | None = None,
    journey: Journey = JOURNEY,
    suffix: str = "jsonl",
    now_us: int | None = None,
) -> tuple[IngestSummary, Path, list[str]]:
    raw, said = home / "raw", list[str]()
    raw.mkdir(parents=True, exist_ok=True)
    write(raw / "events.jsonl", events)
    write(raw / "contacts.jsonl", CONTACTS)
    write(raw / f"decisions.{suffix}", [DECISION] if decisions is None else decisions)
    catalog = ActionCatalog.of(journey)
    summary = ingest_folder(
        raw, home / "log", catalog.ids, catalog.hash, said.append, journey=journey, now_us=now_us
    )
    return summary, home / "log", said


def rows(out: Path, name: str) -> list[Row]:
    found: list[Row] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return found


def reasons(out: Path) -> list[str]:
    return [row["reason"] for row in rows(out, "quarantine")]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_probabilities_by_action_stand_in_the_order_of_the_catalogue(
    tmp_path: Path, suffix: str
) -> None:
    _, out, _ = ingest(tmp_path, suffix=suffix)
    (decision,) = rows(out, "decisions")
    assert decision["probabilities"] == [0.25, 0.75, 0.0, 0.0]
    assert decision["mask"] == [True, True, False, False]


def test_what_a_decision_leaves_out_follows_from_the_journey(tmp_path: Path) -> None:
    second = DECISION | {"decision_id": "d2", "step": 1, "decided_at": "2026-03-03T08:00:00Z"}
    other = DECISION | {"decision_id": "d3", "anchor": "2026-03-09T00:00:00"}
    other |= {"decided_at": "2026-03-09T08:00:00Z"}
    _, out, said = ingest(tmp_path, decisions=[DECISION, second, other])
    first, again, later = rows(out, "decisions")
    assert (first["journey"], first["policy_id"], first["arm"]) == ("shop", "logged", "logged")
    assert first["catalog"] == ActionCatalog.of(JOURNEY).hash
    assert first["episode_id"] == again["episode_id"] != later["episode_id"]
    assert any(line.startswith("3 decisions have no mask") for line in said)


def test_all_missing_columns_of_a_decision_are_named_at_once(tmp_path: Path) -> None:
    lacking = {key: DECISION[key] for key in ("action", "decided_at")}
    _, out, _ = ingest(tmp_path, decisions=[lacking])
    assert reasons(out) == [
        "missing required field: contact_id, decision_id, anchor, step, probabilities"
    ]


def test_a_probability_of_an_action_that_is_not_there_is_refused(tmp_path: Path) -> None:
    wrong = DECISION | {"probabilities": {"pause:1": 0.75, "send:helo@now": 0.25}}
    _, out, _ = ingest(tmp_path, decisions=[wrong])
    assert reasons(out) == [
        "unknown action: probabilities names 'send:helo@now', which the catalogue lacks"
    ]


def test_an_event_type_that_a_signal_names_is_known_and_another_is_not(tmp_path: Path) -> None:
    data = dict(JOURNEY.resolved)
    signals = data["signals"] | {"renewed": {"type": "loan_renewed"}}
    own = parse_journey(data | {"signals": signals})
    events = [EVENTS[0] | {"event_id": "e2", "type": kind} for kind in ("loan_renewed",)]
    assert reasons(ingest(tmp_path / "own", events=events, journey=own)[1]) == []
    with pytest.raises(LogError, match="1 × unknown event type"):
        ingest(tmp_path / "other", events=events)


def test_six_decimals_lose_no_decision(tmp_path: Path) -> None:
    thirds = dict.fromkeys(ACTIONS[:3], 0.333333)
    decision = DECISION | {"probabilities": thirds, "propensity": 0.333333}
    _, out, _ = ingest(tmp_path, decisions=[decision])
    assert reasons(out) == []
    (kept,) = rows(out, "decisions")
    assert sum(kept["probabilities"]) == pytest.approx(1.0, abs=1e-12)
    assert kept["probabilities"][1] == kept["propensity"] == 0.333333


def test_every_file_that_is_not_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw" / "old").mkdir(parents=True)
    (tmp_path / "raw" / "events_2.xlsx").write_bytes(b"PK")
    (tmp_path / "raw" / ".hidden").write_bytes(b"")
    summary, _, said = ingest(tmp_path)
    assert summary.notes[-1] == "not read, as no table's file is called so: events_2.xlsx, old/"
    assert summary.notes[-1] in said


@pytest.mark.parametrize(
    ("day", "kept"), [("2026-05-30", True), ("2026-06-20", False), ("2099-12-31", False)]
)
def test_an_event_after_a_long_silence_is_stray(tmp_path: Path, day: str, kept: bool) -> None:
    late = EVENTS[0] | {"event_id": "late", "occurred_at": f"{day}T00:00:00Z"}
    summary, out, _ = ingest(tmp_path, events=[*EVENTS, late])
    assert [reason.split(":")[0] for reason in reasons(out)] == ([] if kept else ["stray time"])
    assert (str(summary.last_at)[:10] == day) is kept


def test_a_decision_stamped_far_ahead_vouches_for_no_event(tmp_path: Path) -> None:
    far = {"decision_id": "d2", "step": 1, "decided_at": "2099-12-31T00:00:00Z"}
    late = EVENTS[0] | {"event_id": "late", "occurred_at": "2099-12-31T00:00:00Z"}
    _, out, _ = ingest(tmp_path, events=[*EVENTS, late], decisions=[DECISION, DECISION | far])
    assert [reason.split(":")[0] for reason in reasons(out)] == ["stray time"]


def test_events_after_the_reading_are_stray_unless_the_whole_log_is(tmp_path: Path) -> None:
    soon = EVENTS[0] | {"event_id": "soon", "occurred_at": "2026-03-06T10:00:00Z"}
    start = 1_772_409_600_000_000  # 2026-03-02 00:00 UTC
    _, live, _ = ingest(tmp_path / "a", events=[*EVENTS, soon], now_us=start + 2 * DAY_US)
    assert reasons(live) == ["stray time: it lies after the reading at 2026-03-04 00:00 UTC"]
    _, ahead, _ = ingest(tmp_path / "b", events=[*EVENTS, soon], now_us=start - 9 * DAY_US)
    assert reasons(ahead) == []


@pytest.mark.parametrize("days", [["2099-12-31"], ["2099-12-31", "2070-01-01", "2031-05-05"]])
def test_an_event_of_a_wrong_time_still_says_whose_a_cookie_is(
    tmp_path: Path, days: list[str]
) -> None:
    visit = {"event_id": "v", "keys": ["cookie:7"], "occurred_at": "2026-03-02T11:00:00Z"}
    forms = [
        EVENTS[0] | {"event_id": day, "keys": ["cookie:7"], "occurred_at": f"{day}T00:00:00Z"}
        for day in days
    ]
    last = EVENTS[0] | {"event_id": "last", "occurred_at": "2026-03-05T12:00:00Z"}
    events = [EVENTS[0], visit | {"type": "visit"}, last, *forms]
    summary, out, _ = ingest(tmp_path, events=events)
    assert (summary.contacts, len(reasons(out))) == (1, len(days))
    seen = {row["event_id"]: row for row in pq.read_table(out / "events.parquet").to_pylist()}
    assert set(seen) == {"e1", "v", "last"}
    assert seen["v"]["contact_id"] == "ann"
    # Nobody knows when the two were linked: no decision of the log knew it.
    assert seen["v"]["recorded_at"] == seen["last"]["occurred_at"]
