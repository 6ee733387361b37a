"""Tabular worlds whose values are a short recursion, and logs drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_rl.ope.log import EvaluationLog, evaluation_log

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class World:
    """States, actions and rewards; what is observed may hide the state."""

    transition: FloatArray  # chance of each next state, [S, a, S]
    reward: FloatArray  # paid on arrival, by state, action and next state, [S, a, S]
    start: int
    ends: frozenset[int]  # states in which an episode is over
    observed: IntArray  # what is seen of each state, [S]
    length: int  # decisions at most
    discount: float


def exact_value(world: World, policy: FloatArray) -> float:
    """Value of a policy over states, [S, a], by backward recursion."""
    value = np.zeros(len(world.transition))
    running = np.array([state not in world.ends for state in range(value.size)])
    for _ in range(world.length):
        onward = world.reward + world.discount * running * value
        value = ((world.transition * onward).sum(axis=2) * policy).sum(axis=1)
    return float(value[world.start])


def draw(
    world: World, logging: FloatArray, episodes: int, rng: np.random.Generator
) -> tuple[EvaluationLog, IntArray]:
    """Episodes of a logging policy over states, [S, a]; and the true state of each row, [N]."""
    a = logging.shape[1]
    states, actions, rewards, owners, steps = [], [], [], [], []
    state, alive = np.full(episodes, world.start), np.arange(episodes)
    for step in range(world.length):
        here = state[alive]
        action = _drawn(logging[here], rng)
        following = _drawn(world.transition[here, action], rng)
        states.append(here)
        actions.append(action)
        rewards.append(world.reward[here, action, following])
        owners.append(alive)
        steps.append(np.full(alive.size, step))
        state[alive] = following
        alive = alive[~np.isin(following, list(world.ends))]
        if alive.size == 0:
            break
    owner, step_of = np.concatenate(owners), np.concatenate(steps)
    order = np.lexsort((step_of, owner))
    where, action = np.concatenate(states)[order], np.concatenate(actions)[order]
    seen = world.observed[where]
    log = evaluation_log(
        features=np.eye(int(world.observed.max()) + 1)[seen],
        mask=np.ones((order.size, a)),
        action=action,
        propensity=logging[where, action],
        logged_probabilities=logging[where],
        reward=np.concatenate(rewards)[order],
        episode=owner[order],
        step=step_of[order],
        cluster=np.arange(episodes),
        terminal=np.append(np.diff(owner[order]) != 0, True),
        action_factors=np.eye(a),
        discount=world.discount,
        unit="EUR",
    )
    return log, where


def _drawn(chances: FloatArray, rng: np.random.Generator) -> IntArray:
    luck = rng.random((len(chances), 1))
    return np.asarray((luck > chances.cumsum(axis=1)).sum(axis=1).clip(max=chances.shape[1] - 1))


def graph(slip: float, sparse: bool = False, length: int = 4, discount: float = 0.98) -> World:
    """The graph: action 1 leads to the upper node and pays 1, action 0 to the lower and pays -1.

    A move slips to the other node with chance `slip`. Sparse pays at the last step alone. States
    are 0 (start), then upper and lower nodes by step.
    """
    size = 1 + 2 * length
    transition, reward = np.zeros((size, 2, size)), np.zeros((size, 2, size))
    for step in range(length):
        upper, lower = 1 + 2 * step, 2 + 2 * step
        for state in (0,) if step == 0 else (upper - 2, lower - 2):
            transition[state, 1, [upper, lower]] = 1.0 - slip, slip
            transition[state, 0, [upper, lower]] = slip, 1.0 - slip
        pays = 1.0 if not sparse or step == length - 1 else 0.0
        reward[:, :, upper], reward[:, :, lower] = pays, -pays
    last = frozenset({size - 2, size - 1})
    transition[list(last), :, 0] = 1.0  # never taken: the episode is over
    return World(transition, reward, 0, last, np.arange(size), length, discount)


def model_win(length: int) -> World:
    """From state 0, action 0 reaches 1 with 0.4 and 2 with 0.6, action 1 the other way round.

    Reaching 1 pays 1, reaching 2 pays -1; both lead back to 0 for nothing.
    """
    transition, reward = np.zeros((3, 2, 3)), np.zeros((3, 2, 3))
    transition[0] = [[0.0, 0.4, 0.6], [0.0, 0.6, 0.4]]
    transition[1:, :, 0] = 1.0
    reward[0, :, 1], reward[0, :, 2] = 1.0, -1.0
    return World(transition, reward, 0, frozenset(), np.arange(3), length, 1.0)


def model_fail() -> World:
    """Four states that all look alike: action 1 leads up, and leaving the upper state pays 1."""
    transition, reward = np.zeros((4, 2, 4)), np.zeros((4, 2, 4))
    transition[0, 1, 1] = transition[0, 0, 2] = 1.0
    transition[1:, :, 3] = 1.0
    reward[1, :, 3], reward[2, :, 3] = 1.0, -1.0
    return World(transition, reward, 0, frozenset({3}), np.zeros(4, dtype=np.int64), 2, 1.0)


def frozen_lake(length: int, discount: float) -> World:
    """The 4 x 4 lake: three directions equally likely, goal pays 1, holes and goal end it."""
    holes, goal = (5, 7, 11, 12), 15
    transition, reward = np.zeros((16, 4, 16)), np.zeros((16, 4, 16))
    moves = ((0, -1), (1, 0), (0, 1), (-1, 0))
    for state in range(16):
        row, column = divmod(state, 4)
        for action in range(4):
            for turned in (-1, 0, 1):
                down, right = moves[(action + turned) % 4]
                place = 4 * min(max(row + down, 0), 3) + min(max(column + right, 0), 3)
                transition[state, action, place] += 1 / 3
    reward[:, :, goal] = 1.0
    return World(transition, reward, 0, frozenset({*holes, goal}), np.arange(16), length, discount)


def everywhere(world: World, probabilities: ArrayLike) -> FloatArray:
    """One distribution in every state, [S, a]."""
    return np.tile(np.asarray(probabilities, dtype=np.float64), (len(world.transition), 1))
