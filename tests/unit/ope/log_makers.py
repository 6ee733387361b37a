"""Small logs for tests of off-policy evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nurture_rl.ope.log import EvaluationLog, evaluation_log

FloatArray = NDArray[np.float64]


def bandit_log(
    action: Sequence[int],
    propensity: Sequence[float],
    reward: Sequence[float],
    cluster: Sequence[int] | None = None,
) -> EvaluationLog:
    """One decision per episode between two actions, without features."""
    n = len(action)
    return evaluation_log(
        features=np.zeros((n, 1)),
        mask=np.ones((n, 2)),
        action=action,
        propensity=propensity,
        reward=reward,
        episode=np.arange(n),
        step=np.zeros(n),
        cluster=np.arange(n) if cluster is None else cluster,
        terminal=np.ones(n),
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )


def random_log(
    seed: int,
    lengths: Sequence[int],
    n_actions: int = 3,
    discount: float = 0.9,
    cluster: ArrayLike | None = None,
) -> EvaluationLog:
    """Episodes of the given lengths with random contexts, masks, logging rows and rewards."""
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    mask = rng.random((n, n_actions)) < 0.8
    mask[:, 0] = True
    logged = random_distribution(rng, mask)
    action = (rng.random((n, 1)) > logged.cumsum(axis=1)).sum(axis=1).clip(max=n_actions - 1)
    action = np.where(mask[np.arange(n), action], action, 0)
    return evaluation_log(
        features=rng.normal(size=(n, 2)),
        mask=mask,
        action=action,
        propensity=logged[np.arange(n), action],
        logged_probabilities=logged,
        reward=rng.normal(size=n) + action,
        episode=episode,
        step=np.concatenate([np.arange(length) for length in lengths]),
        cluster=np.arange(len(lengths)) if cluster is None else cluster,
        terminal=np.append(np.diff(episode) != 0, True),
        action_factors=np.column_stack([np.arange(n_actions), np.ones(n_actions)]),
        discount=discount,
        unit="EUR",
    )


def random_distribution(rng: np.random.Generator, mask: NDArray[np.bool_]) -> FloatArray:
    """Random probabilities over the legal actions, [n, a]."""
    raw = mask * rng.uniform(0.2, 1.0, size=mask.shape)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)


def two_episodes() -> tuple[EvaluationLog, FloatArray]:
    """Ratios 2, 1/2 with rewards 1, 4; then an episode of one decision, ratio 1/2, reward 2."""
    log = evaluation_log(
        features=np.zeros((3, 1)),
        mask=np.ones((3, 2)),
        action=[0, 0, 0],
        propensity=[0.25, 0.5, 0.5],
        reward=[1.0, 4.0, 2.0],
        episode=[0, 0, 1],
        step=[0, 1, 0],
        cluster=[0, 1],
        terminal=[False, False, True],
        action_factors=np.eye(2),
        discount=0.5,
        unit="EUR",
    )
    return log, np.array([0.5, 0.25, 0.25])
