"""A learned world's contacts start with what was known of logged ones, and nothing later."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from nurture_rl.features import decision_table
from nurture_rl.features.starts import start_states
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table


def views_known(*events: tuple[str, str]) -> float:
    """Views in the starting state of a contact first decided for on 2 March at 09:00.

    Args:
        events: when each view happened and when it was recorded.
    """
    journey = shop_journey()
    rows: list[dict[str, Any]] = [
        {
            "contact_id": "ann",
            "type": "page_view",
            "page_category": "pricing",
            "occurred_at": at(happened),
            "recorded_at": at(recorded),
        }
        for happened, recorded in events
    ]
    contacts = contacts_table([{"contact_id": "ann", "time_zone": "UTC"}])
    decisions = decisions_table(
        [
            {
                "contact_id": "ann",
                "anchor": datetime(2026, 3, 2),
                "step": step,
                "decided_at": at(f"2026-03-0{2 + step} 09:00"),
            }
            for step in (0, 1)
        ]
    )
    table = events_table(rows)
    made = decision_table(table, contacts, decisions, journey).table
    ring = start_states(table, contacts, made, journey, "UTC")["ring"]
    assert len(ring) == 1  # one episode
    return float(ring[0].sum())


def test_what_happened_and_was_recorded_before_entry_is_known() -> None:
    assert views_known(("2026-02-28 10:00",) * 2, ("2026-03-01 10:00",) * 2) == 2.0


@pytest.mark.parametrize("recorded, known", [("2026-03-02 09:00", 1.0), ("2026-03-02 09:01", 0.0)])
def test_an_event_recorded_after_the_first_decision_is_not_known(
    recorded: str, known: float
) -> None:
    assert views_known(("2026-03-01 10:00", recorded)) == known


def test_what_happened_in_the_first_bin_is_no_past() -> None:
    assert views_known(("2026-03-02 08:00",) * 2) == 0.0
