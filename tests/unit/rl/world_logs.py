"""Logs of tiny worlds, and a tiny decision process that can be solved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.rollout import ActsOnArrays, play
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import population_keys
from nurture_rl.learned.returns import returns_to_go
from nurture_rl.learned.training_log import TrainingLog
from tests.unit.rl.two_step_shop import shop_simulation, two_step_shop


class Even:
    """Draws every legal action alike."""

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Equal shares, [n, a]."""
        return np.asarray(mask / mask.sum(axis=1, keepdims=True))


def training_log(
    features: NDArray[np.float32],
    mask: NDArray[np.bool_],
    action: NDArray[np.int64],
    reward: NDArray[np.float64],
    episode: NDArray[np.int64],
    step: NDArray[np.int64],
    discount: float = 1.0,
    catalog: ActionCatalog | None = None,
) -> TrainingLog:
    """A log of one decision a row; every episode is a contact of its own."""
    order = np.lexsort((step, episode))
    reward, episode, step = reward[order].astype(float), episode[order], step[order]
    return TrainingLog(
        catalog=ActionCatalog.of(two_step_shop()) if catalog is None else catalog,
        columns=tuple(f"x{column}" for column in range(features.shape[1])),
        features=features[order],
        mask=mask[order],
        action=action[order],
        reward=reward,
        returns=returns_to_go(reward, episode, step, discount) if discount else reward,
        propensity=np.full(reward.size, np.nan),
        episode=episode,
        step=step,
        cluster=episode,
        discount=discount,
    )


def logged(simulation: Simulation, policy: ActsOnArrays, n: int, seed: int) -> TrainingLog:
    """What n contacts of a world show under a policy."""
    keys = population_keys(seed, n, simulation.device)
    steps = list(play(simulation, policy, keys))
    return training_log(
        np.concatenate([one.features.numpy() for one in steps]),
        np.concatenate([one.mask.numpy() for one in steps]),
        np.concatenate([one.action.numpy() for one in steps]),
        np.concatenate([one.reward.numpy() for one in steps]),
        np.concatenate([one.contact.numpy() for one in steps]),
        np.concatenate([one.state.bins.numpy() for one in steps]),
        simulation.journey.reward.discount,
        simulation.catalog,
    )


def shop_log(n: int = 6000, seed: int = 1) -> TrainingLog:
    """The shop of two days under a policy that draws every legal action alike."""
    simulation = shop_simulation()
    return logged(simulation, Even(), n, seed)


def shuffled(log: TrainingLog, seed: int = 0) -> TrainingLog:
    """The same log with rewards that tell nothing."""
    reward = np.random.default_rng(seed).permutation(log.reward)
    returns = returns_to_go(reward, log.episode, log.step, log.discount)
    return replace(log, reward=reward, returns=returns)


# A process of three states and three actions: what follows is certain, so values can be enumerated.
# State 0 -> 1 or 2, states 1 and 2 -> the end. Action 2 is forbidden in state 1, where the log
# never shows it.
NEXT = np.array([[1, 2, 2], [3, 3, 3], [3, 3, 3]])
BINS = np.array([[1, 3, 1], [1, 1, 1], [1, 1, 1]])  # a pause of three bins leads to state 2
PAYS = np.array([[-1.0, 0.5, 0.3], [4.0, 1.0, 0.0], [2.0, 3.0, -1.0]])
LEGAL = np.array([[True, True, True], [True, True, False], [True, True, True]])
DISCOUNT = 0.9


def process_values() -> NDArray[np.float64]:
    """What each action is worth in each state if the best follows, by enumeration, [3, 3]."""
    q = np.where(LEGAL, PAYS, np.nan)
    for action in range(3):
        after = NEXT[0, action]
        best = max(PAYS[after, b] for b in range(3) if LEGAL[after, b])
        q[0, action] = PAYS[0, action] + DISCOUNT ** BINS[0, action] * best
    return q


def process_log(n: int = 3000, seed: int = 0) -> TrainingLog:
    """Episodes of the process under random legal actions; features are the state, one-hot."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, int, int, int]] = []  # episode, step, state, action
    for episode in range(n):
        state, step = 0, 0
        while state < 3:
            action = int(rng.choice(np.flatnonzero(LEGAL[state])))
            rows.append((episode, step, state, action))
            step, state = step + BINS[state, action], NEXT[state, action]
    episode_, step_, state_, action_ = np.array(rows).T
    return training_log(
        np.eye(3, dtype=np.float32)[state_],
        LEGAL[state_],
        action_,
        PAYS[state_, action_],
        episode_,
        step_,
        DISCOUNT,
    )
