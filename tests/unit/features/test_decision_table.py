"""What the decision table keeps, compares and refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nurture_rl.errors import LeakageError, LogError, TimeZoneError
from nurture_rl.features import DecisionTable, decision_table
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

ANCHOR = datetime(2026, 3, 2)
VIEWS = {"views": {"kind": "count", "of": ["viewed"], "window": 7}}
VIEW = {"type": "page_view", "page_category": "pricing"}


def _decided(contact: str, step: int, when: str, **more: Any) -> dict[str, Any]:
    return {
        "contact_id": contact,
        "anchor": ANCHOR,
        "step": step,
        "decided_at": at(when),
        **more,
    }


def _table(
    decisions: list[dict[str, Any]],
    events: list[dict[str, Any]] | None = None,
    contacts: list[dict[str, Any]] | None = None,
    features: dict[str, Any] | None = None,
    default_zone: str = "UTC",
) -> DecisionTable:
    return decision_table(
        events_table(events or []),
        contacts_table(contacts or []),
        decisions_table(decisions),
        shop_journey(features or VIEWS),
        default_zone=default_zone,
    )


@pytest.mark.slow
def test_rows_come_sorted_by_episode_and_step_with_their_own_features() -> None:
    decisions = [
        _decided("bob", 1, "2026-03-03 09:00"),
        _decided("ann", 2, "2026-03-04 09:00"),
        _decided("ann", 1, "2026-03-03 09:00"),
    ]
    events = [{"contact_id": "ann", "occurred_at": at("2026-03-03 10:00"), **VIEW}]
    found = _table(decisions, events).table
    assert found["episode_id"].to_pylist() == ["ann", "ann", "bob"]
    assert found["features"].to_pylist() == [[0.0], [1.0], [0.0]]
    assert found["features"].type == pa.list_(pa.float32(), 1)
    assert found["decision_id"].to_pylist() == ["d2", "d1", "d0"]


def test_logged_features_are_compared_and_the_recomputed_ones_kept() -> None:
    logged = [[0.0], [1.0], [0.0, 0.0], None]
    decisions = [
        _decided("ann", step, f"2026-03-0{2 + step} 09:00", features=features)
        for step, features in enumerate(logged)
    ]
    found = _table(decisions)
    assert found.logged_features_equal == pytest.approx(1 / 3)
    assert found.table["features"].to_pylist() == [[0.0]] * 4
    assert _table([_decided("ann", 0, "2026-03-02 09:00")]).logged_features_equal is None


def test_features_in_the_table_are_logged_features_that_are_all_equal() -> None:
    journey = shop_journey(VIEWS)
    events = events_table([{"contact_id": "ann", "occurred_at": at("2026-03-02 10:00"), **VIEW}])
    contacts = contacts_table([])
    decisions = decisions_table(
        [_decided("ann", step, f"2026-03-0{2 + step} 09:00") for step in range(4)]
    )
    once = decision_table(events, contacts, decisions, journey).table
    again = decision_table(events, contacts, once.select(decisions.column_names), journey)
    assert again.logged_features_equal == 1.0


def test_events_that_are_no_signal_are_counted_by_type() -> None:
    events = [
        {"contact_id": "ann", "occurred_at": at("2026-03-02 10:00"), "type": kind}
        for kind in ("visit", "page_view", "visit", "sent")
    ]
    found = _table([_decided("ann", 0, "2026-03-02 09:00")], events)
    assert found.unmatched_events == {"page_view": 1, "visit": 2}


def test_a_log_without_events_has_features_of_contacts_to_whom_nothing_happened() -> None:
    features = VIEWS | {"since": {"kind": "recency", "of": ["viewed"], "window": 5}}
    found = _table([_decided("ann", 0, "2026-03-02 09:00")], features=features)
    assert found.table["features"].to_pylist() == [[0.0, 5.0]]


def test_a_log_without_decisions_is_an_empty_table() -> None:
    found = _table([])
    assert found.table.num_rows == 0
    assert found.table["features"].type == pa.list_(pa.float32(), 1)


def test_contacts_of_unknown_zone_live_in_the_default_zone() -> None:
    # 23:30 UTC on 2 March is 3 March in Berlin: the bin that step 1 decides
    events = [{"contact_id": "ann", "occurred_at": at("2026-03-02 23:30"), **VIEW}]
    decisions = [_decided("ann", 1, "2026-03-03 09:00")]
    unknown = [{"contact_id": "ann", "time_zone": None}]
    assert _table(decisions, events, unknown).table["features"].to_pylist() == [[1.0]]
    berlin = _table(decisions, events, unknown, default_zone="Europe/Berlin")
    assert berlin.table["features"].to_pylist() == [[0.0]]
    with pytest.raises(TimeZoneError, match="Mars/Olympus"):
        _table(decisions, events, unknown, default_zone="Mars/Olympus")


def test_a_decision_before_its_own_bin_is_refused_as_leakage() -> None:
    decisions = [
        _decided("ann", 1, "2026-03-03 00:00"),
        _decided("ann", 2, "2026-03-03 18:30"),
    ]
    with pytest.raises(LeakageError) as refusal:
        _table(decisions)
    assert "feature 'views' of a decision for contact 'ann'" in str(refusal.value)
    assert "up to 2026-03-04 00:00 local time" in str(refusal.value)
    assert "after the decision at 2026-03-03 18:30" in str(refusal.value)


def test_features_that_read_no_past_cannot_leak() -> None:
    early = [_decided("ann", 2, "2026-03-03 18:30")]
    found = _table(early, features={"bin": {"kind": "calendar", "part": "bin"}})
    assert found.table["features"].to_pylist() == [[2.0]]


def test_a_record_stamped_before_its_event_tells_nothing_early() -> None:
    # the clocks go back, so 02:10 happens twice: first before the decision, then after it
    zone = "Europe/Berlin"
    second_pass = at("2026-10-25 01:10")  # 02:10 local, after clocks went back
    journey = shop_journey(VIEWS, {"period_hours": 24, "slots_hours": [0, 2.5], "periods": 2})
    events = [{"contact_id": "ann", "occurred_at": second_pass, **VIEW}]
    events[0]["recorded_at"] = at("2026-10-25 00:00")
    decision = _decided("ann", 1, "2026-10-25 00:45") | {"anchor": datetime(2026, 10, 25)}
    found = decision_table(
        events_table(events),
        contacts_table([{"contact_id": "ann", "time_zone": zone}]),
        decisions_table([decision]),
        journey,
    )
    assert found.table["features"].to_pylist() == [[0.0]]


@pytest.mark.parametrize(
    "second", [{"contact_id": "bob"}, {"anchor": datetime(2026, 3, 1)}], ids=["contact", "anchor"]
)
def test_one_episode_has_one_contact_and_one_anchor(second: dict[str, Any]) -> None:
    decisions = [
        _decided("ann", 0, "2026-03-02 09:00", episode_id="e"),
        _decided("ann", 1, "2026-03-03 09:00", episode_id="e") | second,
    ]
    with pytest.raises(LogError, match=r"got two for episode 'e' \(decision 'd1'\)"):
        _table(decisions)


def test_features_never_hold_a_nan() -> None:
    features = {
        "size": {"kind": "attribute", "default": 3.0},
        "basket": {"kind": "ratio", "of": ["bought.value"], "over": ["bought"], "window": 4},
    }
    contacts = [{"contact_id": "ann", "attributes": '{"size": NaN}'}]
    bought = {"contact_id": "ann", "occurred_at": at("2026-03-02 10:00"), "type": "purchase"}
    found = _table([_decided("ann", 1, "2026-03-03 09:00")], [bought], contacts, features).table
    assert np.array(found["features"].to_pylist()).tolist() == [[3.0, 0.0]]
