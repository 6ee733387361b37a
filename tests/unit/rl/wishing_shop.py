"""A journey of eight days in which the best rules are known: mail the wish, call on day 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nurture_envs.features import FeatureSpec, History
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays

RED, BLUE, _, CALL = range(4)  # the actions, in catalogue order
CHANCE, PRICE, SEND_COST = 0.5, 10.0, 0.5
MEETING, CALL_COST, CALL_DAY = 30.0, 2.0, 3

# Seven mails on the wish, 0.5 * 10 - 0.5 each, and one call on day 3 in the place of the eighth.
BEST = 7 * (CHANCE * PRICE - SEND_COST) + MEETING - CALL_COST


def wishing_shop(**changes: Any) -> Journey:
    """Two mails, and contacts who said which one they want."""
    message = {"job": "activate", "approval": "approved"}
    data: dict[str, Any] = {
        "journey": "wishing_shop",
        "title": "A shop that is told the wish",
        "provenance": "SYNTHETIC: made for tests",
        "clock": {"period_hours": 24, "slots_hours": [0], "periods": 8},
        "signals": {
            "sent": {"type": "sent", "by_action": True},
            "called": {"type": "escalated", "by_action": True},
            "bought": {"type": "purchase"},
            "met": {"type": "meeting_booked"},
        },
        "messages": {"red": {**message, "topic": "red"}, "blue": {**message, "topic": "blue"}},
        "actions": {"slots": ["now"], "pauses": [1], "escalate": True},
        "features": {
            "day": {"kind": "calendar", "part": "bin"},
            "wish": {"kind": "attribute", "levels": ["red", "blue"]},
            "was_called": {"kind": "ever", "of": ["called"]},
        },
        "reward": {
            "unit": "EUR",
            "weights": {"bought": PRICE, "met": MEETING},
            "send_cost": SEND_COST,
            "escalate_cost": CALL_COST,
        },
        "kpis": {
            "north_star": {"name": "purchases", "of": ["bought"]},
            "supporting": [
                {"name": "meetings", "of": ["met"]},
                {"name": "sends", "of": ["sent"], "better": "lower"},
            ],
        },
        "drip": {0: "send:red@now"},
    }
    return parse_journey({**data, **changes})


@dataclass(frozen=True)
class WishingWorld:
    """Who is mailed what they wish buys half the time; who is called on the right day meets."""

    journey: Journey

    @property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey)

    def start(self, keys: Tensor) -> Start:
        """Contacts without a past; the wish follows from the key."""
        spec, yes = FeatureSpec.of(self.journey), torch.ones(len(keys), dtype=torch.bool)
        wishes = [{"wish": "red" if key % 2 else "blue"} for key in keys.tolist()]
        return Start(
            attributes=torch.as_tensor(spec.encode_attributes(wishes)).T,
            past=History.of_bin(torch.zeros((len(spec.channels), len(keys)))),
            anchor_us=torch.zeros(len(keys), dtype=torch.int64),
            zone_known=yes,
            consent=yes,
            available=yes,
            latent={},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        wanted = torch.where(keys % 2 == 1, RED, BLUE)
        u = uniforms(keys, view.bins, 0, 1)[0]
        called = view.action == CALL
        amounts = torch.zeros((len(self.journey.channels), len(keys)))
        bought, met = map(self.journey.channel_index, ("bought", "met"))
        amounts[bought] = ((view.action == wanted) & (u < CHANCE)).to(amounts.dtype)
        amounts[met] = (called & (view.bins == CALL_DAY)).to(amounts.dtype)
        return Outcome(amounts, torch.ones_like(called), {})
