"""Each kind of bad row goes to quarantine with its file, its line and its reason."""

from __future__ import annotations

import gzip
import json
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.checks import check_contacts, check_decision_fields, check_events
from nurture_rl.logs.decision_checks import check_decisions
from nurture_rl.logs.duplicates import drop_duplicates
from nurture_rl.logs.mapped.file_cells import read_cells
from nurture_rl.logs.readers import RawTable, read_raw
from nurture_rl.logs.schema import EVENT_TYPES, TableKind

Row = dict[str, object]

EVENT: Row = {
    "event_id": "e1",
    "contact_id": "anna",
    "occurred_at": "2024-03-01T10:00:00Z",
    "type": "click",
}
DECISION: Row = {
    "decision_id": "d1",
    "contact_id": "anna",
    "journey": "inbound_lead",
    "episode_id": "anna/1",
    "anchor": "2024-03-01T00:00:00",
    "step": 3,
    "decided_at": "2024-03-01T08:00:00Z",
    "action": "pause:1",
    "propensity": 0.75,
    "probabilities": [0.25, 0.75, 0.0],
    "mask": [True, True, False],
    "policy_id": "drip",
    "arm": "all",
    "catalog": "h1",
}
ACTIONS = ("send:hello@9", "pause:1", "exit")


def lines(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def refused(table: RawTable) -> list[tuple[int, str]]:
    found = zip(
        table.quarantine["line"].to_pylist(), table.quarantine["reason"].to_pylist(), strict=True
    )
    return list(found)


def checked_event(tmp_path: Path, **changes: object) -> RawTable:
    raw = read_raw(lines(tmp_path / "events.jsonl", [EVENT | changes]), TableKind.EVENTS)
    return check_events(raw.rows) if len(raw.rows) else raw


def checked_decision(tmp_path: Path, **changes: object) -> RawTable:
    raw = read_raw(lines(tmp_path / "decisions.jsonl", [DECISION | changes]), TableKind.DECISIONS)
    fields = check_decision_fields(raw.rows)
    return check_decisions(fields.rows, ACTIONS, "h1") if len(fields.rows) else fields


def test_a_malformed_line_is_named_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    good = json.dumps(EVENT)
    path.write_text(f'{good}\n\n{{"event_id": "e2", \n[1]\n{good}\n')
    table = read_raw(path, TableKind.EVENTS)
    assert table.rows["_line"].to_pylist() == [1, 5]
    (first, reason), (second, other) = refused(table)
    assert (first, second) == (3, 4)
    assert reason.startswith("malformed: ")
    assert other.startswith("wrong type: Expected `object`, got `array`")
    row = table.quarantine.to_pylist()[0]
    assert (row["file"], row["table"]) == ("events.jsonl", "events")
    assert json.loads(row["raw"]) == '{"event_id": "e2",'


def test_a_line_that_is_not_utf8_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(json.dumps(EVENT).encode().replace(b"anna", b"\xff"))
    ((line, reason),) = refused(read_raw(path, TableKind.EVENTS))
    assert line == 1
    assert reason.startswith("malformed: 'utf-8' codec can't decode byte 0xff")


def test_of_a_damaged_line_without_end_the_begin_is_kept(tmp_path: Path) -> None:
    """It may be as long as the file, and each of its bytes is four signs of text."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff" * 3_000_000 + b"\n" + json.dumps(EVENT).encode() + b"\n")
    table = read_raw(path, TableKind.EVENTS)
    assert (len(table.rows), table.quarantine["line"].to_pylist()) == (1, [1])
    (raw,) = table.quarantine["raw"].to_pylist()
    assert raw.startswith('"\\\\xff')
    assert raw.endswith('... (3000001 bytes)"')
    assert len(raw) < 600_000
    wide = tmp_path / "events.csv"
    wide.write_text("event_id,type\n" + "x," * 400_000 + "\n")
    (raw,) = read_raw(wide, TableKind.EVENTS).quarantine["raw"].to_pylist()
    assert raw.endswith('... (800000 characters)"')


def test_a_line_nested_too_deeply_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"properties": ' + '{"a":' * 5000 + "1" + "}" * 5001)
    ((line, _),) = refused(read_raw(path, TableKind.EVENTS))
    assert line == 1


def test_csv_lines_are_counted_over_line_breaks_inside_quotes(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    head = "\ufeffevent_id,contact_id,occurred_at,type,topic\n"
    body = 'e1,a,2024-03-01T10:00Z,click,"two\nlines"\n\ne2,a,2024\ne3,a,2024-03-01T10:00Z,open,\n'
    path.write_text(head + body)
    table = read_raw(path, TableKind.EVENTS)
    assert table.rows["_line"].to_pylist() == [2, 6]
    assert table.rows["topic"].to_pylist() == ["two\nlines", None]
    assert refused(table) == [(5, "malformed: expected 5 fields, got 3")]


def test_csv_bytes_that_are_not_utf8_are_malformed(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_bytes(b"contact_id,consent\n\xff,true\nben,true\n")
    table = read_raw(path, TableKind.CONTACTS)
    assert refused(table) == [(2, "malformed: not UTF-8")]
    assert table.rows["contact_id"].to_pylist() == ["ben"]


def test_an_open_quote_is_reported_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text('contact_id,consent\nanna,true\n"ben,true\ncleo,true\n')
    ((line, reason),) = refused(read_raw(path, TableKind.CONTACTS))
    assert line == 3
    assert reason.endswith("in lines 3 to 4")


def test_every_known_event_type_passes_and_an_unknown_one_names_the_nearest(tmp_path: Path) -> None:
    rows = [EVENT | {"type": word} for word in sorted(EVENT_TYPES)]
    raw = read_raw(lines(tmp_path / "events.jsonl", rows), TableKind.EVENTS)
    assert len(check_events(raw.rows).rows) == len(EVENT_TYPES)
    ((_, reason),) = refused(checked_event(tmp_path, type="page_veiw"))
    assert reason == (
        "unknown event type: 'page_veiw', nearest known is 'page_view'; what a signal of the "
        "journey names is known"
    )


def test_a_time_without_a_zone_is_never_taken_for_utc(tmp_path: Path) -> None:
    ((_, reason),) = refused(checked_event(tmp_path, occurred_at="2024-03-01T10:00:00"))
    assert reason.startswith("time without zone: occurred_at '2024-03-01T10:00:00'")


def test_a_parquet_column_of_times_without_a_zone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    pq.write_table(
        pa.table({**{k: [v] for k, v in EVENT.items()}, "occurred_at": [datetime.now()]}), path
    )
    ((line, reason),) = refused(read_raw(path, TableKind.EVENTS))
    assert line == 1
    assert reason.startswith("time without zone: occurred_at")


def test_zoned_nanoseconds_in_parquet_become_utc_microseconds(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    columns = {name: pa.array([value]) for name, value in EVENT.items()}
    nanoseconds = pa.array([1_709_280_000_123_456_789], pa.timestamp("ns", tz="America/New_York"))
    pq.write_table(pa.table(columns | {"occurred_at": nanoseconds}), path)
    (found,) = read_raw(path, TableKind.EVENTS).rows["occurred_at"].to_pylist()
    assert str(found) == "2024-03-01 08:00:00.123456+00:00"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-03-01T10:00:00+02:00", "2024-03-01 08:00:00"),
        ("2024-03-01 10:00:00.1234567Z", "2024-03-01 10:00:00.123456"),
        ("2024-03-01T10:00-0530", "2024-03-01 15:30:00"),
    ],
)
def test_zoned_times_become_utc(tmp_path: Path, text: str, utc: str) -> None:
    (found,) = checked_event(tmp_path, occurred_at=text).rows["occurred_at"].to_pylist()
    assert str(found) == f"{utc}+00:00"


def test_one_impossible_date_does_not_spoil_the_others(tmp_path: Path) -> None:
    rows = [EVENT | {"occurred_at": f"2024-02-{day}T10:00:00Z"} for day in (28, 30)]
    table = read_raw(lines(tmp_path / "events.jsonl", rows), TableKind.EVENTS)
    assert len(table.rows) == 1
    ((line, reason),) = refused(table)
    assert line == 2
    assert "got '2024-02-30T10:00:00Z'" in reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"event_id": None}, "missing required field: event_id"),
        ({"occurred_at": ""}, "missing required field: occurred_at"),
        ({"contact_id": None}, "missing contact"),
        ({"contact_id": None, "keys": []}, "missing contact"),
        ({"contact_id": "N/A"}, "missing contact: contact_id 'N/A' names nobody"),
        ({"contact_id": " Unknown "}, "missing contact: contact_id ' Unknown ' names nobody"),
        ({"keys": ["cookie"]}, "malformed key"),
        ({"recorded_at": "2024-03-01T09:59:59Z"}, "recorded before it occurred"),
        ({"reply_class": "angry"}, "unknown reply class: 'angry'"),
        ({"value": "3"}, "wrong type"),
        ({"event_id": 7}, "wrong type"),
        ({"properties": "[1]"}, "wrong type: properties"),
    ],
)
def test_a_bad_event_says_why(tmp_path: Path, changes: Row, reason: str) -> None:
    ((line, found),) = refused(checked_event(tmp_path, **changes))
    assert line == 1
    assert found.startswith(reason)


def test_csv_cells_of_a_wrong_type_are_refused_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    head = "event_id,contact_id,occurred_at,type,value,is_machine\n"
    cells = ["1.5,true", "much,true", "nan,true", "1e999,0", "+2,perhaps", ",1"]
    path.write_text(head + "".join(f"e,a,2024-03-01T10:00Z,open,{cell}\n" for cell in cells))
    table = read_raw(path, TableKind.EVENTS)
    assert [line for line, _ in refused(table)] == [3, 4, 5, 6]
    assert table.rows["value"].to_pylist() == [1.5, None]


def test_an_unknown_column_never_overwrites_a_property(tmp_path: Path) -> None:
    raw = checked_event(tmp_path, properties={"a": 1}, a=2, b=None)
    assert raw.rows["properties"].to_pylist() == ['{"a":1,"column:a":2}']


def test_the_first_recorded_of_two_events_with_one_id_is_kept(tmp_path: Path) -> None:
    rows = [
        EVENT | {"recorded_at": "2024-03-01T12:00:00Z"},
        EVENT | {"recorded_at": "2024-03-01T11:00:00Z"},
        EVENT | {"recorded_at": "2024-03-01T11:00:00Z"},
        EVENT | {"event_id": "e2"},
    ]
    raw = read_raw(lines(tmp_path / "events.jsonl", rows), TableKind.EVENTS)
    table = drop_duplicates(check_events(raw.rows).rows, TableKind.EVENTS)
    assert table.rows["_line"].to_pylist() == [2, 4]
    assert dict(refused(table)) == {
        1: "duplicate event_id: another row of this id came first at events.jsonl:2",
        3: "redelivered: the very row of events.jsonl:2",
    }


def test_recording_time_goes_before_content_in_saying_which_was_first(tmp_path: Path) -> None:
    rows = [
        EVENT | {"recorded_at": "2024-03-01T12:00:00Z", "contact_id": "aaa"},
        EVENT | {"recorded_at": "2024-03-01T11:00:00Z", "contact_id": "zzz"},
    ]
    raw = read_raw(lines(tmp_path / "events.jsonl", rows), TableKind.EVENTS)
    table = drop_duplicates(raw.rows, TableKind.EVENTS)
    assert table.rows["contact_id"].to_pylist() == ["zzz"]


def test_decisions_that_differ_only_in_a_probability_are_no_redelivery(tmp_path: Path) -> None:
    rows = [DECISION, DECISION | {"probabilities": [0.2, 0.75, 0.05]}, DECISION]
    raw = read_raw(lines(tmp_path / "decisions.jsonl", rows), TableKind.DECISIONS)
    table = drop_duplicates(raw.rows, TableKind.DECISIONS)
    # [0.2, ...] sorts before [0.25, ...] and all were decided at once: the second row is first.
    assert table.rows["_line"].to_pylist() == [2]
    assert [reason.split(":")[0] for _, reason in refused(table)] == ["duplicate decision_id"] * 2


def test_a_decision_sent_twice_is_a_redelivery(tmp_path: Path) -> None:
    raw = read_raw(lines(tmp_path / "decisions.jsonl", [DECISION] * 2), TableKind.DECISIONS)
    table = drop_duplicates(raw.rows, TableKind.DECISIONS)
    assert refused(table) == [(2, "redelivered: the very row of decisions.jsonl:1")]


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    rows: list[Row] = [{"contact_id": "anna", "time_zone": "Europe/Berln"}]
    raw = read_raw(lines(tmp_path / "contacts.jsonl", rows), TableKind.CONTACTS)
    ((_, reason),) = refused(check_contacts(raw.rows))
    assert reason == "unknown time zone: 'Europe/Berln', nearest known is 'Europe/Berlin'"


def test_a_missing_propensity_stays_null(tmp_path: Path) -> None:
    table = checked_decision(tmp_path, propensity=None)
    assert refused(table) == []
    assert table.rows["propensity"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"propensity": 0.0}, "propensity outside (0, 1]"),
        ({"propensity": 1.5}, "propensity outside (0, 1]"),
        ({"propensity": 0.7}, "propensity is not the action's probability: 0.7 against 0.75"),
        ({"probabilities": [0.2, 0.75, 0.0]}, "probabilities do not sum to 1"),
        ({"probabilities": [0.5, 0.75, -0.25]}, "negative probability"),
        ({"probabilities": [0.125, 0.75, 0.125]}, "probability on an action its mask forbids"),
        ({"mask": [True, False, True]}, "illegal action: its mask forbids 'pause:1'"),
        ({"mask": [True, True]}, "wrong length: 3 probabilities and a mask of 2"),
        ({"probabilities": [0.25, 0.75], "mask": [True, True]}, "wrong length"),
        ({"action": "pause:9"}, "unknown action: 'pause:9'"),
        ({"catalog": "h2"}, "other catalogue: logged under h2, expected h1"),
        ({"mask": None}, "missing required field: mask"),
        ({"step": -1}, "negative step"),
    ],
)
def test_a_bad_decision_says_why(tmp_path: Path, changes: Row, reason: str) -> None:
    table = checked_decision(tmp_path, **changes)
    assert len(table.rows) == 0
    ((line, found),) = refused(table)
    assert line == 1
    assert found.startswith(reason)


def test_each_decision_is_held_against_its_own_lottery(tmp_path: Path) -> None:
    other = {"probabilities": [0.1, 0.2, 0.7], "mask": [True] * 3, "action": "exit"}
    rows = [
        DECISION,
        DECISION | other | {"propensity": 0.7},
        DECISION | other | {"propensity": 0.75},
    ]
    raw = read_raw(lines(tmp_path / "decisions.jsonl", rows), TableKind.DECISIONS)
    table = check_decisions(check_decision_fields(raw.rows).rows, ACTIONS, "h1")
    assert table.rows["_line"].to_pylist() == [1, 2]


def test_an_anchor_with_a_zone_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "decisions.jsonl", [DECISION | {"anchor": "2024-03-01T00:00:00Z"}])
    ((_, reason),) = refused(read_raw(path, TableKind.DECISIONS))
    assert reason.startswith("wrong type: anchor must be a local ISO-8601 time, no zone")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    parquet = tmp_path / "events.parquet"
    parquet.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(LogError, match=r"expected events\.parquet to be a whole"):
        read_raw(parquet, TableKind.EVENTS)
    cut = tmp_path / "events.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(EVENT).encode())[:-9])
    with pytest.raises(LogError, match=r"expected events\.jsonl\.gz to be a whole"):
        read_raw(cut, TableKind.EVENTS)


def test_text_in_parquet_that_is_not_utf8_breaks_its_file(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    pq.write_table(pa.table({"event_id": text}), path)
    with pytest.raises(LogError, match=r"expected events\.parquet to be a whole.*UTF8"):
        read_raw(path, TableKind.EVENTS)
    with pytest.raises(LogError, match=r"expected events\.parquet to be a whole.*UTF8"):
        read_cells(path)


def test_a_file_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"events\xff.jsonl")
    lines(path, [EVENT])
    with pytest.raises(LogError, match=r"name in UTF-8, got 'events\\udcff.jsonl'"):
        read_raw(path, TableKind.EVENTS)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"got events\.xlsx"):
        read_raw(tmp_path / "events.xlsx", TableKind.EVENTS)


def test_a_column_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("event_id,event_id\n1,2\n")
    with pytest.raises(LogError, match=r"each column of events\.csv once"):
        read_raw(path, TableKind.EVENTS)
