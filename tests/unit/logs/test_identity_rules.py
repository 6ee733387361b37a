"""The file identity.yaml: people joined by evidence, each merge listed, and taken back again."""

from __future__ import annotations

import json
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.identity_error.planted_people import planted_people
from nurture_rl.errors import LogError
from nurture_rl.logs.compared_contacts import compared_contacts
from nurture_rl.logs.identity_rules import load_identity
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.kept_private import pseudonym
from nurture_rl.logs.summary import IngestSummary

Row = dict[str, Any]

LINKING = """
since: created
must_not_differ: [first]
comparisons:
  {first: name, last: name, email: email, phone: phone, company: company, postcode: postcode}
"""
PLANTED = planted_people(120, seed=5, twins=0.0)


def contact(number: int) -> Row:
    """Later rows were made later: row 7 on day 7 of a leap year."""
    created = f"2024-{1 + number // 28:02d}-{1 + number % 28:02d}T08:00:00Z"
    known = {**PLANTED.rows[number], "created": created, "seats": str(number), f"row {number}": "x"}
    return {"contact_id": f"c{number:03d}", "consent": True, "attributes": known}


def view(number: int, at: str) -> Row:
    name = f"c{number:03d}"
    return {"event_id": f"{name} {at}", "contact_id": name, "occurred_at": at, "type": "page_view"}


CONTACTS = [contact(i) for i in range(len(PLANTED.rows))]
EVENTS = [view(i, "2024-01-05T10:00:00Z") for i in range(len(CONTACTS))]
# The first person with two rows, the second of which was made later.
OLDER = next(
    i for i in range(len(CONTACTS) - 1) if i > 30 and PLANTED.person[i] == PLANTED.person[i + 1]
)
YOUNGER = OLDER + 1
OLD, YOUNG = f"c{OLDER:03d}", f"c{YOUNGER:03d}"


def ingested(home: Path, rules: str | None, **tables: list[Row]) -> tuple[IngestSummary, Path]:
    raw, out = home / "raw", home / "out"
    raw.mkdir(parents=True)
    for name, rows in {"events": EVENTS, "contacts": CONTACTS, **tables}.items():
        (raw / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    if rules is not None:
        (raw / "identity.yaml").write_text(rules, "utf-8")
    return ingest_folder(raw, out, None, None, lambda line: None), out


def read(out: Path, name: str) -> list[Row]:
    rows: list[Row] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def of(out: Path, *names: str) -> list[list[Row]]:
    """Contacts and events of some."""
    return [
        [row for row in read(out, table) if row["contact_id"] in names]
        for table in ("contacts", "events")
    ]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log as keys alone tell it."""
    return ingested(tmp_path_factory.mktemp("apart"), None)[1]


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestSummary, Path]:
    return ingested(tmp_path_factory.mktemp("joined"), LINKING)


@pytest.mark.slow
def test_likely_merges_are_listed_with_their_evidence(joined: tuple[IngestSummary, Path]) -> None:
    summary, out = joined
    merges = read(out, "merges")
    (own,) = [one for one in merges if one["left"] == OLD]
    assert (own["right"], own["contact_id"], own["by"]) == (YOUNG, OLD, "likely")
    assert 0.99 <= own["probability"] < 1.0
    assert "first: same" in own["levels"]
    assert own["known_at"].isoformat() == CONTACTS[YOUNGER]["attributes"]["created"].replace(
        "Z", "+00:00"
    )
    twice = len(CONTACTS) - len(set(PLANTED.person))
    assert len(merges) == len(CONTACTS) - summary.contacts
    assert 0.9 * twice < len(merges) <= twice
    assert f"{len(merges)} links of a probability of at least 0.99" in summary.notes[-1]


@pytest.mark.slow
def test_before_a_link_is_known_its_rows_say_nothing(
    joined: tuple[IngestSummary, Path], apart: Path
) -> None:
    _, out = joined
    (person,), events = of(out, OLD)
    told = {row["event_id"][:4]: row["recorded_at"] for row in events}
    assert told[OLD] == of(apart, OLD)[1][0]["recorded_at"]
    created = CONTACTS[YOUNGER]["attributes"]["created"].replace("Z", "+00:00")
    assert told[YOUNG].isoformat() == created
    attributes = json.loads(person["attributes"])
    assert attributes["seats"] == str(OLDER)
    assert f"row {OLDER}" in attributes
    assert f"row {YOUNGER}" not in attributes


@pytest.mark.slow
def test_a_forbidden_merge_is_two_again_as_if_it_had_never_been(
    joined: tuple[IngestSummary, Path], apart: Path, tmp_path: Path
) -> None:
    summary, out = ingested(tmp_path, f"{LINKING}\nnot_the_same: [[{YOUNG}, {OLD}]]")
    assert of(out, OLD, YOUNG) == of(apart, OLD, YOUNG)
    before, after = (
        {(one["left"], one["right"]): one for one in read(folder, "merges")}
        for folder in (joined[1], out)
    )
    gone = after.pop((OLD, YOUNG))
    why = {"kept_apart_by": "not_the_same", "apart_left": OLD, "apart_right": YOUNG}
    assert gone == {**before.pop((OLD, YOUNG)), "contact_id": None, **why}
    assert after == before
    assert summary.notes[-1].endswith("1 likely link gives way to `not_the_same`")


@pytest.mark.slow
def test_a_row_without_a_first_name_does_not_join_twins(tmp_path: Path) -> None:
    people = planted_people(120, seed=6, twins=0.2)
    rows = [dict(row) for row in people.rows]
    person = list(people.person)
    twins = [
        (i, i + 1)
        for i in range(len(rows) - 1)
        if person[i] != person[i + 1] and rows[i]["phone"] == rows[i + 1]["phone"] != ""
    ]
    nameless = [{**rows[one], "first": ""} for one, _ in twins]
    contacts = [
        {"contact_id": f"c{i:03d}", "consent": True, "attributes": {**row, "created": "2024-01-01"}}
        for i, row in enumerate([*rows, *nameless])
    ]
    summary, out = ingested(tmp_path, LINKING, contacts=contacts, events=EVENTS[:1])
    found = {f"c{i:03d}": f"c{i:03d}" for i in range(len(contacts))}
    refused = []
    for merge in sorted(read(out, "merges"), key=lambda one: one["left"]):
        if merge["contact_id"] is None:
            refused.append(merge)
        else:
            found[merge["left"]] = found[merge["right"]] = merge["contact_id"]
    assert len(twins) >= 5
    assert all(found[f"c{one:03d}"] != found[f"c{other:03d}"] for one, other in twins)
    joined_to_one = [found[f"c{len(rows) + i:03d}"] for i in range(len(twins))]
    assert sum(name < f"c{len(rows):03d}" for name in joined_to_one) >= len(twins) // 2
    assert len(refused) >= len(twins) // 2
    assert "give way to `must_not_differ`: first" in summary.notes[-1]
    assert {merge["kept_apart_by"] for merge in refused} == {"first"}


@pytest.mark.slow
def test_shuffled_rows_give_the_same_bytes(
    joined: tuple[IngestSummary, Path], tmp_path: Path
) -> None:
    rows = list(CONTACTS)
    random.Random(2).shuffle(rows)
    _, out = ingested(tmp_path, LINKING, contacts=rows)
    for name in ("contacts", "events", "identity", "merges"):
        assert (out / f"{name}.parquet").read_bytes() == (
            joined[1] / f"{name}.parquet"
        ).read_bytes(), name


@pytest.mark.slow
def test_a_link_holds_where_a_key_of_one_of_its_contacts_names_nobody(tmp_path: Path) -> None:
    rows = [dict(row) for row in CONTACTS]
    rows[YOUNGER] |= {"contact_id": None, "keys": ["crm:9", "email:info@x"]}
    events = [
        *(view(i, "2024-06-01T10:00:00Z") for i in range(len(CONTACTS)) if i != YOUNGER),
        {**view(OLDER, "2024-06-02T10:00:00Z"), "keys": ["email:info@x"]},
        {**view(YOUNGER, "2024-06-03T10:00:00Z"), "contact_id": None, "keys": ["crm:9"]},
    ]
    rules = f'not_the_same: [[{OLD}, "email:info@x"]]\n{LINKING}'
    _, out = ingested(tmp_path, rules, contacts=rows, events=events)
    assert [one["keys"] for one in read(out, "merges") if one["by"] == "key"] == [["email:info@x"]]
    (own,) = [one for one in read(out, "merges") if one["by"] == "likely" and one["left"] == OLD]
    assert own["contact_id"] == OLD
    (event,) = [one for one in read(out, "events") if one["event_id"].startswith(YOUNG)]
    assert event["contact_id"] == OLD
    assert read(out, "quarantine") == []


SHARED = [
    {**view(0, "2024-01-05T10:00:00Z"), "keys": ["email:info@x"]},
    {**view(1, "2024-01-06T10:00:00Z"), "keys": ["email:info@x"]},
    {**view(2, "2024-01-07T10:00:00Z"), "contact_id": None, "keys": ["email:info@x"]},
]


def test_a_merge_by_a_key_is_listed_and_can_be_forbidden(tmp_path: Path) -> None:
    few = {"events": SHARED, "contacts": CONTACTS[:2]}
    _, out = ingested(tmp_path / "one", None, **few)
    (merge,) = read(out, "merges")
    assert (merge["left"], merge["right"], merge["by"]) == ("c000", "c001", "key")
    assert merge["keys"] == ["email:info@x"]
    assert merge["known_at"].day == 6
    summary, out = ingested(tmp_path / "two", "not_the_same: [[c000, c001]]", **few)
    assert summary.contacts == 2
    (merge,) = read(out, "merges")
    assert (merge["contact_id"], merge["keys"]) == (None, ["email:info@x"])
    assert [row["reason"][:11] for row in read(out, "quarantine")] == ["shared keys"]
    assert summary.notes[-1].endswith("1 key joins contacts that are not the same, and name nobody")


def test_a_forced_merge_counts_from_its_time_on(tmp_path: Path) -> None:
    rules = 'the_same: [[c001, c000, "2024-02-01T00:00:00Z"], [c000, nobody]]'
    summary, out = ingested(tmp_path, rules, contacts=CONTACTS[:2], events=EVENTS[:2])
    (merge,) = read(out, "merges")
    assert (merge["left"], merge["right"], merge["by"]) == ("c000", "c001", "said")
    assert [(row["contact_id"], row["recorded_at"].month) for row in read(out, "events")] == [
        ("c000", 1),
        ("c000", 2),
    ]
    assert summary.notes[-1] == "identity.yaml: the log knows not both of the_same[1]"


def test_pseudonyms_hide_who_was_merged(tmp_path: Path) -> None:
    key = b"0123456789abcdef"
    path = tmp_path / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_bytes(key)
    raw = tmp_path / "log" / "raw"
    raw.mkdir(parents=True)
    (raw / "privacy.yaml").write_text("pseudonyms: ../../pseudonym.key", "utf-8")
    for name, rows in (("events", SHARED), ("contacts", CONTACTS[:2])):
        (raw / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    out = tmp_path / "log" / "out"
    ingest_folder(raw, out, None, None, lambda line: None)
    (merge,) = read(out, "merges")
    assert {merge["left"], merge["right"]} == {pseudonym(one, key) for one in ("c000", "c001")}
    assert merge["keys"] == [f"email:{pseudonym('info@x', key)}"]


def test_rows_without_a_time_are_not_compared_and_a_day_is_known_at_its_end(
    tmp_path: Path,
) -> None:
    (tmp_path / "identity.yaml").write_text(LINKING, "utf-8")
    rules = load_identity(tmp_path)
    assert rules is not None
    times = ["2024-05-01", "2024-05-01T09:30:00+02:00", "2024-05-01T09:30:00", "1 May", ""]
    rows = [json.dumps({**PLANTED.rows[0], "created": one}) for one in times]
    table = pa.table(
        {
            "attributes": rows,
            "keys": pa.array([None] * 5, pa.list_(pa.string())),
            "account_id": pa.nulls(5, pa.string()),
        }
    )
    made, notes = compared_contacts(table, pa.array(list("abcde")), rules)
    assert made["contact"].to_pylist() == ["a", "b"]
    assert made["known_at"].cast(pa.timestamp("us")).to_pylist() == [
        datetime(2024, 5, 2),
        datetime(2024, 5, 1, 7, 30),
    ]
    assert notes[0].startswith("identity.yaml: 3 contact rows not compared, as created says no")


def test_what_is_null_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "identity.yaml").write_text(LINKING, "utf-8")
    rules = load_identity(tmp_path)
    assert rules is not None
    known = {**PLANTED.rows[0], "created": "2024-05-01", "company": None}
    table = pa.table(
        {
            "attributes": [json.dumps(known), json.dumps({**known, "company": "None"})],
            "keys": pa.array([None] * 2, pa.list_(pa.string())),
            "account_id": pa.nulls(2, pa.string()),
        }
    )
    made, _ = compared_contacts(table, pa.array(["a", "b"]), rules)
    assert made["company"].to_pylist() == [None, "none"]


def test_a_column_that_no_row_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"no contact row has 'surname'; they have .*'last'"):
        ingested(tmp_path, LINKING.replace("last:", "surname:"))


def test_all_problems_of_the_file_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "identity.yaml").write_text(
        """
comparisons: {mail: e-mail, name: name, zip: postcode}
blocking: [[surname, zip], ["zip:0"]]
threshold: 0.2
must_not_differ: [born]
not_the_same: [[a, b], [c]]
the_same: [[a, b], [c, d, "2026-03-01"]]
commparisons: {}
""",
        "utf-8",
    )
    with pytest.raises(LogError) as told:
        load_identity(tmp_path)
    for part in (
        "comparisons.mail: expected one of",
        "got 'e-mail'; did you mean 'email'",
        "blocking: expected columns of comparisons (mail, name, zip), got 'surname'",
        "got 'zip:0'",
        "threshold: expected a number in [0.5, 0.999999], got 0.2",
        "since: expected the column of contacts",
        "not_the_same: expected pairs",
        "the_same: expected a time with Z or an offset, got '2026-03-01'",
        "the_same: a and b stand in not_the_same, too",
        "commparisons: no such key; did you mean 'comparisons'?",
    ):
        assert part in str(told.value), part


def test_a_key_of_two_ids_whose_first_names_differ_names_nobody(tmp_path: Path) -> None:
    """A couple with one address; somebody whose name is written in two ways stays one."""
    rows = [dict(row) for row in CONTACTS[:60]]
    names = {0: "Anna", 1: "Ben", 2: "Clara", 3: "Klara"}
    for i, name in names.items():
        key = "email:couple@x" if i < 2 else "email:clara@x"
        rows[i] |= {"keys": [key], "attributes": {**rows[i]["attributes"], "first": name}}
    events = [
        *(view(i, "2024-06-01T10:00:00Z") for i in range(60)),
        {**view(0, "2024-06-02T10:00:00Z"), "contact_id": None, "keys": ["email:couple@x"]},
    ]
    home = tmp_path / "apart"
    summary, out = ingested(home, LINKING, contacts=rows, events=events)
    merges = read(out, "merges")
    (gone,) = [one for one in merges if one["keys"] == ["email:couple@x"]]
    assert (gone["left"], gone["right"], gone["contact_id"]) == ("c000", "c001", None)
    assert (gone["kept_apart_by"], gone["apart_left"], gone["apart_right"]) == (
        "first",
        "c000",
        "c001",
    )
    (one,) = [one for one in merges if one["keys"] == ["email:clara@x"]]
    assert (one["contact_id"], one["kept_apart_by"]) == ("c002", None)
    assert [row["reason"][:16] for row in read(out, "quarantine")] == ["shared keys only"]
    assert any("1 key joins contacts that are not the same" in note for note in summary.notes)
    _, loose = ingested(
        tmp_path / "loose",
        LINKING.replace("must_not_differ: [first]", ""),
        contacts=rows,
        events=events,
    )
    (one,) = [one for one in read(loose, "merges") if one["keys"] == ["email:couple@x"]]
    assert one["contact_id"] == "c000"


@pytest.mark.slow
def test_no_chain_of_links_goes_round_a_column_that_must_not_differ(tmp_path: Path) -> None:
    """Twins of one house, and a row of either without a first name: the better link holds."""
    rows = [dict(row) for row in CONTACTS]
    home = {**rows[OLDER]["attributes"], "email": "", "created": "2024-01-02"}
    for name, first in (("t1", "Ada"), ("t2", "Theo"), ("t3", "")):
        rows.append({"contact_id": name, "attributes": {**home, "first": first}})
    rows = [row for row in rows if row["contact_id"] not in (OLD, YOUNG)]
    events = [row for row in EVENTS if row["contact_id"] not in (OLD, YOUNG)]
    summary, out = ingested(tmp_path, LINKING, contacts=rows, events=events)
    twins = {
        (one["left"], one["right"]): one
        for one in read(out, "merges")
        if {one["left"], one["right"]} <= {"t1", "t2", "t3"}
    }
    assert set(twins) == {("t1", "t2"), ("t1", "t3"), ("t2", "t3")}
    assert twins["t1", "t3"]["contact_id"] == "t1"
    for pair in (("t1", "t2"), ("t2", "t3")):
        told = twins[pair]
        assert told["contact_id"] is None
        assert told["kept_apart_by"] == "first"
        assert (told["apart_left"], told["apart_right"]) == ("t1", "t2")
    assert "first: not given" in twins["t2", "t3"]["levels"]
    assert any(
        "2 likely links give way to `must_not_differ`: first" in one for one in summary.notes
    )
    named = {row["contact_id"] for row in read(out, "contacts")}
    assert {"t1", "t2"} <= named
    assert "t3" not in named
