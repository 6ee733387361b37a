"""A two-state world with contacts of unequal luck, whose exact values are a short recursion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.log import EvaluationLog, evaluation_log

FloatArray = NDArray[np.float64]

LOGGING = np.array([[0.6, 0.4], [0.45, 0.55]])  # probability of each action by state
TARGET = np.array([[0.4, 0.6], [0.25, 0.75]])
MEAN_REWARD = np.array([[0.0, 1.0], [1.5, 0.5]])  # by state and action, EUR
CHANCE_OF_ONE = np.array([[0.3, 0.6], [0.5, 0.8]])  # of state 1 next, by state and action
DISCOUNT = 0.9
START = 0.5  # chance of starting in state 1
LUCK = 1.0  # deviation between contacts of every reward, EUR: hidden, with mean 0


def exact_value(horizon: int) -> float:
    """Value of TARGET per episode, by backward recursion over the states."""
    value = np.zeros(2)
    for _ in range(horizon):
        onward = CHANCE_OF_ONE * value[1] + (1.0 - CHANCE_OF_ONE) * value[0]
        value = (TARGET * (MEAN_REWARD + DISCOUNT * onward)).sum(axis=1)
    return float((1.0 - START) * value[0] + START * value[1])


def draw_log(
    rng: np.random.Generator, contacts: int, horizon: int
) -> tuple[EvaluationLog, NDArray[np.float64]]:
    """Two episodes per contact under LOGGING, and TARGET on the rows, [N, 2]."""
    episodes = 2 * contacts
    cluster = np.repeat(np.arange(contacts), 2)
    luck = np.repeat(rng.normal(scale=LUCK, size=contacts), 2)
    state = (rng.random(episodes) < START).astype(int)
    states, actions, rewards = [], [], []
    for _ in range(horizon):
        action = (rng.random(episodes) < LOGGING[state, 1]).astype(int)
        states.append(state)
        actions.append(action)
        rewards.append(MEAN_REWARD[state, action] + luck + rng.normal(scale=0.5, size=episodes))
        state = (rng.random(episodes) < CHANCE_OF_ONE[state, action]).astype(int)
    where, action = np.stack(states, axis=1).reshape(-1), np.stack(actions, axis=1).reshape(-1)
    rows = episodes * horizon
    log = evaluation_log(
        features=where[:, None],
        mask=np.ones((rows, 2)),
        action=action,
        propensity=LOGGING[where, action],
        reward=np.stack(rewards, axis=1).reshape(-1),
        episode=np.repeat(np.arange(episodes), horizon),
        step=np.tile(np.arange(horizon), episodes),
        cluster=cluster,
        terminal=np.zeros(rows),
        action_factors=np.eye(2),
        discount=DISCOUNT,
        unit="EUR",
    )
    return log, TARGET[where]


def forget_contacts(log: EvaluationLog) -> EvaluationLog:
    """The same log with every episode taken for a contact of its own."""
    return replace(log, cluster=np.arange(log.n_episodes))
