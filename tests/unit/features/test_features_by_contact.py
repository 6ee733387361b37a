"""Features in blocks of decisions: busy contacts, contacts cut by a block, and no past at all."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nurture_rl.features import by_contact
from nurture_rl.workflow.features_verb import FeaturesOptions, features
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

pytestmark = pytest.mark.slow

ZONE = "America/New_York"
ANCHOR = at("2025-11-10 00:00", ZONE)  # clocks stay as they are until 8 March
CLOCK = {"period_hours": 1, "slots_hours": [0], "periods": 2000}
HOUR = timedelta(hours=1)
PAST = {
    "bin": {"kind": "calendar", "part": "bin"},
    "views_1": {"kind": "count", "of": ["viewed"], "window": 1},
    "views_5": {"kind": "count", "of": ["viewed"], "window": 5},
    "spent_8": {"kind": "count", "of": ["bought.value"], "window": 8},
    "since": {"kind": "recency", "of": ["bought"], "window": 8},
    "gone": {"kind": "ever", "of": ["left"]},
}


def written(folder: Path, declared: dict[str, Any], **tables: pa.Table) -> pa.Table:
    """The verb's table, in the order of the decisions' steps."""
    journey = shop_journey(declared, CLOCK)
    (folder / "shop.yaml").write_text(str(dict(journey.resolved)), "utf-8")
    (folder / "log").mkdir()
    for name, table in tables.items():
        pq.write_table(table, folder / "log" / f"{name}.parquet")
    out = folder / "made.parquet"
    features(FeaturesOptions(str(folder / "shop.yaml"), str(folder / "log"), out=str(out)))
    return pq.read_table(out).sort_by([("contact_id", "ascending"), ("bin", "ascending")])


def asked(who: str, steps: int) -> list[dict[str, Any]]:
    """A decision in each hour, each a quarter after its bin began."""
    anchor = ANCHOR.replace(tzinfo=None)
    told = {"contact_id": who, "anchor": anchor}
    return [
        {**told, "step": step, "decided_at": ANCHOR + step * HOUR + HOUR / 4}
        for step in range(steps)
    ]


def log(luck: np.random.Generator, steps: int, n: int) -> dict[str, pa.Table]:
    """A contact with n events and a quiet one, in no order, some told late."""
    hours = luck.uniform(-24, steps, n).tolist()
    late = np.where(luck.random(n) < 0.3, luck.uniform(0, 12, n), 0.0).tolist()
    kinds = luck.choice(["page_view", "purchase", "visit"], n).tolist()
    money = np.round(luck.uniform(-50, 50, n), 2).tolist()
    events: list[dict[str, Any]] = [
        {
            "contact_id": "busy",
            "occurred_at": ANCHOR + hour * HOUR,
            "recorded_at": ANCHOR + (hour + after) * HOUR,
            "type": kind,
            "page_category": "pricing",
            "value": value,
        }
        for hour, after, kind, value in zip(hours, late, kinds, money, strict=True)
    ]
    long_ago = {"occurred_at": ANCHOR - timedelta(days=400), "type": "unsubscribe"}
    events.append({"contact_id": "quiet", **long_ago})
    people = [{"contact_id": who, "time_zone": ZONE} for who in ("busy", "quiet")]
    return {
        "events": events_table(events),
        "contacts": contacts_table(people),
        "decisions": decisions_table(
            [*asked("quiet", 5), *asked("busy", steps)][:: int(luck.choice([-1, 1]))]
        ),
    }


def counted(tables: dict[str, pa.Table], steps: int) -> np.ndarray:
    """What the busy contact's features are, event by event, [steps, features]."""
    events = tables["events"].slice(0, len(tables["events"]) - 1)
    start = np.datetime64(round(ANCHOR.timestamp() * 1e6), "us")
    since, known = (
        (np.asarray(events[name].cast(pa.timestamp("us"))) - start).astype(np.int64)
        for name in ("occurred_at", "recorded_at")
    )
    hour = 3_600_000_000
    began = since // hour
    viewing, buying = (np.asarray(events["type"]) == kind for kind in ("page_view", "purchase"))
    grid = np.round(np.asarray(events["value"]) * 1024) / 1024  # as the domain's values are kept
    rows = []
    for step in range(steps):
        lag = step - began
        told = (known <= step * hour + hour // 4) & (lag >= 1)
        viewed, bought = viewing & told, buying & told
        last = lag[bought].min(initial=8)
        spent = grid[bought & (lag <= 8)].sum()
        views = [(viewed & (lag <= window)).sum() for window in (1, 5)]
        rows.append([step, *views, spent, last, 0.0])
    return np.array(rows).astype(np.float32)


@pytest.mark.parametrize("block", [by_contact._BLOCK, 150_000])  # all at once; some hundreds
def test_a_busy_contact_is_counted_event_by_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(by_contact, "_BLOCK", block)
    steps, n = 2000, 20_000
    tables = log(np.random.default_rng(3), steps, n)
    made = written(tmp_path, PAST, **tables)
    assert made["contact_id"].to_pylist() == ["busy"] * steps + ["quiet"] * 5
    found = np.column_stack([np.asarray(made[name]) for name in PAST])
    expected = counted(tables, steps)
    assert expected[:, 2].max() > 5  # each is put to the test
    assert expected[:, 3].min() < 0.0
    np.testing.assert_array_equal(found[:steps], expected)
    # What happened more than a year before is the quiet contact's alone.
    np.testing.assert_array_equal(found[steps:], [[b, 0, 0, 0, 8, 1] for b in range(5)])


def test_a_journey_whose_features_read_no_event_has_its_table(tmp_path: Path) -> None:
    declared = {
        "bin": {"kind": "calendar", "part": "bin"},
        "size": {"kind": "attribute", "default": 3.0},
    }
    made = written(tmp_path, declared, **log(np.random.default_rng(3), 4, 10))
    assert made.select(["contact_id", "bin", "size"]).to_pylist() == [
        {"contact_id": who, "bin": float(step), "size": 3.0}
        for who, steps in (("busy", 4), ("quiet", 5))
        for step in range(steps)
    ]
