"""A journey of two bins whose best value is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nurture_envs.features import History
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import uniforms
from nurture_envs.worlds.world import Outcome, Start, View, declared_delays

SEND, WAIT, EXIT = range(3)

CLICK = 0.6  # chance of a click after a send in bin 0
BUY_WARM, BUY_COLD, BUY_WAITING = 0.5, 0.05, 0.02  # in bin 1: sent after a click, sent, not sent
PRICE, SEND_COST = 10.0, 0.5

# Bin 1: after a click send for 0.5 * 10 - 0.5 = 4.5, else wait for 0.02 * 10 = 0.2.
# Bin 0: send for -0.5 + 0.6 * 4.5 + 0.4 * 0.2 = 2.28, although it earns nothing by itself.
BEST = -SEND_COST + CLICK * (BUY_WARM * PRICE - SEND_COST) + (1 - CLICK) * BUY_WAITING * PRICE
MYOPIC = BUY_WAITING * PRICE  # who weighs each bin alone waits twice


def two_step_shop(periods: int = 2) -> Journey:
    """Send, wait or exit, once a day."""
    return parse_journey(
        {
            "journey": "two_step_shop",
            "title": "A shop with two days",
            "provenance": "SYNTHETIC: made for tests",
            "clock": {"period_hours": 24, "slots_hours": [0], "periods": periods},
            "signals": {
                "sent": {"type": "sent", "by_action": True},
                "clicked": {"type": "click"},
                "bought": {"type": "purchase"},
            },
            "terminals": ["bought"],
            "messages": {
                "hello": {"job": "activate", "approval": "approved", "expires": "2028-12-31"}
            },
            "actions": {"slots": ["now"], "pauses": [1], "exit": True},
            "features": {
                "bin": {"kind": "calendar", "part": "bin"},
                "clicked": {"kind": "ever", "of": ["clicked"]},
            },
            "reward": {"unit": "EUR", "weights": {"bought": PRICE}, "send_cost": SEND_COST},
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
class TwoStepWorld:
    """Clicks open the door in the first bin; purchases come in the last one."""

    journey: Journey

    @property
    def delays(self) -> Tensor:
        """As the journey declares."""
        return declared_delays(self.journey)

    def start(self, keys: Tensor) -> Start:
        """Contacts without a past."""
        yes = torch.ones(len(keys), dtype=torch.bool)
        return Start(
            attributes=torch.zeros((0, len(keys))),
            past=History.of_bin(torch.zeros((len(self.journey.channels), len(keys)))),
            anchor_us=torch.zeros(len(keys), dtype=torch.int64),
            zone_known=yes,
            consent=yes,
            available=yes,
            latent={},
        )

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """Play one bin."""
        u = uniforms(keys, view.bins, 0, 1)[0]
        sent, warm = view.action == SEND, view.features[1] > 0
        last = view.bins == self.journey.clock.horizon - 1
        buy = torch.where(sent, torch.where(warm, BUY_WARM, BUY_COLD), BUY_WAITING)
        amounts = torch.zeros((len(self.journey.channels), len(keys)))
        amounts[1] = (sent & ~last & (u < CLICK)).to(amounts.dtype)
        amounts[2] = (last & (view.action != EXIT) & (u < buy)).to(amounts.dtype)
        return Outcome(amounts, torch.ones_like(sent), {})


def shop_simulation(periods: int = 2) -> Simulation:
    """The shop, to be played."""
    return Simulation(TwoStepWorld(two_step_shop(periods)))


def silent(iteration: int, metrics: dict[str, float]) -> None:
    """A progress callback that says nothing."""
