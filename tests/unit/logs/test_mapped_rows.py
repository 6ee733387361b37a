"""Rows of files with a mapping: every cell means what the mapping says, or is set aside."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from tests.unit.logs.mapped_files import ingested, reasons, written

CLICKS = """E-Mail;Zeitpunkt;Aktion;Wert;Gerät
ada@x.example;28.10.2025 09:30;Geklickt;1.234,5;iPhone
ADA@x.example;26.10.2025 02:30;geöffnet ;;
bob@x.example;31.09.2025 10:00;Geklickt;;
bob@x.example;30.03.2025 02:30;Geklickt;;
bob@x.example;28.10.2025 10:00;Gesehen;;
bob@x.example;28.10.2025 10:00;Egal;;
bob@x.example;28.10.2025 10:00;Geklickt;1.2;
"""
MAPPING = """separator: ";"
times: "%d.%m.%Y %H:%M"
zone: Europe/Berlin
decimal: ","
tables:
  events:
    key:email: E-Mail
    occurred_at: Zeitpunkt
    type: {column: Aktion, values: {Geklickt: click, Geöffnet: open, Egal: ""}}
    value: Wert
    keep: [Gerät]
  contacts:
    key:email: E-Mail
    consent: {is: yes}
"""


VISITS = """tables:
  events: {contact_id: id, occurred_at: at, type: {is: visit}, keep: [name]}
  contacts: {contact_id: id}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "log"
    made.mkdir()
    return made


def test_cells_mean_what_the_mapping_says(folder: Path) -> None:
    written(folder, "clicks.csv", CLICKS, MAPPING)
    found = ingested(folder)
    second, first = sorted(found["events"], key=lambda row: row["occurred_at"])
    assert first["occurred_at"] == datetime(2025, 10, 28, 8, 30, tzinfo=UTC)
    assert (first["type"], first["value"], first["properties"]) == (
        *("click", 1234.5),
        '{"Gerät":"iPhone"}',
    )
    # The clock shows 02:30 twice that night: the earlier one is in summer time.
    assert second["occurred_at"] == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert second["type"] == "open"
    assert len({first["contact_id"], second["contact_id"]}) == 1  # an address in other letters
    assert [row["consent"] for row in found["contacts"]] == [True, True]


def test_what_does_not_fit_is_set_aside_with_its_line_and_its_own_row(folder: Path) -> None:
    written(folder, "clicks.csv", CLICKS, MAPPING)
    refused = ingested(folder)["quarantine"]
    assert reasons(refused) == [
        (4, "wrong time"),  # 31 September
        (5, "no such time"),  # an hour that spring skips
        (6, "unmapped value"),
        (7, "left out by the mapping"),
        (8, "wrong number"),  # a point where the mapping says comma, and no thousands
    ]
    assert '"Aktion":"Gesehen"' in refused[2]["raw"]


def test_every_row_is_an_event_or_set_aside(folder: Path) -> None:
    written(folder, "clicks.csv", CLICKS, MAPPING)
    found = ingested(folder)
    events = [row for row in found["quarantine"] if row["table"] == "events"]
    assert len(found["events"]) + len(events) == CLICKS.count("\n") - 1


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_and_doubled_rows_give_the_same_tables(tmp_path: Path, seed: int) -> None:
    head, *rows = CLICKS.splitlines()
    mixed = [*rows, *rows]
    random.Random(seed).shuffle(mixed)
    tables = []
    for name, some in (("plain", rows), ("mixed", mixed)):
        (tmp_path / name).mkdir()
        written(tmp_path / name, "clicks.csv", "\n".join([head, *some, ""]), MAPPING)
        ingested(tmp_path / name)
        tables.append(
            [
                (tmp_path / f"{name}-tables" / f"{kind}.parquet").read_bytes()
                for kind in ("events", "contacts", "identity")
            ]
        )
    assert tables[0] == tables[1]


def test_one_row_of_a_wide_file_tells_several_events(folder: Path) -> None:
    wide = "id,opened_at,clicked_at\n7,2026-01-01,2026-01-02T10:00:00+02:00\n8,2026-01-03,\n"
    mapping = """tables:
  events:
    - {contact_id: id, occurred_at: opened_at, type: {is: open}, if_given: opened_at}
    - {contact_id: id, occurred_at: clicked_at, type: {is: click}, if_given: clicked_at}
  contacts: {contact_id: id}
"""
    written(folder, "wide.csv", wide, mapping)
    found = ingested(folder)
    told = {(row["contact_id"], row["type"], row["occurred_at"].hour) for row in found["events"]}
    assert told == {("7", "open", 0), ("8", "open", 0), ("7", "click", 8)}
    assert found["quarantine"] == []


JSON_LINES = (
    '{"user": {"id": 5, "mail": "a@x.example"}, "at": 1772700000, "what": "click"}\n'
    "not json\n\n"
    '{"user": {"id": 6}, "at": "soon", "what": "click"}\n'
)
OF_JSON = """times: seconds
tables:
  events: {contact_id: user.id, key:email: user.mail, occurred_at: at, type: what}
  contacts: {contact_id: user.id}
"""


@pytest.mark.parametrize("zipped", [False, True])
def test_members_of_json_objects_are_columns(folder: Path, zipped: bool) -> None:
    data = JSON_LINES.encode()
    name = "web.jsonl.gz" if zipped else "web.jsonl"
    written(folder, name, gzip.compress(data) if zipped else data, OF_JSON)
    found = ingested(folder)
    assert [row["contact_id"] for row in found["events"]] == ["5"]
    assert reasons(found["quarantine"]) == [(2, "malformed"), (4, "wrong time")]


def test_parquet_times_keep_their_moment(folder: Path) -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    table = pa.table(
        {"id": [1], "name": ["x"], "at": pa.array([noon], pa.timestamp("ms", tz="Asia/Tokyo"))}
    )
    pq.write_table(table, folder / "a.parquet")
    mapping = f"file: a.parquet\nzone: Europe/Berlin\n{VISITS}"
    (folder / "a.map.yaml").write_text(mapping, "utf-8")
    assert [row["occurred_at"] for row in ingested(folder)["events"]] == [noon]


@pytest.mark.parametrize(
    ("encoding", "word"), [("cp1252", "Müller €"), ("utf-16", "Müller"), ("utf-8-sig", "Müller")]
)
def test_encodings_are_read_as_the_mapping_says(folder: Path, encoding: str, word: str) -> None:
    text = f"id,at,name\n1,2026-01-01,{word}\n"
    mapping = f"encoding: {encoding}\n{VISITS}"
    written(folder, "a.csv", text.encode(encoding), mapping)
    assert [row["properties"] for row in ingested(folder)["events"]] == [f'{{"name":"{word}"}}']


def test_a_file_in_another_encoding_is_refused_with_its_line(folder: Path) -> None:
    written(folder, "a.csv", "id,at,name\n1,2026-01-01,Müller\n".encode("cp1252"), VISITS)
    with pytest.raises(LogError, match=r"a\.csv in utf-8, after line \d it is not"):
        ingested(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("type: {column: Aktion", "type: {column: Action"), "has no column 'Action'"),
        (("zone: Europe/Berlin", "zone: Berlin"), "zone: expected a zone such as"),
        (
            ("    key:email: E-Mail\n    occurred", "    occurred"),
            "contact_id: expected the column",
        ),
        (('times: "%d.%m.%Y %H:%M"', "times: german"), "times: expected iso"),
        (("keep: [Gerät]", "kept: [Gerät]"), "kept: no such key"),
        (('decimal: ","', "decimal: ;"), "decimal: expected one of"),
        (("tables:", "questions: [which zone?]\ntables:"), "which zone?"),
        (("    value: Wert", "    occurred_at: Wert"), "the key 'occurred_at' stands twice"),
        (("Egal: ", "geklickt: "), "type: values: two words are the same"),
    ],
)
def test_a_wrong_mapping_is_told_at_once(folder: Path, change: tuple[str, str], said: str) -> None:
    assert change[0] in MAPPING
    written(folder, "clicks.csv", CLICKS, MAPPING.replace(*change))
    with pytest.raises(LogError) as error:
        ingested(folder)
    assert said in str(error.value)
    assert "clicks.map.yaml" in str(error.value)


def test_a_mapping_without_a_file_and_two_of_one_file_are_refused(folder: Path) -> None:
    written(folder, "clicks.csv", CLICKS, MAPPING)
    (folder / "other.map.yaml").write_text(f"file: cl*.csv\n{MAPPING}", "utf-8")
    with pytest.raises(LogError, match=r"mapped by clicks\.map\.yaml and by other\.map\.yaml"):
        ingested(folder)
    (folder / "other.map.yaml").write_text(f"file: gone.csv\n{MAPPING}", "utf-8")
    with pytest.raises(LogError, match=r"expected a file 'gone\.csv'"):
        ingested(folder)


def test_a_mapped_file_is_not_read_as_a_table_too(folder: Path) -> None:
    written(folder, "events.csv", CLICKS, MAPPING)
    assert len(ingested(folder)["events"]) == 2


@pytest.mark.parametrize(
    ("first", "second", "consent"),
    [("yes", "", True), ("yes", "no", False), ("", "", False), ("", "no", False)],
)
def test_a_row_that_says_nothing_of_consent_takes_none_away(
    folder: Path, first: str, second: str, consent: bool
) -> None:
    rows = f"id,at,ok\n1,2026-01-01,{first}\n1,2026-01-02,{second}\n"
    mapping = VISITS.replace("keep: [name]", "keep: []").replace(
        "contacts: {contact_id: id}", "contacts: {contact_id: id, consent: ok}"
    )
    written(folder, "a.csv", rows, mapping)
    written(folder, "b.csv", "id,at\n1,2026-01-03\n", mapping.replace(", consent: ok", ""))
    assert [row["consent"] for row in ingested(folder)["contacts"]] == [consent]


def test_a_file_without_rows_lacks_no_column(folder: Path) -> None:
    written(folder, "visits.csv", "id,at,name\nada,2025-10-28T10:00:00,home\n", VISITS)
    written(folder, "none.jsonl", "", VISITS)
    assert len(ingested(folder)["events"]) == 1


@pytest.mark.parametrize("name", ["x" * 5_000 + ".csv", "**x.csv", "[.csv"])
def test_a_name_that_no_file_can_have_is_refused_as_missing(folder: Path, name: str) -> None:
    written(folder, "visits.csv", "id,at,name\nada,2025-10-28T10:00:00,home\n", VISITS)
    (folder / "other.map.yaml").write_text(f"file: '{name}'\n{VISITS}", "utf-8")
    with pytest.raises(LogError, match="beside it, there is none"):
        ingested(folder)


def test_a_row_of_separators_alone_is_set_aside_by_itself(folder: Path) -> None:
    """Spreadsheets leave such rows at the end of a sheet."""
    mapping = VISITS.replace("{is: visit}", "{column: kind, values: {seen: visit}}")
    text = "id,at,kind,name\nann,2026-03-02T09:00Z,seen,Ann\n,,,\n"
    written(folder, "visits.csv", text, mapping)
    found = ingested(folder)
    assert [row["contact_id"] for row in found["events"]] == ["ann"]
    assert reasons(found["quarantine"]) == [(3, "missing contact"), (3, "missing required field")]


def test_a_word_of_the_mapping_that_no_row_says_is_told(folder: Path) -> None:
    clicks = CLICKS.partition("bob")[0]
    written(folder, "clicks.csv", clicks, MAPPING.replace("Geklickt:", "Klickte:"))
    out = folder.with_name("tables")
    summary = ingest_folder(folder, out, None, None, lambda line: None)
    (note,) = [note for note in summary.notes if "clicks.map.yaml" in note]
    assert note.startswith("clicks.map.yaml: no row says 'klickte', 'egal' in 'Aktion'")


def test_a_word_that_one_of_several_files_says_is_none_of_these(folder: Path) -> None:
    head, *rows = CLICKS.splitlines()
    written(folder, "clicks-1.csv", f"{head}\n{rows[0]}\n", MAPPING)
    (folder / "clicks-1.map.yaml").rename(folder / "clicks.map.yaml")
    (folder / "clicks.map.yaml").write_text(f"file: clicks-*.csv\n{MAPPING}", "utf-8")
    (folder / "clicks-2.csv").write_text(f"{head}\n{rows[1]}\n{rows[5]}\n", "utf-8")
    summary = ingest_folder(folder, folder.with_name("tables"), None, None, lambda line: None)
    assert not [note for note in summary.notes if "clicks.map.yaml" in note]
