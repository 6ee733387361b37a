"""The toy journey with everything an offer, a channel and a cadence can ask for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from nurture_envs.journey import Journey
from tests.unit.envs.toy_journey import TOY, toy

MESSAGES: dict[str, Any] = {
    "red": {"job": "activate", "topic": "red", "approval": "approved", "expires": "2026-04-10"},
    "blue": {"job": "qualify", "topic": "blue", "approval": "approved"},
    "coupon": {
        "job": "re_engage",
        "topic": "blue",
        "offer": "discount",
        "call_to_action": "buy",
        "channel": "push",
        "approval": "approved",
    },
    "gift_card": {
        "job": "re_engage",
        "topic": "red",
        "offer": "gift",
        "call_to_action": "buy",
        "approval": "approved",
        "expires": "2026-04-12",
    },
    "nudge": {"job": "activate", "topic": "red", "channel": "push", "approval": "approved"},
    "voucher": {"job": "activate", "topic": "blue", "offer": "trial", "approval": "approved"},
}
OFFERS: dict[str, Any] = {
    "discount": {"cost": 3.5, "expires": "2026-04-09", "eligible": {"sends_2": "< 2"}},
    "gift": {
        "cost": 1.0,
        "eligible": {"size": ">= 2.1", "since_click": "!= 1", "weekday=sun": "< 1"},
        "inventory": 3,
    },
    "trial": {"inventory": 2},
}
CAPS: list[dict[str, Any]] = [
    {"max": 3, "hours": 96},
    {"max": 1, "hours": 60, "channel": "push"},
    {"max": 2, "hours": 96, "channel": "email"},
    {"max": 1, "hours": 70, "topic": "blue"},
]


def spring(**changes: Any) -> Journey:
    """The journey; changes as of `toy`."""
    given: dict[str, Any] = {
        "messages": MESSAGES,
        "offers": OFFERS,
        "signals": {**TOY["signals"], "slowed": {"type": "slowed", "by_action": True}},
        "features": {
            **TOY["features"],
            "since_slowed": {"kind": "recency", "of": ["slowed"], "window": 8},
        },
        "actions": {**TOY["actions"], "slow": {"gap_hours": 50, "bins": 4}},
        "clock": {"period_hours": 24, "slots_hours": [0], "periods": 12},
        "guardrails": {
            **TOY["guardrails"],
            "frequency_caps": CAPS,
            "min_gap_hours": 20,
            "repeat_hours": 60,
            "blackout": ["2026-04-12", {"from": "2026-04-14", "to": "2026-04-15"}],
            "conversation": {**TOY["guardrails"]["conversation"], "met": 2},
            "events": {
                "met": {"type": "meeting_held"},
                "cooled": {"type": "stage_changed", "stage": "cold"},
            },
            "conversation_until": {
                "warm": ["hot", "clicked", "cooled"],
                "bought": {"until": "clicked", "bins": 4},
            },
        },
    }
    return toy(**{**deepcopy(given), **changes})
