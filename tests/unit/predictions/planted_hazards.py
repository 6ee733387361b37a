"""Contacts whose hazards are known, as landmarks of a log that is read at some day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_rl.predictions.landmarks import Landmarks

FAR = np.iinfo(np.int64).max
SLOPE = 0.9  # of the log hazard, per unit of the first feature; the second says nothing


def planted(
    n: int, base: float, days: float, seed: int = 0, flips_on: float = np.inf
) -> tuple[Landmarks, NDArray[np.float64]]:
    """A decision each of n contacts, entering evenly over `days`, and the true daily hazards.

    Args:
        base: hazard a day at features of 0.
        flips_on: day from which on the first feature says the opposite.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    day = np.sort(rng.uniform(0.0, days, n))
    sign = np.where(day < flips_on, 1.0, -1.0)
    hazard = base * np.exp(sign * SLOPE * x[:, 0].astype(np.float64))
    until = rng.exponential(1.0 / hazard)
    decided = np.round(day * DAY_US).astype(np.int64)
    marks = Landmarks(
        features=x,
        decided_us=decided,
        contact=np.arange(n),
        cluster=np.array([f"c{i}" for i in range(n)], object),
        days_until=until[:, None],
        known_us=(decided + np.round(until * DAY_US).astype(np.int64))[:, None],
        had=np.zeros((n, 1), bool),
        age=np.zeros(n),
        begins_us=decided,
        longest=np.full(n, np.inf),
    )
    return marks, hazard
