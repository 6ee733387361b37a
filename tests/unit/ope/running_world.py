"""A journey that a conversion ends, read before all of it has happened."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.log import EvaluationLog, evaluation_log

HORIZON = 6  # bins
CHANCE = np.array([0.1, 0.25])  # of a conversion, by action
COST = np.array([0.0, 0.3])  # EUR, by action
SALE = 10.0  # EUR
TARGET = np.array([0.3, 0.7])
OLDEST = 12  # bins that the first episodes were followed


def exact_value() -> float:
    """Value of TARGET per episode, EUR."""
    value = 0.0
    for _ in range(HORIZON):
        value = float(TARGET @ (CHANCE * SALE - COST + (1.0 - CHANCE) * value))
    return value


def running_log(rng: np.random.Generator, episodes: int) -> tuple[EvaluationLog, NDArray[np.int64]]:
    """Episodes begun at any time, cut where the reading cut them; and each decision's age."""
    followed = rng.integers(1, OLDEST + 1, size=episodes)
    parts = []
    alive = np.arange(episodes)
    for step in range(HORIZON):
        alive = alive[followed[alive] > step]
        action = rng.integers(2, size=alive.size)
        sold = rng.random(alive.size) < CHANCE[action]
        left = followed[alive] - step - 1
        parts.append((alive, np.full(alive.size, step), action, sold, left))
        alive = alive[~sold]
    episode, step_of, action, sold, age = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((step_of, episode))
    log = evaluation_log(
        features=step_of[order, None],
        mask=np.ones((order.size, 2)),
        action=action[order],
        propensity=np.full(order.size, 0.5),
        reward=(SALE * sold - COST[action])[order],
        episode=episode[order],
        step=step_of[order],
        cluster=np.arange(episodes),
        terminal=sold[order],
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )
    return log, age[order]
