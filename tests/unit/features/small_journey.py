"""A small shop journey with every kind of feature, a value and a late signal."""

from __future__ import annotations

from typing import Any

from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey

DAY_CLOCK = {"period_hours": 24, "slots_hours": [0], "periods": 5}

_SIGNALS = {
    "sent": {"type": "sent", "by_action": True},
    "viewed": {"type": "page_view", "page_category": "pricing"},
    "clicked": {"type": "click", "topic": "security", "is_machine": False},
    "objected": {"type": "reply", "reply_class": "objection"},
    "used_x": {"type": "product_used", "topic": "x"},
    "used_core": {"type": "product_used", "topic": "core"},
    "bought": {"type": "purchase", "valued": True},
    "left": {"type": "unsubscribe"},
    "warm": {"type": "stage_changed", "stage": "warm", "delay_bins": 1},
    "hot": {"type": "stage_changed", "stage": "hot", "delay_bins": 2},
}

FEATURES: dict[str, Any] = {
    "bin": {"kind": "calendar", "part": "bin"},
    "weekday": {"kind": "calendar", "part": "weekday"},
    "slot": {"kind": "calendar", "part": "slot"},
    "stage": {"kind": "stage"},
    "size": {"kind": "attribute", "default": 3.0},
    "plan": {"kind": "attribute", "levels": ["free", "team"]},
    "views_3": {"kind": "count", "of": ["viewed"], "window": 3},
    "spent_4": {"kind": "count", "of": ["bought.value"], "window": 4},
    "basket_4": {"kind": "ratio", "of": ["bought.value"], "over": ["bought"], "window": 4},
    "rate_6": {"kind": "ratio", "of": ["clicked", "viewed"], "over": ["sent"], "window": 6},
    "since_touch": {"kind": "recency", "of": ["clicked", "viewed"], "window": 5},
    "unanswered": {"kind": "streak", "of": ["sent"], "until": ["clicked", "objected"], "window": 3},
    "ever_objected": {"kind": "ever", "of": ["objected"]},
    "touched": {"kind": "memory", "of": ["clicked", "viewed"], "window": 4},
    "spent": {"kind": "memory", "of": ["bought.value"], "window": 3},
    "warmth": {"kind": "decayed", "of": ["clicked", "viewed"], "window": 6, "half_life": 1.5},
    "worth": {"kind": "decayed", "of": ["bought", "*.value"], "window": 4, "half_life": 1.3},
    "rising": {"kind": "trend", "of": ["clicked", "viewed", "bought.value"], "window": 3},
    "uses": {"kind": "distinct", "of": ["used_*", "clicked"], "by": "topic", "window": 4},
    "topic": {"kind": "affinity", "of": ["used_*", "clicked"], "by": "topic", "window": 5},
}
SLOT_FEATURES = FEATURES | {
    "hour": {"kind": "affinity", "of": ["viewed", "clicked"], "by": "slot", "window": 8, "prior": 3}
}


def shop_journey(
    features: dict[str, Any] | None = None, clock: dict[str, Any] | None = None
) -> Journey:
    """The journey; other features or another clock where a test needs them."""
    return parse_journey(
        {
            "journey": "shop",
            "title": "A small shop",
            "provenance": "SYNTHETIC: made for tests",
            "clock": clock or DAY_CLOCK,
            "signals": _SIGNALS,
            "stages": {"warm": "warm", "hot": "hot"},
            "terminals": ["left"],
            "messages": {
                "hello": {"job": "activate", "approval": "approved", "expires": "2028-12-31"}
            },
            "actions": {"slots": ["now"], "pauses": [1], "escalate": True, "exit": True},
            "features": features or FEATURES,
            "reward": {
                "unit": "EUR",
                "weights": {"bought.value": 1, "hot": 10, "left": -4},
                "send_cost": 0.5,
                "escalate_cost": 2,
            },
            "kpis": {
                "north_star": {"name": "purchases", "of": ["bought"]},
                "supporting": [
                    {"name": "views", "of": ["viewed"]},
                    {"name": "leavers", "of": ["left"], "better": "lower"},
                ],
            },
        }
    )
