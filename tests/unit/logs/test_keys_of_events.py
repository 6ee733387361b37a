"""Events that name people by addresses, users and browsers, without a table of contacts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.kept_private import pseudonym
from tests.unit.logs.mapped_files import drafted

KEY = b"0123456789abcdef"
TEXT = """anonymous_id,user_id,Email,time,event,page
anon-9,,,2026-03-01T08:00:00Z,page_view,pricing
anon-9,user-1,,2026-03-02T08:00:00Z,page_view,docs
,user-1,Ada@X.example,2026-03-05T08:00:00Z,form_submitted,signup
anon-7,,ada@x.example,2026-03-09T08:00:00Z,page_view,pricing
anon-5,,,2026-03-03T08:00:00Z,page_view,pricing
"""


def ingested(folder: Path, mapping: str, privacy: str | None = None) -> dict[str, Any]:
    folder.mkdir(parents=True)
    (folder / "site.csv").write_text(TEXT, "utf-8")
    (folder / "site.map.yaml").write_text(mapping, "utf-8")
    if privacy is not None:
        key = folder.parent / "pseudonym.key"
        key.touch(mode=0o600)
        key.write_bytes(KEY)
        (folder / "privacy.yaml").write_text(privacy, "utf-8")
    out = folder.with_name(f"{folder.name}-tables")
    ingest_folder(folder, out, None, None, lambda line: None)
    return {
        path.stem: pq.read_table(path).to_pylist()
        for path in out.iterdir()
        if path.suffix != ".json"
    }


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    made = drafted(tmp_path / "site.csv", TEXT)
    assert made.questions == ()
    return made.text


def test_a_draft_takes_all_columns_that_name_people_and_keeps_none_of_them(mapping: str) -> None:
    (events,) = yaml.safe_load(mapping)["tables"]["events"]
    assert events["contact_id"] == "user_id"
    assert events["key:email"] == "Email"
    assert events["key:anonymous"] == "anonymous_id"
    assert events["keep"] == ["page"]


def test_a_column_that_says_yes_and_no_is_no_key(tmp_path: Path) -> None:
    text = "email,time,event,cookie\n" + "".join(
        f"a{i}@x.example,2026-03-0{i}T08:00:00Z,open,{'yes' if i % 2 else 'no'}\n"
        for i in range(1, 6)
    )
    (events,) = yaml.safe_load(drafted(tmp_path / "site.csv", text).text)["tables"]["events"]
    assert "key:anonymous" not in events
    assert events["keep"] == ["cookie"]


def test_keys_of_events_join_people_from_when_a_row_first_carries_both(
    tmp_path: Path, mapping: str
) -> None:
    found = ingested(tmp_path / "log", mapping)
    linked = {row["key"]: (row["contact_id"], row["linked_at"]) for row in found["identity"]}
    day = {n: datetime(2026, 3, n, 8, tzinfo=UTC) for n in (2, 5, 9)}
    assert linked.pop("anonymous:anon-5")[0].startswith("c_")
    assert linked == {
        "id:user-1": ("user-1", None),
        "anonymous:anon-9": ("user-1", day[2]),
        "email:ada@x.example": ("user-1", day[5]),
        "anonymous:anon-7": ("user-1", day[9]),
    }
    # What a browser did before anybody knew whose it is, is known from the link on.
    first = min(found["events"], key=lambda row: row["occurred_at"])
    assert (first["contact_id"], first["recorded_at"]) == ("user-1", day[2])
    assert len(found["events"]) == 5


def test_pseudonyms_take_the_place_of_all_keys_and_no_table_holds_a_name(
    tmp_path: Path, mapping: str
) -> None:
    folder = tmp_path / "private" / "log"
    found = ingested(folder, mapping, "pseudonyms: ../pseudonym.key\n")
    hidden = pseudonym("user-1", KEY)
    assert {row["contact_id"] for row in found["events"]} >= {hidden}
    assert f"email:{pseudonym('ada@x.example', KEY)}" in {row["key"] for row in found["identity"]}
    told = str(found).lower()
    for name in ("ada@x.example", "user-1", "anon-9", "anon-7", "anon-5"):
        assert name not in told, name
    assert '"page": "pricing"' in told or '"page":"pricing"' in told


def test_names_that_a_mapping_keeps_are_refused_beside_pseudonyms(
    tmp_path: Path, mapping: str
) -> None:
    kept = mapping.replace("keep: [page]", "keep: [page, anonymous_id]")
    assert kept != mapping
    with pytest.raises(LogError, match=r"site\.map\.yaml: events keep 'anonymous_id', which names"):
        ingested(tmp_path / "no" / "log", kept, "pseudonyms: ../pseudonym.key\n")
    listed = "pseudonyms: ../pseudonym.key\nproperties: [page]\n"
    assert "anon-9" not in str(ingested(tmp_path / "listed" / "log", kept, listed))
    assert "anon-9" in str(ingested(tmp_path / "open" / "log", kept)["events"])


def test_addresses_of_known_people_leave_properties_and_attributes_beside_pseudonyms(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "home" / "log"
    folder.mkdir(parents=True)
    key = folder.parent / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_bytes(KEY)
    who = '"keys": ["email:ada@x.example"]'
    said = '{"to": "Ada <ADA@x.example>", "cc": ["ada@x.example"], "from": "us@firm.example"}'
    moment = '"occurred_at": "2026-03-05T08:00:00Z", "type": "reply"'
    event = f'{{"event_id": "e1", {who}, {moment}, "properties": {said}}}\n'
    (folder / "events.jsonl").write_text(event, "utf-8")
    attributes = '{"mail": "ada@x.example", "seats": 3}'
    (folder / "contacts.jsonl").write_text(f'{{{who}, "attributes": {attributes}}}\n', "utf-8")
    for rules, there in (
        ("pseudonyms: ../pseudonym.key\n", False),
        ("pseudonyms: ../pseudonym.key\nproperties: [to]\nattributes: [mail]\n", True),
    ):
        (folder / "privacy.yaml").write_text(rules, "utf-8")
        out = folder.with_name("tables")
        ingest_folder(folder, out, None, None, lambda line: None)
        tables = [
            pq.read_table(out / f"{name}.parquet").to_pylist() for name in ("events", "contacts")
        ]
        assert ("ada@x.example" in str(tables).lower()) is there
        assert ("us@firm.example" in str(tables)) is not there
        assert ('"seats"' in str(tables)) is not there
