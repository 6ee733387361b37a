"""What decisions know of each source of events, and whether the sources know the same people."""

from __future__ import annotations

from datetime import timedelta

from nurture_rl.appraisal.health.source_reach import apart, source_reach
from tests.unit.features.small_journey import shop_journey
from tests.unit.features.small_log import at, decisions_table, events_table

MONDAY = at("2026-05-04 00:00")


def day(number: float) -> object:
    return MONDAY + timedelta(days=number)


def test_a_decision_knows_what_happened_and_was_recorded_before_it() -> None:
    events = events_table(
        [
            {"contact_id": "ada", "occurred_at": day(0.5), "type": "click"},
            {"contact_id": "ada", "occurred_at": day(0.2), "type": "page_view"}
            | {"recorded_at": day(1.5)},
            {"contact_id": "bob", "occurred_at": day(3.0), "type": "product_used"},
        ]
    )
    decided = [
        {"contact_id": who, "anchor": MONDAY.replace(tzinfo=None), "step": step}
        | {"decided_at": day(step)}
        for who in ("ada", "bob")
        for step in range(4)
    ]
    found = {
        one.source: one for one in source_reach(events, decisions_table(decided), shop_journey())
    }
    assert {name: one.decisions for name, one in found.items()} == {
        "mail": 3 / 8,
        "web": 2 / 8,
        "product": 0.0,
        "CRM": 0.0,
    }
    assert {name: (one.contacts, one.alone) for name, one in found.items()} == {
        "mail": (1, 0),
        "web": (1, 0),
        "product": (1, 1),
        "CRM": (0, 0),
    }
    assert {name: one.signals for name, one in found.items()} == {
        "mail": 2,
        "web": 1,
        "product": 2,
        "CRM": 2,
    }
    (without, *_) = source_reach(events, decisions_table([]), shop_journey())
    assert without.decisions is None


def kinds(joined: int, of: int, web: bool = True) -> list[str]:
    mails = [{"contact_id": f"p{n}", "occurred_at": day(0), "type": "open"} for n in range(of)]
    pages = [
        {
            "contact_id": f"p{n}" if n < joined else f"cookie-{n}",
            "occurred_at": day(1),
            "type": "page_view",
        }
        for n in range(of if web else 0)
    ]
    reach = source_reach(events_table(mails + pages), decisions_table([]), shop_journey())
    return [one.says for one in apart(reach)]


def test_sources_whose_people_nobody_else_knows_are_a_finding() -> None:
    (told,) = kinds(10, 60)  # who gets mails and never comes is no sign of it
    assert told.startswith("50 of 60 (83.3 %) contacts with web events")
    assert kinds(40, 60) == []
    assert kinds(0, 40) == []
    assert kinds(0, 60, web=False) == []
