"""Small logs of the lamp shop, written by hand or drawn, for tests of the reality gap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.trajectories import Trajectories
from tests.unit.simulator.lamp_shop import SEND, WAIT, lamp_shop

JOURNEY: Journey = lamp_shop(periods=10)  # bins of half a day


def amounts(n: int, **happened: NDArray[np.float64]) -> NDArray[np.float64]:
    """Channel sums of n bins, 0 where nothing is given, [n, c]."""
    table = np.zeros((n, len(JOURNEY.channels)))
    for name, column in happened.items():
        table[:, JOURNEY.channel_index(name)] = column
    return table


def episodes(lengths: list[int], action: list[int], **happened: list[float]) -> Trajectories:
    """One episode per contact, of the given lengths; every action had a chance of a quarter."""
    n = sum(lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    contact = np.repeat(np.arange(len(lengths)), lengths)
    columns = {name: np.array(values, np.float64) for name, values in happened.items()}
    return Trajectories(
        features=np.zeros((n, 3), np.float32),
        mask=np.ones((n, 4), bool),
        action=np.array(action, np.int64),
        propensity=np.full(n, 0.25),
        probabilities=np.full((n, 4), 0.25),
        amounts=amounts(n, **columns),
        event_delay=None,
        step=step.astype(np.int64),
        episode=contact.astype(np.int64),
        contact=contact.astype(np.int64),
        when=None,
        weight=np.ones(n),
    )


def random_log(contacts: int, seed: int, click: float = 0.2, view: float = 0.3) -> Trajectories:
    """Contacts who view at will, and click on a share of sends."""
    rng, bins = np.random.default_rng(seed), 6
    n = contacts * bins
    action = rng.choice([SEND, WAIT], n)
    clicked = (action == SEND) & (rng.random(n) < click)
    viewed = rng.random(n) < view
    return episodes(
        [bins] * contacts,
        action.tolist(),
        clicked=clicked.astype(float).tolist(),
        viewed=viewed.astype(float).tolist(),
    )
