"""What is served: shipped journeys with an experiment, under limits that their worlds know too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey, parse_journey
from nurture_rl.release.bundle import Bundle, BundleContent, write_bundle
from nurture_rl.release.card import PolicyCard
from nurture_rl.release.parity import normal_states


@dataclass(frozen=True, slots=True)
class World:
    """A shipped journey and how much of it is played."""

    contacts: int  # who come, as planned; with 1,200 the report adjusts, with 600 it does not
    window: int  # days until the last outcome of a contact counts: the whole journey
    stage: str  # signal that is timed


DAYS = 84  # twelve weeks in which contacts come
FIRST_DAY = 20_549  # since 1970: Monday 2026-04-06; no clocks change until October
SHARES = {"policy": 0.4, "usual": 0.4, "holdout": 0.2}
WORLDS = {
    "inbound_lead": World(contacts=1_200, window=14, stage="became_mql"),
    "trial_onboarding": World(contacts=600, window=21, stage="first_report"),
}
# The journey's expert, with a fifth left to chance among what the guardrails allow.
POLICY: dict[str, Any] = {
    "kind": "mixture",
    "policy": {"kind": "expert"},
    "other": {"kind": "random"},
    "share": 0.8,
}
_CARD = PolicyCard("The expert, a fifth at random", "SYNTHETIC", "", None, None, (), ())
_CREATED = datetime(2026, 4, 1, tzinfo=UTC)


def served_journey(name: str) -> Journey:
    """A shipped journey with the experiment, without limits that contacts share.

    The truth of an arm is what everybody would do in it. Where accounts or domain families share
    a limit, that depends on who is in the other arms; and of limits for servers alone a simulation
    knows nothing. Consent, caps, gap, quiet hours, conversations, opt-outs stay.

    Args:
        name: one of WORLDS.
    """
    world = WORLDS[name]
    shipped = load_journey(name).resolved
    rails = {k: v for k, v in shipped["guardrails"].items() if k not in ("account", "volume")}
    experiment = {
        "name": "weeks",
        "usual": "drip",
        "shares": SHARES,
        "units": world.contacts,
        "window_days": world.window,
        "velocity": {"signal": world.stage, "days": world.window},
    }
    own = {"guardrails": {**rails, "served": None}, "experiment": experiment}
    return parse_journey({**shipped, **own})


def write_served(folder: Path, journey: Journey, policy: dict[str, Any] = POLICY) -> Bundle:
    """Write the bundle that servers start with."""
    catalog, d = ActionCatalog.of(journey), len(FeatureSpec.of(journey).columns)
    rng = np.random.default_rng(0)
    states = normal_states(np.zeros(d), np.ones(d), (64, len(catalog)), catalog.wait, rng)
    return write_bundle(folder, BundleContent(journey, policy, None, states, _CARD), _CREATED)
