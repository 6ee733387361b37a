"""Gymnasium's own vectorised environments, as they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from benchmarks.timing import Work


class Idle(gymnasium.Env[Any, Any]):
    """Does nothing: what stepping 60 features from Python costs at least."""

    observation_space = gymnasium.spaces.Box(-9.0, 9.0, (60,), np.float32)
    action_space = gymnasium.spaces.Discrete(12)

    def __init__(self) -> None:
        self._seen = np.zeros(60, np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """The same observation again."""
        return self._seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The same observation again."""
        return self._seen, 0.0, False, False, {}


def native_cartpole(n: int, steps: int) -> Callable[[], Work]:
    """CartPole written for vectors: 4 features, no draws but at a restart."""
    env = gymnasium.make_vec("CartPole-v1", num_envs=n, vectorization_mode="vector_entry_point")
    return _steps(env, steps, 2)


def idle_in_python(n: int, steps: int) -> Callable[[], Work]:
    """`Idle`, one after the other: the ceiling of any environment stepped in Python."""
    return _steps(gymnasium.vector.SyncVectorEnv([Idle] * n), steps, 12)


def cartpole_in_python(n: int, steps: int) -> Callable[[], Work]:
    """CartPole, one after the other."""
    makers = [lambda: gymnasium.make("CartPole-v1")] * n
    return _steps(gymnasium.vector.SyncVectorEnv(makers), steps, 2)


def _steps(env: Any, steps: int, n_actions: int) -> Callable[[], Work]:
    actions = np.random.default_rng(0).integers(0, n_actions, (16, env.num_envs))

    def run() -> Work:
        env.reset(seed=0)
        began = time.perf_counter()
        for step in range(steps):
            env.step(actions[step % 16])
        return Work(env.num_envs * steps, time.perf_counter() - began)

    return run
