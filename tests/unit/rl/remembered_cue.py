"""A journey whose last decision needs what was seen two days earlier, and is seen no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nurture_envs.features import History
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays

SEND, WAIT = 0, 1
WINDOW = 3  # bins remembered
PRICE = 10.0
# In the last of three bins a send sells to who clicked in the first, which half of all do by
# themselves, and costs as much with the others, who otherwise come round. Nobody else is affected.
BEST = PRICE  # with memory
BLIND = PRICE / 2  # without: whatever is done, half of all contacts are met rightly


def cue_journey(memory: bool) -> Journey:
    """Send or wait for three days; a context tells the day, and with memory each day's clicks."""
    features: dict[str, Any] = {"bin": {"kind": "calendar", "part": "bin"}}
    # Without memory what is known is the last day's click.
    window = WINDOW if memory else 1
    features["clicked"] = {"kind": "memory", "of": ["clicked"], "window": window}
    return parse_journey(
        {
            "journey": "remembered_cue",
            "title": "A cue on the first day",
            "provenance": "SYNTHETIC: made for tests",
            "clock": {"period_hours": 24, "slots_hours": [0], "periods": 3},
            "signals": {
                "sent": {"type": "sent", "by_action": True},
                "clicked": {"type": "click"},
                "bought": {"type": "purchase"},
            },
            "messages": {
                "hello": {"job": "activate", "approval": "approved", "expires": "2028-12-31"}
            },
            "actions": {"slots": ["now"], "pauses": [1]},
            "features": features,
            "reward": {"unit": "EUR", "weights": {"bought": PRICE}},
            "kpis": {
                "north_star": {"name": "purchases", "of": ["bought"]},
                "supporting": [
                    {"name": "clicks", "of": ["clicked"]},
                    {"name": "sends", "of": ["sent"], "better": "lower"},
                ],
            },
        }
    )


@dataclass(frozen=True)
class CueWorld:
    """Who clicks on the first day is drawn from the key, and is what a contact hides."""

    journey: Journey

    @property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey)

    def start(self, keys: Tensor) -> Start:
        """Contacts without a past; which kind each is stays hidden."""
        yes = torch.ones(len(keys), dtype=torch.bool)
        kind = uniforms(keys, torch.zeros_like(keys), 0, 1)[0] < 0.5
        return Start(
            attributes=torch.zeros((0, len(keys))),
            past=History.of_bin(torch.zeros((len(self.journey.channels), len(keys)))),
            anchor_us=torch.zeros(len(keys), dtype=torch.int64),
            zone_known=yes,
            consent=yes,
            available=yes,
            latent={"kind": kind.to(torch.float32)},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        kind = view.latent["kind"] > 0
        right = (view.action == SEND) == kind
        amounts = torch.zeros((len(self.journey.channels), len(keys)))
        amounts[1] = ((view.bins == 0) & kind).to(amounts.dtype)
        amounts[2] = ((view.bins == 2) & right).to(amounts.dtype)
        return Outcome(amounts, torch.ones_like(kind), view.latent)


def cue_simulation(memory: bool) -> Simulation:
    """The journey, to be played."""
    return Simulation(CueWorld(cue_journey(memory)))
