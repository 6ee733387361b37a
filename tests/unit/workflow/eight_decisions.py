"""Eight decisions of four contacts, two of them held out; made so that every rule picks its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_envs.journey import Journey
from nurture_rl.decisions import Decisions
from tests.unit.simulator.lamp_shop import lamp_shop


def shop(estimand: str = "per_episode") -> Journey:
    """The lamp shop with discount 0.5 a bin."""
    journey = lamp_shop()
    return replace(journey, estimand=estimand, reward=replace(journey.reward, discount=0.5))


def eight_decisions() -> Decisions:
    """Contacts 0 and 2 train, 1 and 3 are held out; the last bins of 2 and 3 are still open.

    Rewards are 1, 2, 4, ... so that a sum tells which rows are in it.
    """
    n = 8
    open_bin = np.array([0, 0, 0, 0, 0, 1, 0, 1], bool)
    contact = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    return Decisions(
        features=np.stack([np.arange(n)] * 3, axis=1).astype(np.float32),
        mask=np.ones((n, 4), bool),
        action=np.array([0, 1, 0, 1, 0, 1, 0, 1]),
        propensity=np.full(n, 0.25),
        probabilities=np.full((n, 4), 0.25),
        reward=np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]),
        amounts=np.ones((n, len(shop().channels))),
        episode=contact.copy(),
        step=np.array([0, 2, 0, 1, 0, 1, 0, 1]),
        contact=contact,
        cluster=contact,
        terminal=np.zeros(n, bool),
        matured=~open_bin,
        complete=~open_bin,
        available=np.ones(n, bool),
        held_out=np.isin(contact, [1, 3]),
        age=np.where(open_bin, -1, 3),
        event_delay=np.zeros((n, len(shop().channels)), np.int64),
        when=20_000 + np.array([0, 1, 0, 0, 5, 5, 5, 5]),
    )
