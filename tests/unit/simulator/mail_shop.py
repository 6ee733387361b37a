"""A journey of four messages at four hours, and a log in which topic and hour matter."""

from __future__ import annotations

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_envs.journey_file import parse_journey
from nurture_rl.simulator.data import WorldData
from tests.unit.simulator.lamp_shop import bare, starts

HOURS = (0, 6, 12, 18)


def mail_shop(new: str | None = None) -> Journey:
    """Two messages on lamps and two on shades, and, if asked for, a new one on some topic."""
    topics = {"lamps_a": "lamps", "lamps_b": "lamps", "shades_a": "shades", "shades_b": "shades"}
    topics |= {} if new is None else {"new": new}
    return parse_journey(
        {
            "journey": "mail_shop",
            "title": "A shop that mails",
            "provenance": "SYNTHETIC: made for tests",
            "clock": {"period_hours": 24, "slots_hours": [0], "periods": 6},
            "signals": {
                "sent": {"type": "sent", "by_action": True},
                "clicked": {"type": "click"},
                "opened": {"type": "open"},
                "bought": {"type": "purchase", "valued": True},
                "left": {"type": "unsubscribe"},
            },
            "terminals": ["left"],
            "messages": {
                name: {"job": "activate", "topic": topic, "approval": "approved"}
                for name, topic in topics.items()
            },
            "actions": {"slots": list(HOURS), "pauses": [1]},
            "features": {
                "bin": {"kind": "calendar", "part": "bin"},
                "day": {"kind": "calendar", "part": "weekday"},
                "sends": {"kind": "count", "of": ["sent"], "window": 2},
            },
            "reward": {"unit": "EUR", "weights": {"bought.value": 1}, "send_cost": 0.5},
            "guardrails": {},
            "kpis": {
                "north_star": {"name": "purchases", "of": ["bought"]},
                "supporting": [
                    {"name": "clicks", "of": ["clicked"]},
                    {"name": "leavers", "of": ["left"], "better": "lower"},
                ],
            },
        }
    )


def open_chance(lamps: bool, hour: float) -> float:
    """Chance that a message is opened: better on lamps, best at noon."""
    logit = -1.0 + 1.0 * lamps - 0.8 * np.cos(2 * np.pi * hour / 24)
    return float(1 / (1 + np.exp(-logit)))


def mail_log(n_contacts: int, seed: int) -> WorldData:
    """Logged bins: clicks need an open, and half of those who click buy for 10 EUR."""
    rng, journey = np.random.default_rng(seed), mail_shop()
    catalog = ActionCatalog.of(journey)
    n = n_contacts * 6
    step = np.tile(np.arange(6), n_contacts)
    action = rng.integers(0, len(catalog), n)
    day = (step + np.repeat(rng.integers(0, 7, n_contacts), 6)) % 7
    chance = np.array(
        [open_chance(a.message.topic == "lamps", a.slot) if a.message else 0.0
         for a in catalog.actions]
    )  # fmt: skip
    opened = rng.random(n) < chance[action]
    clicked = opened & (rng.random(n) < 0.4)
    bought = rng.random(n) < np.where(clicked, 0.5, 0.05)
    amounts = {
        "sent": catalog.routed("send")[action],
        "clicked": clicked,
        "opened": opened,
        "bought": bought,
        "left": rng.random(n) < 0.02,
        "bought.value": 10.0 * bought,
    }
    contact = np.repeat(np.arange(n_contacts), 6)
    return WorldData(
        **bare(contact, step, len(catalog)),
        features=np.concatenate(
            [step[:, None], np.eye(7)[day], rng.integers(0, 3, (n, 1))], axis=1
        ).astype(np.float32),
        action=action,
        amounts=np.stack([amounts[c] for c in journey.channels], axis=1).astype(np.float64),
        available=np.ones(n, bool),
        starts=starts(journey),
    )
