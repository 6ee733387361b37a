"""A log of any size as checked tables, and a journey of 60 feature columns to work out on it.

The contents follow from the size alone: 200 events and 10 daily decisions a contact, a year long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

DAY_US = 86_400_000_000
FOUR = {"seen": "page_view", "opened": "open", "clicked": "click", "visited": "visit"}
WINDOWS = (1, 3, 7, 14, 28)
WINDOW, HALF_LIFE = 28, 5.0  # bins
_TYPES = (*FOUR.values(), "purchase", "delivered", "activity", "form_submitted")
_EACH, _DECIDED = 200, 10  # events and decisions of a contact
_START_US = 19_675 * DAY_US  # 14 November 2023, UTC
_BATCH = 2_000_000


def journey() -> dict[str, Any]:
    """The journey, as a file says it."""
    signals: dict[str, Any] = {name: {"type": kind} for name, kind in FOUR.items()}
    features: dict[str, Any] = {"bin": {"kind": "calendar", "part": "bin"}}
    for name in FOUR:
        of = {"of": [name]}
        features |= {f"{name}_{w}": {"kind": "count", **of, "window": w} for w in WINDOWS}
        features[f"{name}_trend"] = {"kind": "trend", **of, "window": 7}
        features[f"{name}_since"] = {"kind": "recency", **of, "window": WINDOW}
        decayed = {"kind": "decayed", "window": WINDOW, "half_life": HALF_LIFE}
        features[f"{name}_decayed"] = {**decayed, **of}
    features["each"] = {"kind": "memory", "of": ["clicked"], "window": 20}
    money = {"kind": "count", "of": ["bought.value"]}
    features |= {f"spent_{w}": {**money, "window": w} for w in WINDOWS}
    rate = {"kind": "ratio", "of": ["clicked"], "over": ["opened"]}
    features |= {f"rate_{w}": {**rate, "window": w} for w in (7, 28)}
    return {
        "journey": "measured",
        "title": "A journey to measure by",
        "provenance": "SYNTHETIC: made by benchmarks/features_log.py",
        "clock": {"period_hours": 24, "slots_hours": [0], "periods": 400},
        "signals": {**signals, "bought": {"type": "purchase", "valued": True}},
        "messages": {"hello": {"job": "activate", "approval": "approved", "expires": "2028-12-31"}},
        "actions": {"slots": ["now"], "pauses": [1]},
        "features": features,
        "reward": {"unit": "EUR", "weights": {"bought.value": 1}},
        "kpis": {
            "north_star": {"name": "purchases", "of": ["bought"]},
            "supporting": [
                {"name": "clicks", "of": ["clicked"]},
                {"name": "visits", "of": ["visited"]},
            ],
        },
    }


def write_log(folder: Path, events: int) -> None:
    """Write events, contacts and decisions, in no order of contacts.

    Args:
        folder: made where it is not there.
        events: rows of the events.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contacts = max(1, events // _EACH)
    number = np.arange(contacts)
    about = {"contact_id": _ids("c", number), "time_zone": ["UTC"] * contacts}
    pq.write_table(
        pa.table({**about, "attributes": ["{}"] * contacts}), folder / "contacts.parquet"
    )
    writer: pq.ParquetWriter | None = None
    for first in range(0, events, _BATCH):
        part = _events(
            np.random.default_rng([first, events]), min(_BATCH, events - first), contacts
        )
        writer = writer or pq.ParquetWriter(folder / "events.parquet", part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()
    who = np.repeat(number, _DECIDED)
    begins = _START_US + (300 + who % 50) * DAY_US
    step = np.tile(np.arange(_DECIDED), contacts)
    decisions = {
        "decision_id": _ids("d", np.arange(len(who))),
        "contact_id": _ids("c", who),
        "anchor": pa.array(begins).cast(pa.timestamp("us")),
        "step": pa.array(step.astype(np.int32)),
        "decided_at": _times(begins + step * DAY_US + DAY_US // 3),
    }
    pq.write_table(pa.table(decisions), folder / "decisions.parquet")


def _events(luck: np.random.Generator, n: int, contacts: int) -> pa.Table:
    kind = luck.integers(0, len(_TYPES), n)
    occurred = _START_US + luck.integers(0, 365 * DAY_US, n)
    late = np.where(luck.random(n) < 0.1, luck.integers(0, 2 * DAY_US, n), 0)
    value = np.where(kind == _TYPES.index("purchase"), luck.integers(0, 20_000, n) / 100, np.nan)
    return pa.table(
        {
            "contact_id": _ids("c", luck.integers(0, contacts, n)),
            "occurred_at": _times(occurred),
            "recorded_at": _times(occurred + late),
            "type": pa.array(_TYPES).take(pa.array(kind)),
            "value": pa.array(value, from_pandas=True),
        }
    )


def _ids(before: str, number: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(before, pa.array(number).cast(pa.string()), "")


def _times(us: np.ndarray) -> pa.Array:
    return pa.array(us).cast(pa.timestamp("us", tz="UTC"))
