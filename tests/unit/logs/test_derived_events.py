"""First clicks and followed links are worked out of a log as it was known at the time."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import LogError
from nurture_rl.features import decision_table
from nurture_rl.logs.click_signals import click_events
from nurture_rl.logs.ingest import ingest_folder
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table
from tests.unit.logs.test_machine_marks import NOON, SECOND, event, table

HOUR = 3600
Told = tuple[str, float, float | None]


def worked_out(*rows: dict[str, Any]) -> list[Told]:
    """Type, hours after noon and value of each derived event, in order of time."""
    found, _ = click_events(table(*rows))
    told = [
        (row["type"], (us(row["occurred_at"]) - NOON) / SECOND / HOUR, row["value"])
        for row in found.to_pylist()
    ]
    return sorted(told, key=lambda one: (one[1], one[0]))


def us(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


def link(hours: float, name: str = "a", contact: str = "ada", **cells: Any) -> dict[str, Any]:
    url = {"url": f"https://x.example/{name}"}
    return event("click", hours * HOUR, contact, properties=url, **cells)


def test_the_first_click_counts_from_the_delivery_and_each_link_once() -> None:
    rows = [event("sent", 0), event("delivered", HOUR)]
    clicks = [link(5, "b"), link(3, "a"), link(4, "a#part"), link(6, "c")]
    expected: list[Told] = [
        ("first_click", 3, 2.0),
        ("link_clicked", 3, None),
        ("link_clicked", 5, None),
        ("link_clicked", 6, None),
    ]
    assert worked_out(*rows, *clicks) == expected
    assert worked_out(*clicks[::-1], *rows[::-1]) == expected
    assert worked_out(rows[0], clicks[1]) == [("first_click", 3, 3.0), ("link_clicked", 3, None)]


def test_clicks_of_machines_and_on_mails_that_were_never_sent_have_no_part() -> None:
    gateway = link(1, is_machine=True)
    other = link(2, message_id="other")
    nameless = link(2, message_id=None)
    early = link(-1)
    found, unknown = click_events(table(event("sent", 0), gateway, other, nameless, early))
    assert (len(found), unknown) == (0, 3)
    assert worked_out(event("sent", 0), gateway, link(4)) == [
        ("first_click", 4, 4.0),
        ("link_clicked", 4, None),
    ]


def test_a_mail_that_goes_out_again_counts_from_then_and_a_decision_tells_mails_apart() -> None:
    again = [event("sent", 0), event("sent", 10 * HOUR), link(12)]
    assert worked_out(*again)[0] == ("first_click", 12, 2.0)
    by_decision = [
        *(event("sent", 0, decision_id="d1"), event("sent", 10 * HOUR, decision_id="d2")),
        *(link(12, decision_id="d1"), link(13, decision_id="d2")),
    ]
    firsts = [one for one in worked_out(*by_decision) if one[0] == "first_click"]
    assert firsts == [("first_click", 12, 12.0), ("first_click", 13, 3.0)]


def known_at(row: dict[str, Any], hours: float) -> dict[str, Any]:
    return row | {"recorded_at": NOON + int(hours * HOUR) * SECOND}


def test_what_became_known_later_changes_nothing() -> None:
    """The click at 5 was known first; the one at 3 came a day late."""
    rows = [event("sent", 0), known_at(link(3), 24), link(5)]
    assert worked_out(*rows) == [("first_click", 5, 5.0), ("link_clicked", 5, None)]
    late_delivery = known_at(event("delivered", HOUR), 24)
    assert worked_out(event("sent", 0), late_delivery, link(5))[0] == ("first_click", 5, 5.0)
    found, _ = click_events(table(known_at(event("sent", 0), 24), link(5)))
    assert {us(row["recorded_at"]) for row in found.to_pylist()} == {NOON + 24 * HOUR * SECOND}


@pytest.mark.parametrize("seed", range(4))
def test_a_log_read_piece_by_piece_gives_the_events_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["sent", "delivered", "click"], 70, p=[0.2, 0.2, 0.6])
    rows = []
    for number, kind in enumerate(kinds):
        hours = float(rng.uniform(0, 40))
        row = link(hours, str(rng.integers(3))) if kind == "click" else event(kind, hours * HOUR)
        row |= {"message_id": str(rng.integers(9)), "event_id": f"e{number}"}
        rows.append(known_at(row, hours + rng.exponential(5)))
    whole = {row["event_id"]: row for row in click_events(table(*rows))[0].to_pylist()}
    assert len(whole) > 10
    pieces: dict[str, Any] = {}
    rows.sort(key=lambda row: (row["recorded_at"], row["occurred_at"], row["event_id"]))
    for until in range(1, len(rows) + 1):
        for row in click_events(table(*rows[:until]))[0].to_pylist():
            pieces.setdefault(row["event_id"], row)
    assert pieces == whole


SIGNALS = {
    "clicked_first": {"type": "first_click", "valued": True},
    "new_link": {"type": "link_clicked"},
}
FEATURES = {
    "hours_to_click": {
        "kind": "ratio",
        "of": ["clicked_first.value"],
        "over": ["clicked_first"],
        "window": 5,
    },
    "links_a_mail": {"kind": "ratio", "of": ["new_link"], "over": ["clicked_first"], "window": 5},
}


def clicking_journey() -> Journey:
    return with_signals(SIGNALS, FEATURES)


def with_signals(signals: dict[str, Any], features: dict[str, Any]) -> Journey:
    plain = shop_journey().resolved
    both = {"signals": {**plain["signals"], **signals}, "features": features}
    return parse_journey({**plain, **both})


LOG = [
    ("s1", "2026-05-04T09:00:10Z", "sent", {}),
    ("c1", "2026-05-04T11:00:10Z", "click", {"url": "https://x.example/a"}),
    ("c2", "2026-05-04T12:00:10Z", "click", {"url": "https://x.example/b"}),
    ("c3", "2026-05-04T12:00:20Z", "click", {"url": "https://x.example/a"}),
]


def ingested(
    folder: Path, journey: Journey | None, *more: dict[str, Any], privacy: str = ""
) -> Any:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    rows = [
        {"event_id": name, "contact_id": "ada", "occurred_at": when, "type": kind}
        | {"message_id": "hello", "properties": properties}
        for name, when, kind, properties in LOG
    ]
    lines = "".join(json.dumps(row) + "\n" for row in [*rows, *more])
    (raw / "events.jsonl").write_text(lines, "utf-8")
    (raw / "contacts.csv").write_text("contact_id,consent\nada,true\n", "utf-8")
    if privacy:
        (raw / "privacy.yaml").write_text(privacy, "utf-8")
    summary = ingest_folder(raw, folder / "out", None, None, lambda line: None, journey=journey)
    return pq.read_table(folder / "out" / "events.parquet"), "\n".join(summary.notes)


def test_features_read_how_fast_and_how_deep_somebody_clicks(tmp_path: Path) -> None:
    journey = clicking_journey()
    events, notes = ingested(tmp_path, journey)
    assert "worked out of other events: 1 first_click, 2 link_clicked" in notes
    assert events["occurred_at"].to_pylist() == sorted(events["occurred_at"].to_pylist())
    days = [5, 4]
    decided = [
        {"contact_id": "ada", "anchor": at("2026-05-04 00:00").replace(tzinfo=None)}
        | {"step": day - 4, "decided_at": at(f"2026-05-0{day} 00:00")}
        for day in days
    ]
    made = decision_table(
        *(events, contacts_table([{"contact_id": "ada"}]), decisions_table(decided), journey),
        as_of_us=None,
        default_zone="UTC",
    )
    columns = FeatureSpec.of(journey).columns
    order = np.argsort(made.table["step"].to_numpy())
    features = np.array(made.table["features"].to_pylist())[order]
    assert columns == ("hours_to_click", "links_a_mail")
    assert features.tolist() == [[0.0, 0.0], [2.0, 2.0]]


def test_nothing_is_worked_out_that_no_signal_reads(tmp_path: Path) -> None:
    plain, notes = ingested(tmp_path / "shop", shop_journey())
    assert len(plain) == len(LOG)
    assert "worked out" not in notes
    links = {"links": {"kind": "count", "of": ["new_link"], "window": 5}}
    journey = with_signals({"new_link": SIGNALS["new_link"]}, links)
    some, _ = ingested(tmp_path / "links", journey)
    assert some["type"].to_pylist().count("first_click") == 0
    assert some["type"].to_pylist().count("link_clicked") == 2


def test_what_the_log_has_by_itself_stays(tmp_path: Path) -> None:
    own = {"event_id": "x", "contact_id": "ada", "occurred_at": LOG[1][1], "type": "first_click"}
    events, notes = ingested(tmp_path / "own", clicking_journey(), own | {"value": 7})
    firsts = [row for row in events.to_pylist() if row["type"] == "first_click"]
    assert [(row["event_id"], row["value"]) for row in firsts] == [("x", 7.0)]
    assert "0 first_click, 2 link_clicked" in notes
    again, _ = ingested(tmp_path / "first", clicking_journey())
    rows = [row for row in again.to_pylist() if row["source"] == "derived"]
    texts = [
        {**row, **{name: row[name].isoformat() for name in ("occurred_at", "recorded_at")}}
        for row in rows
    ]
    whole, notes = ingested(tmp_path / "again", clicking_journey(), *texts)
    assert whole["event_id"].to_pylist() == again["event_id"].to_pylist()
    assert "0 first_click, 0 link_clicked" in notes


def test_rules_of_privacy_hold_for_what_is_worked_out(tmp_path: Path) -> None:
    rules = "events: [sent, click, link_clicked]\nproperties: [url]\n"
    events, _ = ingested(tmp_path / "kept", clicking_journey(), privacy=rules)
    kinds = events["type"].to_pylist()
    assert (kinds.count("first_click"), kinds.count("link_clicked")) == (0, 2)
    for asked in ("purposes: {link_clicked: web}", "purposes: {first_click: web}"):
        with pytest.raises(LogError, match="is worked out of other events, and no row says who"):
            ingested(tmp_path / asked[11:15], clicking_journey(), privacy=asked)
    rules = "events: [sent, click]\npurposes: {first_click: web}\n"
    events, _ = ingested(tmp_path / "none", clicking_journey(), privacy=rules)
    assert set(events["type"].to_pylist()) == {"sent", "click"}


def test_clicks_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    stray = {"event_id": "y", "contact_id": "ada", "occurred_at": LOG[1][1], "type": "click"}
    _, notes = ingested(tmp_path, clicking_journey(), stray)
    assert "1 click of a person had no part in it" in notes
