"""A folder of raw files in, checked tables out: the same whatever the format, order and repeats."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.fingerprint import fingerprint
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS, IDENTITY, QUARANTINE
from nurture_rl.logs.summary import IngestSummary

Row = dict[str, object]

EVENT_ROWS: list[Row] = [
    {
        "event_id": "e1",
        "contact_id": "anna",
        "occurred_at": "2024-03-01T10:00:00Z",
        "recorded_at": "2024-03-01T12:00:05+02:00",
        "type": "click",
        "source": "mail",
        "topic": "pricing",
        "value": 1.5,
        "is_machine": True,
        "properties": {"b": 1, "a": [2, "é"]},
    },
    {
        "event_id": "e2",
        "keys": ["cookie:7", "email:ab12"],
        "occurred_at": "2024-03-01T09:00:00.250Z",
        "type": "page_view",
        "source": "site",
        "campaign": "spring",
    },
    {
        "event_id": "e3",
        "contact_id": "ben",
        "occurred_at": "2024-03-02T09:00:00Z",
        "type": "reply",
        "reply_class": "question",
    },
]
CONTACT_ROWS: list[Row] = [
    {"contact_id": "anna", "keys": ["email:ab12"], "time_zone": "Europe/Berlin", "consent": True}
]
DECISION_ROWS: list[Row] = [
    {
        "decision_id": "d1",
        "contact_id": "anna",
        "journey": "inbound_lead",
        "episode_id": "anna/1",
        "anchor": "2024-03-01T00:00:00",
        "step": 3,
        "decided_at": "2024-03-01T08:00:00Z",
        "action": "pause:1",
        "propensity": 0.75,
        "probabilities": [0.25, 0.75, 0],
        "mask": [True, True, False],
        "policy_id": "drip",
        "arm": "all",
        "features": [1, 0.5],
        "catalog": "h1",
    }
]
ACTIONS = ("send:hello@9", "pause:1", "exit")
TIMES = ("occurred_at", "recorded_at", "decided_at")


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_csv_cell(row.get(name)) for name in names] for row in rows]
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([names, *cells])


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [_arrow_cell(name, row.get(name)) for row in rows] for name in names}
    pq.write_table(pa.table(columns), path)


def _csv_cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value


def _arrow_cell(name: str, value: object) -> object:
    if isinstance(value, str) and name in TIMES:
        return datetime.fromisoformat(value)
    return json.dumps(value) if isinstance(value, dict) else value


Writer = Callable[[Path, Sequence[Row]], None]
WRITERS: Mapping[str, Writer] = {
    "jsonl": write_jsonl,
    "csv.gz": write_csv,
    "parquet": write_parquet,
}


def ingest(
    home: Path,
    events: Sequence[Row] = EVENT_ROWS,
    contacts: Sequence[Row] = CONTACT_ROWS,
    decisions: Sequence[Row] = DECISION_ROWS,
    suffix: str = "jsonl",
) -> tuple[IngestSummary, Path]:
    """Write the rows as raw files and ingest them; gives the summary and the output folder."""
    folder, out = home / "raw", home / "log"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("events", events), ("contacts", contacts), ("decisions", decisions)):
        if rows:
            WRITERS[suffix](folder / f"{name}.{suffix}", rows)
    return ingest_folder(folder, out, ACTIONS, "h1", lambda line: None), out


def read(out: Path, name: str) -> list[Row]:
    rows: list[Row] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def reasons(out: Path) -> list[str]:
    return [str(row["reason"]) for row in read(out, "quarantine")]


def test_the_tables_have_the_contracts_columns(tmp_path: Path) -> None:
    _, out = ingest(tmp_path)
    schemas = {"events": EVENTS, "contacts": CONTACTS, "decisions": DECISIONS}
    for name, schema in {**schemas, "identity": IDENTITY, "quarantine": QUARANTINE}.items():
        assert pq.read_schema(out / f"{name}.parquet").equals(schema), name


def test_an_event_keeps_what_it_said_and_gets_what_it_left_out(tmp_path: Path) -> None:
    _, out = ingest(tmp_path)
    viewed, clicked, replied = read(out, "events")
    assert clicked["properties"] == '{"a":[2,"é"],"b":1}'
    assert str(clicked["recorded_at"]) == "2024-03-01 10:00:05+00:00"
    assert viewed["contact_id"] == "anna"  # through the address on her contact row
    assert viewed["recorded_at"] == viewed["occurred_at"]
    assert viewed["properties"] == '{"campaign":"spring"}'
    assert (replied["source"], replied["is_machine"]) == ("unknown", False)


def test_a_decision_keeps_its_lottery(tmp_path: Path) -> None:
    _, out = ingest(tmp_path)
    (decision,) = read(out, "decisions")
    assert decision["probabilities"] == [0.25, 0.75, 0.0]
    assert decision["mask"] == [True, True, False]
    assert decision["anchor"] == datetime(2024, 3, 1)  # local: no zone
    assert decision["deferred"] is False


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
def test_every_format_gives_the_same_tables(tmp_path: Path, suffix: str) -> None:
    lines, _ = ingest(tmp_path / "lines")
    other, out = ingest(tmp_path / "other", suffix=suffix)
    assert reasons(out) == []
    assert other.fingerprint == lines.fingerprint


def test_a_shuffled_and_repeated_log_gives_the_same_bytes(tmp_path: Path) -> None:
    events: list[Row] = [
        {
            "event_id": f"e{n}",
            "keys": [f"cookie:{n % 7}", f"email:{n % 5}"][: 1 + n % 2],
            "occurred_at": f"2024-03-0{1 + n % 9}T10:00:{n:02}Z",
            "type": "open",
        }
        for n in range(40)
    ]
    events.append({**events[3], "topic": "another row of the same id"})
    contacts: list[Row] = [
        {"keys": ["email:1"], "consent": True, "score": 3},
        {"keys": ["email:1"], "consent": True, "score": 4, "time_zone": "Europe/Paris"},
    ]
    shuffled = [*events, *events[:20]]
    random.Random(0).shuffle(shuffled)
    _, first = ingest(tmp_path / "a", events, contacts)
    _, second = ingest(tmp_path / "b", shuffled, contacts[::-1], DECISION_ROWS * 2)
    for name in ("events", "contacts", "decisions", "identity"):
        file = f"{name}.parquet"
        assert (first / file).read_bytes() == (second / file).read_bytes(), name
    assert len(read(first, "events")) == 40


def test_the_fingerprint_changes_with_one_cell(tmp_path: Path) -> None:
    before, _ = ingest(tmp_path / "a")
    altered = [{**EVENT_ROWS[0], "value": 1.25}, *EVENT_ROWS[1:]]
    after, _ = ingest(tmp_path / "b", altered)
    assert before.fingerprint != after.fingerprint


def test_the_fingerprint_ignores_chunks_and_tells_where_one_text_ends() -> None:
    whole = pa.table({"a": ["ab", "c", None]})
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert fingerprint({"t": whole}) == fingerprint({"t": parts})
    assert fingerprint({"t": whole}) != fingerprint({"t": pa.table({"a": ["a", "bc", None]})})


def test_an_anonymous_visit_is_known_only_from_the_link_to_its_contact(tmp_path: Path) -> None:
    visit: Row = {
        "event_id": "v",
        "keys": ["cookie:7"],
        "occurred_at": "2024-03-01T08:00:00Z",
        "type": "page_view",
    }
    form: Row = {
        "event_id": "f",
        "keys": ["cookie:7", "email:ab12"],
        "occurred_at": "2024-03-05T08:00:00Z",
        "recorded_at": "2024-03-05T09:00:00Z",
        "type": "form_submitted",
    }
    _, out = ingest(tmp_path, [visit, form])
    seen = {row["event_id"]: row for row in read(out, "events")}
    assert seen["v"]["contact_id"] == "anna"
    assert str(seen["v"]["occurred_at"]) == "2024-03-01 08:00:00+00:00"
    assert str(seen["v"]["recorded_at"]) == "2024-03-05 09:00:00+00:00"


def test_events_of_a_shared_key_alone_go_to_quarantine(tmp_path: Path) -> None:
    events: list[Row] = [
        {
            "event_id": f"e{n}",
            "keys": ["cookie:kiosk", f"email:{n}"],
            "occurred_at": "2024-03-01T08:00:00Z",
            "type": "visit",
        }
        for n in range(51)
    ]
    alone: Row = {**events[0], "event_id": "alone", "keys": ["cookie:kiosk"]}
    summary, out = ingest(tmp_path, [*events, alone])
    (reason,) = reasons(out)
    assert reason.startswith("shared keys only")
    assert summary.shared_keys == 1
    assert len({row["contact_id"] for row in read(out, "events")}) == 51


def test_a_contact_known_only_from_events_has_not_consented(tmp_path: Path) -> None:
    summary, out = ingest(tmp_path)
    anna, ben = read(out, "contacts")
    assert (anna["consent"], anna["zone_confidence"]) == (True, 1.0)
    assert (ben["contact_id"], ben["consent"], ben["time_zone"]) == ("ben", False, None)
    assert summary.contacts_added == 1


def test_one_row_against_consent_is_enough(tmp_path: Path) -> None:
    guess: Row = {"time_zone": "Europe/Paris", "zone_confidence": 0.2, "consent": True}
    sure: Row = {"time_zone": "Asia/Tokyo", "zone_confidence": 0.9, "consent": False}
    rows = [{"contact_id": "anna", **row} for row in (guess, sure)]
    _, out = ingest(tmp_path, contacts=rows, events=EVENT_ROWS[:1])
    (anna,) = read(out, "contacts")
    assert (anna["consent"], anna["time_zone"]) == (False, "Asia/Tokyo")


def test_unknown_fields_of_decisions_are_ignored_in_every_format(tmp_path: Path) -> None:
    rows: list[Row] = [{**DECISION_ROWS[0], "arm_share": 0.5}]
    for suffix in WRITERS:
        _, out = ingest(tmp_path / suffix, decisions=rows, suffix=suffix)
        assert [row["decision_id"] for row in read(out, "decisions")] == ["d1"], suffix


def test_merged_contact_ids_are_listed(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"contact_id": "zoe", "keys": ["email:ab12"], "consent": True},
        {"contact_id": "anna", "keys": ["email:ab12"], "consent": True},
    ]
    summary, _ = ingest(tmp_path, contacts=rows)
    assert [(merge.contact_id, merge.others) for merge in summary.contacts_merged] == [
        ("anna", ("zoe",))
    ]


def test_a_log_without_decisions_gives_an_empty_table(tmp_path: Path) -> None:
    summary, out = ingest(tmp_path, decisions=[])
    assert read(out, "decisions") == []
    assert summary.tables[2].files == ()


def test_the_summary_accounts_for_every_row(tmp_path: Path) -> None:
    events = [*EVENT_ROWS, EVENT_ROWS[0], {**EVENT_ROWS[0], "event_id": "e9", "type": "clik"}]
    summary, out = ingest(tmp_path, events)
    count = summary.tables[0]
    assert (count.read, count.kept, count.quarantined) == (5, 3, 2)
    assert count.reasons == {"redelivered": 1, "unknown event type": 1}
    assert (summary.first_at, summary.last_at) == (
        "2024-03-01T09:00:00.250000+00:00",
        "2024-03-02T09:00:00+00:00",
    )
    assert json.loads((out / "summary.json").read_text())["fingerprint"] == summary.fingerprint


def test_an_empty_log_is_refused_and_its_quarantine_kept(tmp_path: Path) -> None:
    words = r"0 of 1 events \(events.jsonl: 1 × unknown event type; the first: "
    with pytest.raises(LogError, match=words):
        ingest(tmp_path, [{**EVENT_ROWS[0], "type": "clik"}])
    assert not (tmp_path / "log").exists()
    (row,) = pq.read_table(tmp_path / "log.quarantine.parquet").to_pylist()
    assert "'clik'" in row["reason"]


def test_a_log_without_contacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"0 of 0 contacts \(no file\)"):
        ingest(tmp_path, contacts=[])


def test_an_older_log_stays_when_the_new_one_is_refused(tmp_path: Path) -> None:
    summary, out = ingest(tmp_path)
    with pytest.raises(LogError):
        ingest(tmp_path, [{**EVENT_ROWS[0], "type": "clik"}])
    assert json.loads((out / "summary.json").read_text())["fingerprint"] == summary.fingerprint
