"""Episodes played in a world, through the same environment that users train in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.rollout import ActsOnArrays
from nurture_envs.worlds.world import World
from nurture_rl.errors import ShapeError
from nurture_rl.interchange.episodes import Episodes, Subject, rebuilt


def played_episodes(world: World, policy: ActsOnArrays, n: int, seed: int) -> Episodes:
    """Play the first episode of n contacts and keep all of it.

    Args:
        world: answers.
        policy: chooses; the propensity kept is the probability it gave.
        n: contacts, >= 1.
        seed: of the contacts and of the policy's draws.

    Raises:
        ShapeError: fewer than one contact.
    """
    if n < 1:
        raise ShapeError(f"expected at least one contact, got n={n}")
    env = ContactVectorEnv(world, n)
    luck = np.random.default_rng(seed)
    # Row i of the environment is seed + i: far apart, so that two seeds share no contact.
    observation, info = env.reset(seed=int(luck.integers(0, 2**31)))
    final = np.zeros_like(observation)
    open_ = np.ones(n, bool)
    rows: list[dict[str, NDArray[Any]]] = []
    step = 0
    while open_.any():
        mask = info["action_mask"].copy()
        table = policy.action_probabilities(observation, mask)
        action = _drawn(table, luck.random(n))
        seen = observation.copy()
        observation, reward, terminated, truncated, info = env.step(action)
        at = np.flatnonzero(open_)
        rows.append(
            {
                "contact": at,
                "step": np.full(len(at), step),
                "features": seen[at],
                "mask": mask[at],
                "action": action[at],
                "propensity": table[at, action[at]],
                "probabilities": table[at],
                "reward": reward[at],
                "terminal": terminated[at],
            }
        )
        over = open_ & (terminated | truncated)
        if over.any():
            final[over] = info["final_obs"][over]
        open_ &= ~over
        step += 1
    env.close()
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    order = np.lexsort((columns["step"], columns["contact"]))
    columns = {name: values[order] for name, values in columns.items()}
    return rebuilt(Subject.of(world.journey), columns, np.bincount(columns["contact"]), final)


def _drawn(table: NDArray[np.float64], luck: NDArray[np.float64]) -> NDArray[np.int64]:
    """One action per row, by the inverse of its distribution; never one of probability 0."""
    edges = np.cumsum(table, axis=1)
    edges /= edges[:, -1:]
    return np.asarray((edges <= luck[:, None]).sum(axis=1), np.int64)
