"""A journey small enough to work out by hand: one mail a day, two topics, a late signal."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey

TOY: dict[str, Any] = {
    "journey": "toy",
    "title": "A toy",
    "provenance": "SYNTHETIC: made for tests",
    "clock": {"period_hours": 24, "slots_hours": [0], "periods": 4},
    "signals": {
        "sent_red": {"type": "sent", "topic": "red", "by_action": True},
        "sent_blue": {"type": "sent", "topic": "blue", "by_action": True},
        "clicked": {"type": "click", "is_machine": False},
        "bought": {"type": "purchase", "valued": True},
        "called": {"type": "escalated", "by_action": True},
        "left": {"type": "unsubscribe"},
        "bounced": {"type": "hard_bounce"},
        "warm": {"type": "stage_changed", "stage": "warm", "delay_bins": 1},
        "hot": {"type": "stage_changed", "stage": "hot", "delay_bins": 2},
    },
    "stages": {"warm": "warm", "hot": "hot"},
    "terminals": ["left", "bounced"],
    "messages": {
        "red": {"job": "activate", "topic": "red", "approval": "approved", "expires": "2026-04-10"},
        "blue": {"job": "qualify", "topic": "blue", "approval": "approved"},
    },
    "actions": {"slots": [9, "now"], "pauses": [1, 3], "escalate": True, "exit": True},
    "features": {
        "bin": {"kind": "calendar", "part": "bin"},
        "weekday": {"kind": "calendar", "part": "weekday"},
        "slot": {"kind": "calendar", "part": "slot"},
        "stage": {"kind": "stage"},
        "size": {"kind": "attribute", "default": 3.5},
        "plan": {"kind": "attribute", "attribute": "tariff", "levels": ["free", "team"]},
        "sends_2": {"kind": "count", "of": ["sent_*"], "window": 2},
        "spent_3": {"kind": "count", "of": ["bought.value"], "window": 3},
        "click_rate": {"kind": "ratio", "of": ["clicked"], "over": ["sent_*"], "window": 3},
        "since_click": {"kind": "recency", "of": ["clicked"], "window": 3},
        "unanswered": {"kind": "streak", "of": ["sent_*"], "until": ["clicked"], "window": 3},
        "ever_bought": {"kind": "ever", "of": ["bought"]},
        "sent": {"kind": "memory", "of": ["sent_*"], "window": 3},
        "spent": {"kind": "memory", "of": ["bought.value"], "window": 2},
    },
    "reward": {
        "unit": "EUR",
        "weights": {"bought.value": 1.0, "bought": 0.25, "left": -4.0, "hot": 10.0},
        "send_cost": 0.5,
        "escalate_cost": 2.0,
        "discount": 0.5,
    },
    "guardrails": {
        "require_consent": True,
        "frequency_caps": [{"max": 2, "hours": 72}],
        "min_gap_hours": 24,
        "quiet_hours": [20, 8],
        "unknown_zone_slack": [-2, 3],
        "conversation": {"called": 1},
        "opt_out": ["left"],
        "hard_bounce": ["bounced"],
        "escalation_needs": ["clicked"],
        "availability": True,
    },
    "kpis": {
        "north_star": {"name": "purchases", "of": ["bought"]},
        "supporting": [
            {"name": "clicks", "of": ["clicked"]},
            {"name": "leavers", "of": ["left"], "better": "lower"},
        ],
    },
    "drip": {0: "send:red@09"},
    "rules": [{"when": {"sends_2": ">= 1"}, "do": "pause:3"}],
}


def toy_data(**changes: Any) -> dict[str, Any]:
    """The toy as plain data; a change named `a__b` replaces the value at a.b."""
    data = deepcopy(TOY)
    for name, value in changes.items():
        *path, last = name.split("__")
        place = data
        for part in path:
            place = place[part]
        place[last] = value
    return data


def toy(**changes: Any) -> Journey:
    """The toy journey, changed as `toy_data` does."""
    return parse_journey(toy_data(**changes))
