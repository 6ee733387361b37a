"""Who has the key of a log's pseudonyms erases people by the names that they go by."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nurture_rl.cli.main import main
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.kept_private import pseudonym

KEY = b"0123456789abcdef0123456789abcdef"
TABLES = ("contacts", "events", "decisions", "identity", "places", "quarantine")


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """The stage of a log under pseudonyms: Ada by id and address, Bob by address alone."""
    raw, stage = tmp_path / "raw", tmp_path / "runs" / "stages" / "ingest-a"
    raw.mkdir()
    stage.mkdir(parents=True)
    contacts = [{"contact_id": "Ada-1", "keys": ["email:ada@x.example"], "consent": True}]
    events = [
        {"event_id": f"{who}{i}", "keys": [f"email:{who}@x.example"], "type": "click"}
        | {"occurred_at": f"2026-05-0{i + 1}T10:00:00Z"}
        for i in range(3)
        for who in ("ada", "bob", "cy")
    ]
    for name, rows in (("contacts", contacts), ("events", events)):
        (raw / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (raw / "privacy.yaml").write_text("pseudonyms: ../key\n", "utf-8")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(KEY)
    ingest_folder(raw, stage / "tables", None, None, lambda line: None)
    (stage / "stage.json").write_text("{}", "utf-8")
    return stage


def everything(stage: Path) -> str:
    return str([pq.read_table(stage / "tables" / f"{name}.parquet").to_pylist() for name in TABLES])


@pytest.mark.parametrize("given", ["Ada-1", "ada@x.example", " ADA@x.example"])
def test_a_person_is_found_by_id_or_address(
    stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    ada, address = pseudonym("Ada-1", KEY), pseudonym("ada@x.example", KEY)
    assert ada in everything(stage)
    assert address in everything(stage)
    words = [f"contact={given}", f"logs=[{stage / 'tables'}]", f"runs={tmp_path / 'runs'}"]
    assert main(["erase", *words, f"pseudonyms={tmp_path / 'key'}"]) == 0
    told = capsys.readouterr()
    assert "events.parquet: 3 rows gone" in told.out
    assert f"{stage}: made from a log with the contact" in told.out
    assert ada not in everything(stage)
    assert address not in everything(stage)
    assert len(pq.read_table(stage / "tables" / "events.parquet")) == 6
    assert KEY.decode() not in told.out + told.err


def test_a_person_without_an_id_is_found_by_what_the_log_calls_them(
    stage: Path, tmp_path: Path
) -> None:
    words = ["contact=bob@x.example", f"logs=[{tmp_path / 'runs'}]"]
    assert main(["erase", *words, f"pseudonyms={tmp_path / 'key'}"]) == 0
    left = pq.read_table(stage / "tables" / "events.parquet")
    assert len(left) == 6
    assert pseudonym("bob@x.example", KEY) not in everything(stage)
    assert pseudonym("cy@x.example", KEY) in everything(stage)


def test_another_key_finds_nobody_and_says_so(
    stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.touch(mode=0o600)
    other.write_bytes(KEY[::-1])
    words = ["contact=Ada-1", f"logs=[{stage}]"]
    assert main(["erase", *words, f"pseudonyms={other}"]) == 0
    assert "nor of their pseudonyms: was it this key" in capsys.readouterr().out
    other.chmod(0o644)
    assert main(["erase", *words, f"pseudonyms={other}"]) == 2
    assert f"chmod 600 {other}" in capsys.readouterr().err
