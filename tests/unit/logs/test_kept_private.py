"""What rules of privacy forbid is counted and never written, and pseudonyms hide who it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.kept_private import pseudonym
from nurture_rl.logs.summary import IngestSummary
from nurture_rl.workflow.raw_folder import folder_hash

KEY = b"0123456789abcdef0123456789abcdef"


def event(number: int, kind: str, contact: str = "ada@x.example", **cells: Any) -> dict[str, Any]:
    at = cells.pop("at", f"2026-05-{number + 1:02d}T10:00:00Z")
    keys = cells.pop("keys", [f"email:{contact}"])
    return {"event_id": f"e{number}", "keys": keys, "occurred_at": at, "type": kind, **cells}


def contact(name: str, **attributes: Any) -> dict[str, Any]:
    own = {"contact_id": name, "keys": [f"email:{name}"], "consent": True, "account_id": "acme"}
    return {**own, "time_zone": "Europe/Berlin", "attributes": attributes}


def write(folder: Path, events: list[Any], contacts: list[Any], rules: str | None) -> Path:
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    for name, rows in (("events", events), ("contacts", contacts)):
        (raw / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    if rules is not None:
        (raw / "privacy.yaml").write_text(rules, "utf-8")
    return raw


def key_in(folder: Path) -> None:
    path = folder / "pseudonym.key"
    path.touch(mode=0o600)
    path.write_bytes(KEY)


def ingested(folder: Path, raw: Path) -> IngestSummary:
    return ingest_folder(raw, folder / "out", None, None, lambda line: None)


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "out" / f"{name}.parquet").to_pylist()
    return found


def everything(folder: Path) -> str:
    """All that was written, as text."""
    tables = [str(pq.read_table(path).to_pylist()) for path in (folder / "out").glob("*.parquet")]
    return "".join(tables) + (folder / "out" / "summary.json").read_text("utf-8")


def test_events_without_consent_for_their_purpose_are_counted_and_not_written(
    tmp_path: Path,
) -> None:
    page = {"page_category": "pricing"}
    events = [
        event(0, "sent"),
        event(1, "page_view", **page, properties={"consent": ["web"], "url": "secret-1"}),
        event(2, "page_view", **page, properties={"consent": ["mail"], "url": "secret-2"}),
        event(3, "page_view", **page, properties={"consent": {"web": True}}),
        event(4, "page_view", **page, properties={"consent": {"web": False}, "url": "secret-4"}),
        event(5, "page_view", **page, properties={"consent": True}),
        event(6, "page_view", **page, properties={"url": "secret-6"}),
        event(7, "page_view", "bob@x.example", **page, properties={"url": "of bob"}),
        event(8, "page_view", "bob@x.example", **page, properties={"consent": False}),
        event(9, "page_view", "cy@x.example", **page),
    ]
    contacts = [
        contact("ada@x.example"),
        contact("bob@x.example", consent_web=True),
        contact("bob@x.example", seats=3),
        contact("cy@x.example", consent_web="yes"),
        contact("cy@x.example", consent_web="no"),
    ]
    raw = write(tmp_path, events, contacts, "purposes: {page_view: web}\n")
    summary = ingested(tmp_path, raw)
    assert [row["event_id"] for row in rows(tmp_path, "events")] == ["e0", "e1", "e3", "e5", "e7"]
    (counts,) = [table for table in summary.tables if table.table == "events"]
    assert (counts.read, counts.kept, dict(counts.reasons)) == (10, 5, {"no consent": 5})
    assert all(one not in everything(tmp_path) for one in ("secret-2", "secret-4", "secret-6"))
    refused = rows(tmp_path, "quarantine")
    assert {(row["file"], row["line"]) for row in refused} == {
        ("events.jsonl", line) for line in (3, 5, 7, 9, 10)
    }


def test_only_allowed_types_attributes_and_properties_are_kept(tmp_path: Path) -> None:
    events = [
        event(0, "sent", properties={"url": "u", "ip": "10.0.0.1"}),
        event(1, "support_ticket", properties={"text": "my illness"}),
        event(2, "nonsense type", properties={"text": "another illness"}),
    ]
    contacts = [contact("ada@x.example", seats=3, religion="secret")]
    rules = "events: [sent]\nattributes: [seats]\nproperties: [url]\n"
    summary = ingested(tmp_path, write(tmp_path, events, contacts, rules))
    (row,) = rows(tmp_path, "events")
    assert json.loads(row["properties"]) == {"url": "u"}
    (who,) = rows(tmp_path, "contacts")
    assert json.loads(who["attributes"]) == {"seats": 3}
    assert sum(table.quarantined for table in summary.tables) == 2
    assert all(one not in everything(tmp_path) for one in ("illness", "religion", "10.0.0.1"))


def test_what_is_too_old_goes_counted_from_the_logs_own_end(tmp_path: Path) -> None:
    events = [event(n, "sent") for n in range(10)]
    raw = write(tmp_path, events, [contact("ada@x.example")], "keep_days: 4\n")
    ingested(tmp_path, raw)
    assert [row["event_id"] for row in rows(tmp_path, "events")] == ["e5", "e6", "e7", "e8", "e9"]


def test_pseudonyms_hide_everybody_and_change_nothing_else(tmp_path: Path) -> None:
    events = [
        event(0, "form_submitted", keys=["email:ada@x.example", "cookie:c1"]),
        event(1, "page_view", keys=["cookie:c1"], page_category="pricing"),
        event(2, "sent", "bob@x.example"),
    ]
    contacts = [contact("ada@x.example"), contact("bob@x.example")]
    raw = write(tmp_path, events, contacts, None)
    ingested(tmp_path, raw)
    plain = rows(tmp_path, "events")
    key_in(tmp_path)
    write(tmp_path, events, contacts, "pseudonyms: ../pseudonym.key\n")
    ingested(tmp_path, raw)
    hidden = {row["event_id"]: row for row in rows(tmp_path, "events")}
    assert len(hidden) == len(plain) == 3
    for row in plain:
        other = hidden[pseudonym(row["event_id"], KEY)]
        assert other["contact_id"] == pseudonym(row["contact_id"], KEY)
        assert {k: v for k, v in other.items() if k not in ("event_id", "contact_id")} == {
            k: v for k, v in row.items() if k not in ("event_id", "contact_id")
        }
    keys = {row["key"]: row["contact_id"] for row in rows(tmp_path, "identity")}
    ada = pseudonym("ada@x.example", KEY)
    assert keys[f"email:{ada}"] == keys[f"cookie:{pseudonym('c1', KEY)}"] == ada
    text = everything(tmp_path)
    assert all(one not in text for one in ("bob", "x.example", "acme", "cookie:c1"))


def test_the_reason_of_a_refused_row_says_nothing_that_the_row_said(tmp_path: Path) -> None:
    events = [
        event(0, "sent"),
        event(1, "asked by ada about her illness"),
        event(2, "sent", at="ada@x.example"),
        event(3, "page_view", page_category="her illness"),
        {**event(4, "sent"), "value": "illness"},
        {**event(5, "sent"), "contact_id": "none", "keys": []},
        {**event(6, "sent"), "type": None},
    ]
    raw = write(tmp_path, events, [contact("ada@x.example")], "events: [sent]\n")
    summary = ingested(tmp_path, raw)
    assert sum(table.quarantined for table in summary.tables) == 6
    reasons = [row["reason"] for row in rows(tmp_path, "quarantine")]
    assert all(one not in " ".join(reasons) for one in ("ada", "illness", "none")), reasons
    assert "missing required field: type" in reasons


def test_another_key_is_another_log(tmp_path: Path) -> None:
    key_in(tmp_path)
    events, contacts = [event(0, "sent")], [contact("ada@x.example")]
    raw = write(tmp_path, events, contacts, "pseudonyms: ../pseudonym.key\n")
    before = folder_hash(raw)
    (tmp_path / "pseudonym.key").write_bytes(KEY[::-1])
    assert folder_hash(raw) != before


def test_without_usable_rows_what_is_left_behind_says_nothing_of_people(tmp_path: Path) -> None:
    raw = write(
        tmp_path, [event(0, "no such type")], [contact("ada@x.example")], "events: [sent]\n"
    )
    with pytest.raises(LogError, match="at least one usable event"):
        ingested(tmp_path, raw)
    (left,) = tmp_path.glob("*.quarantine.parquet")
    assert "ada" not in str(pq.read_table(left).to_pylist())


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("purposes: [page_view]", "purposes: expected a mapping"),
        ("purposes: {page_view: }", "purposes.page_view: expected text"),
        ("keep_days: -1", "keep_days: expected a number"),
        ("event: [sent]", "event: no such key"),
        ("pseudonyms: ../none.key", "pseudonyms: expected a file"),
        ("pseudonyms: inside.key", "apart from the log"),
        ("pseudonyms: ../open.key", "its owner's alone"),
        ("pseudonyms: ../short.key", "at least 16 bytes"),
        ("{", "expected rules of privacy"),
    ],
)
def test_wrong_rules_are_told_before_anything_is_read(
    tmp_path: Path, rules: str, said: str
) -> None:
    raw = write(tmp_path, [event(0, "sent")], [contact("ada@x.example")], rules)
    for path, mode, key in (
        (tmp_path / "open.key", 0o644, KEY),
        (tmp_path / "short.key", 0o600, b"abc"),
        (raw / "inside.key", 0o600, KEY),
    ):
        path.touch(mode=mode)
        path.write_bytes(key)
    with pytest.raises(LogError, match=said):
        ingested(tmp_path, raw)
    assert not (tmp_path / "out").exists()
