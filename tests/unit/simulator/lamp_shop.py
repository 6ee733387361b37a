"""A small journey with planted answers, and logs of it, for tests of learned worlds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.common.played import LONG_AGO
from nurture_envs.clock import DAY_US
from nurture_envs.features import NEVER, FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_envs.worlds.learned import StartTable
from nurture_rl.simulator.data import WorldData
from nurture_rl.simulator.fit import FittedWorld, WorldConfig, fit_world
from nurture_rl.simulator.network_training import TrainingConfig

SEND, WAIT, ESCALATE, EXIT = range(4)


def lamp_shop(periods: int = 3, availability: bool = False) -> Journey:
    """One message, four actions; bins of half a day."""
    return parse_journey(
        {
            "journey": "lamp_shop",
            "title": "A shop for lamps",
            "provenance": "SYNTHETIC: made for tests",
            "clock": {"period_hours": 24, "slots_hours": [0, 12], "periods": periods},
            "signals": {
                "sent": {"type": "sent", "by_action": True},
                "delivered": {"type": "delivered"},
                "clicked": {"type": "click"},
                "viewed": {"type": "page_view"},
                "bought": {"type": "purchase", "valued": True},
                "left": {"type": "unsubscribe"},
                "answered": {"type": "reply"},
            },
            "terminals": ["left"],
            "messages": {"hello": {"job": "activate", "approval": "approved"}},
            "actions": {"slots": ["now"], "pauses": [1], "escalate": True, "exit": True},
            "features": {
                "bin": {"kind": "calendar", "part": "bin"},
                "size": {"kind": "attribute"},
                "sends": {"kind": "count", "of": ["sent"], "window": 2},
            },
            "reward": {"unit": "EUR", "weights": {"bought.value": 1}, "send_cost": 0.5},
            "guardrails": {"availability": availability},
            "kpis": {
                "north_star": {"name": "purchases", "of": ["bought"]},
                "supporting": [
                    {"name": "views", "of": ["viewed"]},
                    {"name": "leavers", "of": ["left"], "better": "lower"},
                ],
            },
        }
    )


def starts(journey: Journey, n: int = 5) -> StartTable:
    """n contacts of sizes 0, 1, 2, ... without a past."""
    spec = FeatureSpec.of(journey)
    yes = torch.ones(n, dtype=torch.bool)
    return StartTable(
        attributes=torch.arange(n, dtype=torch.float32)[:, None],
        ring=torch.zeros((n, spec.window, len(spec.channels))),
        last=torch.full((n, len(spec.channels)), NEVER, dtype=torch.int32),
        anchor_us=torch.arange(n) * DAY_US,
        zone_known=yes,
        consent=yes,
        available=yes,
    )


def click_chance(size: NDArray[np.float32]) -> NDArray[np.float64]:
    """Chance of a click in the bin of a send."""
    return np.asarray(1.0 / (1.0 + np.exp(1.5 - 1.2 * size.astype(np.float64))))


def bare(contact: NDArray[Any], step: NDArray[Any], actions: int) -> dict[str, Any]:
    """Columns of a log that was read long after, and says of its policy and its events no more."""
    n = len(contact)
    yes = np.ones(n, bool)
    return {
        **dict.fromkeys(("contact", "cluster", "episode"), contact),
        **dict.fromkeys(("matured", "complete"), yes),
        "step": step,
        "terminal": np.append(contact[1:] != contact[:-1], True),
        "held_out": ~yes,
        "reward": np.zeros(n),
        "mask": np.ones((n, actions), bool),
        "propensity": np.full(n, np.nan),
        "probabilities": np.zeros((n, actions)),
        "age": np.full(n, LONG_AGO),
        "event_delay": None,
        "when": np.zeros(n, np.int64),
    }


def lamp_log(n_contacts: int, seed: int, rows_each: int = 6) -> WorldData:
    """Logged bins: clicks need a send and grow with size, a send doubles the chance to buy."""
    rng, journey = np.random.default_rng(seed), lamp_shop()
    n = n_contacts * rows_each
    step = np.tile(np.arange(rows_each), n_contacts)
    size = np.repeat(rng.normal(size=n_contacts), rows_each).astype(np.float32)
    features = np.stack([step, size, rng.integers(0, 3, n)], axis=1).astype(np.float32)
    action = rng.choice(4, n, p=[0.4, 0.5, 0.05, 0.05])
    sent = action == SEND
    bought = rng.random(n) < np.where(sent, 0.2, 0.1)
    amounts = {
        "sent": sent,
        "delivered": sent & (rng.random(n) < 0.95),
        "clicked": sent & (rng.random(n) < click_chance(size)),
        "viewed": (rng.random(n) < 0.3) * rng.geometric(0.5, n),
        "bought": bought,
        "left": rng.random(n) < 0.02,
        "answered": np.arange(n) < 3,
        "bought.value": bought * (20.0 + 5.0 * size + rng.normal(size=n)),
    }
    contact = np.repeat(np.arange(n_contacts), rows_each)
    return WorldData(
        **bare(contact, step, 4),
        features=features,
        action=action,
        amounts=np.stack([amounts[c] for c in journey.channels], axis=1).astype(np.float64),
        available=rng.random(n) < np.where(step % 2 == 0, 0.9, 0.4),
        starts=starts(journey),
    )


def silent(epoch: int, loss: float) -> None:
    """A progress callback that says nothing."""


QUICK = WorldConfig(members=2, hidden=(8,), rank=2, training=TrainingConfig(epochs=2))


@lru_cache(maxsize=1)
def fitted_lamps() -> FittedWorld:
    """A world fitted to 3,000 contacts, once for all tests."""
    return fit_world(lamp_log(3000, seed=0), lamp_shop(), WorldConfig(), 0, silent)
