"""Short ways to write the three tables of a log in tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from nurture_rl.logs.schema import CONTACTS, DECISIONS, EVENTS


def at(text: str, zone: str = "UTC") -> datetime:
    """An instant from local wall time, such as at("2026-03-05 09:30", "Europe/Berlin")."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def events_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Events; `contact_id`, `occurred_at` and `type` must be given, the rest has defaults."""
    full = [
        {
            "event_id": f"e{number}",
            "recorded_at": row["occurred_at"],
            "source": "test",
            "is_machine": False,
            "properties": "{}",
            **row,
        }
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=EVENTS)


def contacts_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Contacts; only `contact_id` must be given."""
    defaults = {"zone_confidence": 1.0, "consent": True, "attributes": "{}"}
    return pa.Table.from_pylist([defaults | row for row in rows], schema=CONTACTS)


def decisions_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Decisions; `contact_id`, `anchor`, `step` and `decided_at` must be given."""
    full = [
        {
            "decision_id": f"d{number}",
            "journey": "shop",
            "episode_id": row["contact_id"],
            "action": "pause:1",
            "propensity": 1.0,
            "probabilities": [],
            "mask": [],
            "policy_id": "test",
            "arm": "main",
            "deferred": False,
            "catalog": "",
            **row,
        }
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=DECISIONS)
