"""The questions a marketer asks of a contact's past, worked out by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.features import decision_table
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, contacts_table, decisions_table, events_table

ANCHOR = datetime(2026, 3, 2)  # a Monday
VIEW = {"type": "page_view", "page_category": "pricing"}


def _answer(
    features: dict[str, Any], events: list[dict[str, Any]], step: int = 4, **contact: Any
) -> dict[str, float]:
    """Feature values of one contact decided at the start of a bin, events at (day, what)."""
    journey = shop_journey(features)
    contacts = contacts_table([{"contact_id": "ann", "time_zone": "UTC", **contact}])
    decided = at(f"2026-03-{2 + step:02d} 00:00")
    decisions = decisions_table(
        [{"contact_id": "ann", "anchor": ANCHOR, "step": step, "decided_at": decided}]
    )
    rows = [{"contact_id": "ann", **event} for event in events]
    found = decision_table(events_table(rows), contacts, decisions, journey)
    return dict(zip(found.feature_columns, found.table["features"].to_pylist()[0], strict=True))


def _on(day: str, **what: Any) -> dict[str, Any]:
    return {"occurred_at": at(day), **what}


def test_visited_pricing_twice_in_seven_days() -> None:
    features = {"views": {"kind": "count", "of": ["viewed"], "window": 7}}
    # decided on 6 March: 27 February is the first day of the window
    events = [
        _on("2026-02-26 23:59", **VIEW),
        _on("2026-02-27 00:00", **VIEW),
        _on("2026-03-05 23:59", **VIEW),
        _on("2026-03-05 12:00", type="page_view", page_category="blog"),
    ]
    assert _answer(features, events) == {"views": 2.0}


def test_an_event_of_the_bin_being_decided_does_not_count() -> None:
    features = {"views": {"kind": "count", "of": ["viewed"], "window": 7}}
    assert _answer(features, [_on("2026-03-06 00:00", **VIEW)]) == {"views": 0.0}


def test_clicked_on_security_content_unlike_the_machine_that_scans_it() -> None:
    features = {"clicked": {"kind": "ever", "of": ["clicked"]}}
    click = {"type": "click", "topic": "security"}
    day = "2026-01-10 10:00"  # long before entry, and still remembered
    assert _answer(features, [_on(day, **click)]) == {"clicked": 1.0}
    assert _answer(features, [_on(day, is_machine=True, **click)]) == {"clicked": 0.0}


def test_replied_with_an_objection_so_many_days_ago() -> None:
    features = {"since": {"kind": "recency", "of": ["objected"], "window": 7}}
    reply = {"type": "reply", "reply_class": "objection"}
    assert _answer(features, [_on("2026-03-03 18:00", **reply)]) == {"since": 3.0}
    assert _answer(features, [_on("2026-02-20 18:00", **reply)]) == {"since": 7.0}
    assert _answer(features, []) == {"since": 7.0}


def test_active_but_not_adopting_feature_x() -> None:
    features = {
        "active": {"kind": "count", "of": ["used_core", "used_x"], "window": 3},
        "adoption": {"kind": "ratio", "of": ["used_x"], "over": ["used_*"], "window": 3},
    }
    core = [_on(f"2026-03-0{day} 10:00", type="product_used", topic="core") for day in (3, 4, 5)]
    x = _on("2026-03-05 11:00", type="product_used", topic="x")
    assert _answer(features, core) == {"active": 3.0, "adoption": 0.0}
    assert _answer(features, [*core, x]) == {"active": 4.0, "adoption": 0.25}
    assert _answer(features, []) == {"active": 0.0, "adoption": 0.0}


def test_a_streak_counts_the_sends_after_the_last_answer() -> None:
    features = {"unanswered": {"kind": "streak", "of": ["sent"], "until": ["clicked"], "window": 6}}
    sends = [_on(f"2026-03-0{day} 09:00", type="sent") for day in (1, 2, 4, 5)]
    click = _on("2026-03-02 08:00", type="click", topic="security")
    assert _answer(features, sends) == {"unanswered": 4.0}
    # the send of 2 March shares the click's bin, so it counts as answered
    assert _answer(features, [*sends, click]) == {"unanswered": 2.0}


def test_what_was_viewed_on_each_of_the_last_days() -> None:
    features = {"viewed": {"kind": "memory", "of": ["viewed"], "window": 3}}
    days = ("2026-03-05 09:00", "2026-03-03 10:00", "2026-03-03 11:00", "2026-03-02 10:00")
    events = [_on(day, **VIEW) for day in days]
    assert _answer(features, events) == {"viewed@1": 1.0, "viewed@2": 0.0, "viewed@3": 2.0}


def test_interest_that_halves_with_every_half_life() -> None:
    features = {"heat": {"kind": "decayed", "of": ["viewed"], "window": 4, "half_life": 2}}
    days = ("2026-03-05 09:00", "2026-03-05 10:00", "2026-03-03 10:00", "2026-03-01 10:00")
    # 1 + 1 on the last day, half of 1 two days before; 1 March lies before the window
    assert _answer(features, [_on(day, **VIEW) for day in days]) == {"heat": 2.5}
    (root,) = _answer(features, [_on("2026-03-04 10:00", **VIEW)]).values()
    assert root == np.float32(round(2**20 / np.sqrt(2)) / 2**20)  # on the grid of weights


def test_a_decayed_value_that_counts_nothing_is_no_negative_zero() -> None:
    features = {"worth": {"kind": "decayed", "of": ["*.value"], "window": 4, "half_life": 0.02}}
    (worth,) = _answer(features, [_on("2026-03-03 10:00", type="purchase", value=-5.0)]).values()
    assert (worth, np.signbit(worth)) == (0.0, False)


def test_a_trend_holds_the_last_days_against_those_before() -> None:
    features = {"rising": {"kind": "trend", "of": ["viewed"], "window": 2}}
    late = [_on(f"2026-03-0{day} 10:00", **VIEW) for day in (4, 5, 5)]
    early = [_on(f"2026-03-0{day} 10:00", **VIEW) for day in (2, 3, 3, 3)]
    assert _answer(features, late) == {"rising": 3.0}
    assert _answer(features, early) == {"rising": -4.0}
    assert _answer(features, [*late, *early, _on("2026-03-01 10:00", **VIEW)]) == {"rising": -1.0}


def test_how_many_topics_a_contact_looked_into() -> None:
    features = {
        "topics": {"kind": "distinct", "of": ["used_*", "clicked"], "by": "topic", "window": 4}
    }
    core, x = (_on("2026-03-04 10:00", type="product_used", topic=topic) for topic in ("core", "x"))
    old = _on("2026-03-01 10:00", type="click", topic="security")
    assert _answer(features, [core, core, old]) == {"topics": 1.0}
    assert _answer(features, [core, x, x, old], step=3) == {"topics": 3.0}
    assert _answer(features, []) == {"topics": 0.0}


def test_signals_of_one_topic_count_as_one_topic() -> None:
    data = shop_journey().resolved
    topics = {"kind": "distinct", "of": ["used_x", "read_x"], "by": "topic", "window": 2}
    read = {"read_x": {"type": "page_view", "topic": "x"}}
    signals = {k: v for k, v in data["signals"].items() if k != "viewed"}
    kpis = {
        **data["kpis"],
        "supporting": [{"name": "a", "of": ["warm"]}, {"name": "b", "of": "hot"}],
    }
    features = {"topics": topics}
    journey = parse_journey({**data, "signals": signals | read, "features": features, "kpis": kpis})
    assert journey.features[0].groups == (("x", ("used_x", "read_x")),)


def test_the_share_of_a_topic_is_shrunken_towards_an_even_one() -> None:
    features = {"topic": {"kind": "affinity", "of": ["used_*"], "by": "topic", "window": 4}}
    core, x = (_on("2026-03-04 10:00", type="product_used", topic=topic) for topic in ("core", "x"))
    assert _answer(features, []) == {"topic=x": 0.5, "topic=core": 0.5}
    # two events are added, spread evenly: (1 + 1) / (2 + 2), (3 + 1) / (4 + 2)
    assert _answer(features, [core, x]) == {"topic=x": 0.5, "topic=core": 0.5}
    found = _answer(features, [core, core, core, x])
    assert found == {"topic=x": np.float32(1 / 3), "topic=core": np.float32(2 / 3)}


def test_the_time_of_day_at_which_a_contact_looks() -> None:
    hour = {"kind": "affinity", "of": ["viewed"], "by": "slot", "window": 4, "prior": 1}
    journey = shop_journey(
        {"hour": hour}, {"period_hours": 24, "slots_hours": [0, 12], "periods": 5}
    )
    contacts = contacts_table([{"contact_id": "ann", "time_zone": "UTC"}])
    rows = [{"contact_id": "ann", **_on(f"2026-03-0{d} {h}:00", **VIEW)} for d, h in VIEWED]
    decided = at("2026-03-04 12:00")
    decisions = decisions_table(
        [{"contact_id": "ann", "anchor": ANCHOR, "step": 5, "decided_at": decided}]
    )
    found = decision_table(events_table(rows), contacts, decisions, journey)
    assert found.feature_columns == ("hour=0", "hour=1")
    # two mornings, one afternoon, and half an event more for each
    assert found.table["features"].to_pylist() == [[2.5 / 4, 1.5 / 4]]


VIEWED = ((1, 15), (2, 16), (3, 11), (4, 11), (4, 13))  # the first before, the last after


def test_the_stage_entered_last_is_current_and_the_later_stage_wins_a_tie() -> None:
    features = {"stage": {"kind": "stage"}}
    warm, hot = ({"type": "stage_changed", "stage": stage} for stage in ("warm", "hot"))
    neither = {"stage=warm": 0.0, "stage=hot": 0.0}
    assert _answer(features, []) == neither
    fell_back = [_on("2026-03-03 10:00", **hot), _on("2026-03-04 10:00", **warm)]
    assert _answer(features, fell_back) == neither | {"stage=warm": 1.0}
    same_day = [_on("2026-03-03 10:00", **hot), _on("2026-03-03 11:00", **warm)]
    assert _answer(features, same_day) == neither | {"stage=hot": 1.0}


def test_spending_is_summed_on_the_grid() -> None:
    features = {"spent": {"kind": "count", "of": ["bought.value"], "window": 4}}
    events = [_on("2026-03-05 10:00", type="purchase", value=value) for value in (0.1, 20.0)]
    assert _answer(features, events) == {"spent": 20.0 + 102 / 1024}


def test_calendar_and_attributes_describe_the_bin_and_the_contact() -> None:
    features = {
        "day": {"kind": "calendar", "part": "bin"},
        "weekday": {"kind": "calendar", "part": "weekday"},
        "size": {"kind": "attribute", "default": 3.0},
        "plan": {"kind": "attribute", "levels": ["free", "team"]},
    }
    found = _answer(features, [], attributes='{"plan": "team"}')
    assert [name for name, value in found.items() if value == 1.0] == ["weekday=fri", "plan=team"]
    assert (found["day"], found["size"]) == (4.0, 3.0)


def test_bins_follow_the_wall_clock_when_the_clocks_change() -> None:
    journey = shop_journey({"views": {"kind": "count", "of": ["viewed"], "window": 1}})
    berlin = "Europe/Berlin"  # clocks go forward on 29 March 2026 at 02:00
    contacts = contacts_table([{"contact_id": "ann", "time_zone": berlin}])
    # 30 March 00:30 is 47.5 hours after the anchor, yet two wall-clock days
    events = events_table(
        [{"contact_id": "ann", "occurred_at": at("2026-03-30 00:30", berlin), **VIEW}]
    )
    decisions = decisions_table(
        [
            {
                "contact_id": "ann",
                "anchor": datetime(2026, 3, 28),
                "step": step,
                "decided_at": at(f"2026-03-{28 + step} 00:15", berlin),
            }
            for step in (2, 3)
        ]
    )
    table = decision_table(events, contacts, decisions, journey).table
    assert table["features"].to_pylist() == [[0.0], [1.0]]
    assert [sum(row) for row in table["outcomes"].to_pylist()] == [1.0, 0.0]


@pytest.mark.parametrize("recorded, expected", [("2026-03-06 00:00", 1.0), ("2026-03-06 00:01", 0)])
def test_an_event_recorded_after_the_decision_does_not_count(
    recorded: str, expected: float
) -> None:
    features = {"views": {"kind": "count", "of": ["viewed"], "window": 7}}
    late = _on("2026-03-04 10:00", recorded_at=at(recorded), **VIEW)
    assert _answer(features, [late]) == {"views": expected}


def test_every_feature_of_the_shipped_journey_is_computed() -> None:
    journey = load_journey("inbound_lead")
    decisions = decisions_table(
        [{"contact_id": "ann", "anchor": ANCHOR, "step": 0, "decided_at": at("2026-03-02 09:00")}]
    )
    found = decision_table(events_table([]), contacts_table([]), decisions, journey)
    vector = np.array(found.table["features"].to_pylist()[0])
    named = dict(zip(found.feature_columns, vector, strict=True))
    nonzero = {name: float(value) for name, value in named.items() if value != 0.0}
    assert nonzero == {
        "weekday=mon": 1.0,
        "company_size": 4.0,
        "days_since_send": 14.0,
        "days_since_click": 14.0,
        "days_since_view": 14.0,
        "days_since_escalation": 14.0,
    }
