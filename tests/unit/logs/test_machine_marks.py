"""Clicks and opens of machines are found, those of people are left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from nurture_envs.simulation import Simulation
from nurture_envs.worlds.reference import reference_world
from nurture_rl.logs.adapters.reference_tables import write_reference_log
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.logs.machine_marks import MarkedEvents, mark_machines
from nurture_rl.logs.schema import TABLES, TableKind
from nurture_rl.policies.build import PolicyContext, build_policy

SCHEMA = TABLES[TableKind.EVENTS]
NOON = 1_780_000_000_000_000  # microseconds since 1970 UTC, at no whole minute
SECOND = 1_000_000


def event(kind: str, seconds: float, contact: str = "ada", **cells: Any) -> dict[str, Any]:
    at = NOON + int(seconds * SECOND)
    row = dict.fromkeys(SCHEMA.names)
    row |= {"event_id": f"{contact}-{kind}-{seconds}-{sorted(cells.items())}", "type": kind}
    row |= {"contact_id": contact, "occurred_at": at, "recorded_at": at, "source": "email"}
    row |= {"message_id": "hello", "is_machine": False}
    properties = cells.pop("properties", {})
    return {**row, "properties": json.dumps(properties), **cells}


def table(*rows: dict[str, Any]) -> pa.Table:
    columns = {name: [row[name] for row in rows] for name in SCHEMA.names}
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def marked(*rows: dict[str, Any]) -> list[str | None]:
    """The reason of each row."""
    found = mark_machines(table(*rows)).rows
    told = [json.loads(text).get("machine_by") for text in found["properties"].to_pylist()]
    assert found["is_machine"].to_pylist() == [
        row["is_machine"] or reason is not None for row, reason in zip(rows, told, strict=True)
    ]
    return told


@pytest.mark.parametrize(
    ("kind", "after", "reason"),
    [("click", 5, "too_soon"), ("click", 6, None), ("open", 2, "too_soon"), ("open", 3, None)],
)
def test_what_comes_too_soon_after_the_delivery(kind: str, after: float, reason: str) -> None:
    rows = [event("sent", 0), event("delivered", 30), event(kind, 30 + after)]
    assert marked(*rows) == [None, None, reason]
    assert marked(*rows[::-1]) == [reason, None, None]


def test_without_a_delivery_the_sending_counts_and_another_mail_does_not() -> None:
    assert marked(event("sent", 0), event("click", 4)) == [None, "too_soon"]
    other = event("click", 4, message_id="other")
    assert marked(event("sent", 0), other, event("click", 4, "bob")) == [None, None, None]
    by_decision = event("click", 34, decision_id="d2")
    mails = [event("delivered", 30, decision_id="d1"), event("delivered", 0, decision_id="d2")]
    assert marked(*mails, by_decision) == [None, None, None]


def test_a_log_of_whole_minutes_is_not_judged_by_seconds() -> None:
    minutes = [-(NOON // SECOND % 60) + 60 * n for n in range(20)]
    mails = [event("sent", at, f"p{n}") for n, at in enumerate(minutes)]
    clicks = [event("click", at, f"p{n}") for n, at in enumerate(minutes)]
    assert marked(*mails, *clicks) == [None] * 40


def test_three_links_within_seconds_are_a_machines_and_one_link_thrice_is_not() -> None:
    links = [
        event("click", 900 + n, properties={"url": f"https://x.example/{n}"}) for n in range(3)
    ]
    slow = [event("click", 9000, properties={"url": "https://x.example/0"})]
    assert marked(event("sent", 0), *links, *slow) == [None, *["many_links"] * 3, None]
    same = [
        event("click", 900 + n, properties={"url": "https://x.example", "n": n}) for n in range(3)
    ]
    assert marked(event("sent", 0), *same) == [None] * 4
    apart = [
        event("click", 900 + 11 * n, properties={"url": f"https://x.example/{n}"}) for n in range(3)
    ]
    assert marked(event("sent", 0), *apart) == [None] * 4
    nameless = [event("click", 900 + n) for n in range(3)]
    assert marked(event("sent", 0), *nameless) == [None, *["many_links"] * 3]


@pytest.mark.parametrize(
    ("kind", "properties", "reason"),
    [
        ("open", {"user_agent": "Mozilla/5.0"}, "user_agent"),
        ("open", {"user_agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}, "user_agent"),
        ("open", {"user_agent": " mozilla/5.0 "}, "user_agent"),
        ("click", {"user_agent": "Mozilla/5.0"}, None),
        ("click", {"user_agent": "Barracuda Sentinel (EE)"}, "user_agent"),
        ("click", {"user_agent": "python-requests/2.32"}, "user_agent"),
        ("click", {"user_agent": "Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari"}, None),
        ("click", {"method": "HEAD"}, "head_request"),
        ("click", {"method": "GET"}, None),
        ("click", {"trap": True}, "trap_link"),
        ("click", {"trap": False}, None),
        ("click", {"text": 'he said \\"user_agent\\": "curl/8"'}, None),
    ],
)
def test_what_properties_tell(kind: str, properties: dict[str, Any], reason: str | None) -> None:
    assert marked(event("sent", 0), event(kind, 9000, properties=properties)) == [None, reason]


def test_who_follows_a_trap_made_the_other_clicks_on_the_mail_too() -> None:
    rows = [event("click", 900), event("click", 9000, properties={"trap": True})]
    assert marked(*rows, event("click", 900, "bob")) == ["trap_link", "trap_link", None]


def test_what_the_log_says_itself_stays_and_properties_are_kept() -> None:
    told = event("click", 4, is_machine=True, properties={"a": 1})
    assert marked(event("sent", 0), told) == [None, None]
    found = mark_machines(table(event("sent", 0), event("click", 4, properties={"a": {"b": [1]}})))
    assert json.loads(found.rows["properties"][1].as_py()) == {
        "a": {"b": [1]},
        "machine_by": "too_soon",
    }


def test_nothing_to_look_at() -> None:
    assert marked(event("sent", 0)) == [None]
    assert mark_machines(SCHEMA.empty_table()) == MarkedEvents(SCHEMA.empty_table(), {})


def planted(rng: np.random.Generator, contacts: int) -> tuple[pa.Table, np.ndarray]:
    """Mails of which gateways of two kinds and people click, and who did, [event].

    Of the gateways three of six follow one to four links within seconds, two wait for minutes and
    follow every link then, and one waits and follows a single link: nothing tells it from a person.
    People click one or two links after half a minute to a day.
    """
    rows, machine = [], []
    for number in range(contacts):
        name, delivered = f"p{number}", float(rng.uniform(0, 1e6)) + 0.5
        rows += [event("sent", delivered - 2, name), event("delivered", delivered, name)]
        machine += [False, False]
        clicks: list[tuple[float, bool]] = []
        if rng.random() < 0.3:
            kind = rng.integers(6)
            wait = rng.uniform(0.5, 4) if kind < 3 else rng.uniform(60, 600)
            count = int(rng.integers(1, 5)) if kind < 3 else 4 if kind < 5 else 1
            clicks += [(wait + 0.8 * n, True) for n in range(count)]
        if rng.random() < 0.2:
            wait = float(np.exp(rng.uniform(np.log(30), np.log(86_400))))
            clicks += [(wait + 40 * n, False) for n in range(int(rng.integers(1, 3)))]
        for n, (after, is_machine) in enumerate(clicks):
            url = {"url": f"https://x.example/{n}"}
            rows.append(event("click", delivered + after, name, properties=url))
            machine.append(is_machine)
    return table(*rows), np.array(machine)


def test_planted_machines_are_found_and_people_are_left_alone() -> None:
    events, truth = planted(np.random.default_rng(5), 3000)
    found = mark_machines(events).rows["is_machine"].to_numpy()
    recall, precision = found[truth].mean(), truth[found].mean()
    assert 0.9 <= recall < 1.0
    assert precision >= 0.99
    order = np.random.default_rng(6).permutation(len(events))
    again = mark_machines(events.take(pa.array(order))).rows["is_machine"].to_numpy()
    assert np.array_equal(again, found[order])


@pytest.mark.slow
def test_clicks_of_the_reference_worlds_gateways_are_found_without_their_flag(
    tmp_path: Path,
) -> None:
    simulation = Simulation(reference_world("re_engagement"))
    context = PolicyContext(simulation.journey, simulation.catalog, simulation.spec)
    policy = build_policy({"kind": "random"}, context)
    write_reference_log(tmp_path / "raw", simulation, policy, 300, 6)
    path = tmp_path / "raw" / "events.parquet"
    raw = pq.read_table(path)
    machines = raw.filter(pc.and_(raw["is_machine"], pc.equal(raw["type"], "click")))
    assert len(machines) > 20
    pq.write_table(raw.drop_columns("is_machine"), path)
    catalog = simulation.catalog
    summary = ingest_folder(
        tmp_path / "raw", tmp_path / "out", catalog.ids, catalog.hash, lambda line: None
    )
    events = pq.read_table(tmp_path / "out" / "events.parquet")
    found = events.filter(pc.and_(events["is_machine"], pc.equal(events["type"], "click")))
    assert set(found["event_id"].to_pylist()) == set(machines["event_id"].to_pylist())
    assert f"{len(found)} clicks and opens marked as a machine's" in "".join(summary.notes)
