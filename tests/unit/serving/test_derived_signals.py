"""A server works out of events what `ingest` works out of its log, as it hears of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nurture_envs.clock import HOUR_US
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.logs.ingest import ingest_folder
from nurture_rl.release.bundle import Bundle
from nurture_rl.serving.contacts.viewing import Ask
from nurture_rl.serving.records import Event
from nurture_rl.serving.storage.store import Store
from nurture_rl.serving.upkeep.export import ExportOptions, export
from nurture_rl.serving.watching.timeline import timeline
from tests.unit.release.bundles import journey, small_bundle
from tests.unit.serving.contacts import MIDNIGHT, Clock, event, service

SIGNALS = {
    "clicked_first": {"type": "first_click", "valued": True},
    "new_link": {"type": "link_clicked"},
    "looks_around": {"type": "looking_around"},
    "turns_to_us": {"type": "interest_rose"},
}
REPEATED = {"looking_around": {"of": ["viewed_pricing"], "times": 2, "hours": 20}}
CHANGES = {
    "interest_rose": {"of": ["viewed_pricing"], "usual": 5, "becomes": 2.0, "run_length": 1.0}
}
FEATURES = {
    "hours_to_click": {
        "kind": "ratio",
        "of": ["clicked_first.value"],
        "over": ["clicked_first"],
        "window": 7,
    },
    "links": {"kind": "count", "of": ["new_link"], "window": 7},
    "looked": {"kind": "count", "of": ["looks_around"], "window": 7},
}


def clicking() -> Journey:
    plain = journey().resolved
    signals, features = {**plain["signals"], **SIGNALS}, {**plain["features"], **FEATURES}
    both = {"signals": signals, "features": features, "repeated": REPEATED, "changes": CHANGES}
    return parse_journey({**plain, **both})


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "bundle", clicking())


def happens(rng: np.random.Generator, number: int, now_us: int) -> Event:
    """A send, a delivery or a click that the server hears of a while after it happened."""
    kind = str(rng.choice(["sent", "delivered", "click", "page_view"], p=[0.2, 0.2, 0.4, 0.2]))
    cells: dict[str, Any] = {"message_id": f"m{rng.integers(3)}", "event_id": f"e{number}"}
    if kind == "click":
        url = f"https://x.example/{rng.integers(3)}"
        cells |= {"properties": f'{{"url": "{url}"}}', "is_machine": bool(rng.random() < 0.1)}
    if kind == "page_view":
        cells["page_category"] = "pricing"
    at_us = now_us - int(rng.exponential(2.0) * HOUR_US) - 1
    return event(kind, at_us, str(rng.choice(["ada", "bob"])), **cells)


def test_what_a_server_worked_out_is_what_its_log_gives(watching: Bundle, tmp_path: Path) -> None:
    clock, rng = Clock(MIDNIGHT), np.random.default_rng(5)
    served = service(watching, tmp_path / "store.db", clock)
    for number in range(0, 120, 2):
        clock.now_us += HOUR_US
        served.append_events([happens(rng, number + i, clock.now_us) for i in range(2)])
    clock.now_us = MIDNIGHT + 24 * HOUR_US * 3
    found = served.decide([Ask("ada", "a"), Ask("bob", "b")])
    columns = watching.feature_spec.columns
    read = [columns.index(name) for name in FEATURES]
    features = np.array([one.features for one in found])  # type: ignore[union-attr]
    assert (features[:, read] > 0.0).all()
    story = timeline(served.store, "ada", clock.now_us)
    assert story is not None
    (reason, *_) = [one.detail for one in story.entries if one.what == "interest_rose"]
    assert "times viewed_pricing within" in reason
    served.store.close()
    export(ExportOptions(store=str(tmp_path / "store.db"), out=str(tmp_path / "log")))
    as_served = derived(pq.read_table(tmp_path / "log" / "events.parquet"))
    assert len(as_served) > 20
    assert {kind for *_, kind, _ in as_served} == {
        "first_click",
        "link_clicked",
        "looking_around",
        "interest_rose",
    }
    assert again(tmp_path / "log", tmp_path / "kept") == as_served
    forgotten = pq.read_table(tmp_path / "log" / "events.parquet").to_pylist()
    left = [row for row in forgotten if row["source"] != "derived"]
    raw = pq.read_table(tmp_path / "log" / "events.parquet").schema.empty_table()
    pq.write_table(type(raw).from_pylist(left, schema=raw.schema), tmp_path / "log/events.parquet")
    assert again(tmp_path / "log", tmp_path / "anew") == as_served


def again(log: Path, out: Path) -> list[tuple[Any, ...]]:
    """What `ingest` makes of a log."""
    ingest_folder(log, out, None, None, lambda line: None, journey=clicking())
    return derived(pq.read_table(out / "events.parquet"))


def derived(events: Any) -> list[tuple[Any, ...]]:
    names = ("event_id", "contact_id", "occurred_at", "recorded_at", "type", "value")
    return sorted(
        tuple(row[name] for name in names)
        for row in events.to_pylist()
        if row["source"] == "derived"
    )


def test_a_journey_that_reads_none_gets_none(bundle: Bundle, tmp_path: Path) -> None:
    served = service(bundle, tmp_path / "store.db", Clock())
    served.append_events(
        [event("sent", MIDNIGHT - 9, message_id="m"), event("click", MIDNIGHT - 5, message_id="m")]
    )
    assert len(served.store.events(["ada"])["ada"]) == 2


def test_events_are_counted_as_they_came(watching: Bundle, tmp_path: Path) -> None:
    served = service(watching, tmp_path / "store.db", Clock())
    both = [
        event("sent", MIDNIGHT - 9, message_id="m"),
        event("click", MIDNIGHT - 5, message_id="m"),
    ]
    assert (served.append_events(both).stored, served.append_events(both).repeated) == (2, 2)
    kinds = sorted(one.type for one in served.store.events(["ada"])["ada"])
    assert kinds == ["click", "first_click", "link_clicked", "sent"]
    assert isinstance(served.store, Store)
