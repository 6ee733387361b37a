"""Addresses say what a page or a link is about, by rules of the log's owner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nurture_rl.errors import LogError
from nurture_rl.logs.ingest import ingest_folder

RULES = """
version: 1.10
pages:
  - {path: /pricing*, category: pricing, topic: pricing}
  - {host: docs.example.com, category: docs}
  - {path: "/*", query: "*plan=pro*", category: upgrade}
links:
  - path: /pricing*
    query: "*cta=calc*"
    topic: pricing
    block: calculator
    call_to_action: calculate
  - {path: /case/*, topic: proof}
"""


def event(number: int, kind: str, url: str | None, **cells: Any) -> dict[str, Any]:
    properties = {} if url is None else {"url": url, "n": number}
    at = f"2026-05-{number % 28 + 1:02d}T10:00:07Z"
    own = {"event_id": f"e{number:02d}", "contact_id": "ada", "occurred_at": at, "type": kind}
    return {**own, "properties": properties, **cells}


def read(folder: Path, rows: list[dict[str, Any]], rules: str = RULES, **files: str) -> Any:
    raw = folder / "raw"
    raw.mkdir()
    (raw / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (raw / "contacts.csv").write_text("contact_id,consent\nada,true\n", "utf-8")
    (raw / "pages.yaml").write_text(rules, "utf-8")
    for name, text in files.items():
        (raw / f"{name}.yaml").write_text(text, "utf-8")
    summary = ingest_folder(raw, folder / "out", None, None, lambda line: None)
    events = pq.read_table(folder / "out" / "events.parquet").sort_by("event_id").to_pylist()
    return events, "\n".join(summary.notes)


def test_page_views_get_the_category_of_the_first_rule_that_fits(tmp_path: Path) -> None:
    rows = [
        event(0, "page_view", "https://www.example.com/pricing/?utm_source=mail"),
        event(1, "page_view", "https://docs.example.com/start#top"),
        event(2, "page_view", "https://example.com/?plan=pro"),
        event(3, "page_view", "https://example.com/about"),
        event(4, "page_view", "https://example.com/about/"),
        event(5, "page_view", "https://example.com/pricing", page_category="own", topic="mine"),
        event(6, "page_view", None),
        event(7, "page_view", "http://[broken"),
        event(8, "page_view", "https://example.com/pr%69cing-eu"),
        event(9, "activity", "https://example.com/pricing"),
    ]
    events, notes = read(tmp_path, rows)
    found = [(row["page_category"], row["topic"]) for row in events]
    assert found[:5] == [
        ("pricing", "pricing"),
        ("docs", None),
        ("upgrade", None),
        *[(None,) * 2] * 2,
    ]
    assert found[5:] == [("own", "mine"), *[(None, None)] * 2, ("pricing", "pricing"), (None, None)]
    assert "rules of pages, version 1.10: 4 of 7 page views with an address fit one" in notes
    assert "none fits example.com/about (2), http://[broken (1)" in notes


def test_clicks_get_topic_block_and_call_to_action_and_keep_their_own(tmp_path: Path) -> None:
    rows = [
        event(0, "click", "https://example.com/pricing?x=1&cta=calc"),
        event(1, "click", "https://example.com/case/acme", topic="security"),
        event(2, "click", "https://example.com/elsewhere"),
        event(3, "click", None),
    ]
    events, notes = read(tmp_path, rows)
    assert [row["topic"] for row in events] == ["pricing", "security", None, None]
    told = [json.loads(row["properties"]) for row in events]
    assert (told[0]["block"], told[0]["call_to_action"]) == ("calculator", "calculate")
    assert told[1] == {"url": "https://example.com/case/acme", "n": 1}
    assert all(row["page_category"] is None for row in events)
    assert "rules of pages" not in notes


def test_addresses_that_may_not_be_kept_are_not_told(tmp_path: Path) -> None:
    rows = [event(0, "page_view", "https://example.com/u/ada"), event(1, "page_view", None)]
    events, notes = read(tmp_path, rows, privacy="properties: []\n")
    assert "0 of 1 page views" in notes
    assert "ada" not in notes
    assert json.loads(events[0]["properties"]) == {}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("pages: [{category: a}]", "version: expected text"),
        ("version: 1\npages: [{path: /x}]", "category: expected text"),
        ("version: 1\npages: [{category: a, paths: /x}]", "paths: no such key"),
        ("version: 1\nlinks: [{path: /x}]", "expected a topic, block or call_to_action"),
        ("version: 1", "at least one rule"),
        ("version: [", "expected rules of pages"),
    ],
)
def test_wrong_rules_are_told(tmp_path: Path, rules: str, said: str) -> None:
    with pytest.raises(LogError, match=said):
        read(tmp_path, [event(0, "page_view", None)], rules)
    assert not (tmp_path / "out").exists()
