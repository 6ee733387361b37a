"""Other things to ask of a log: what an episode came to, put where every estimator can read it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start, first_rows


def episode_returns(log: EvaluationLog) -> FloatArray:
    """Discounted reward of each episode, in the log's unit, [E]."""
    discounted = discount_from_start(log) * log.reward
    return np.bincount(log.episode, weights=discounted).astype(np.float64)


def paid_at_end(log: EvaluationLog, per_episode: FloatArray, unit: str) -> EvaluationLog:
    """The log whose only reward is a number per episode, paid undiscounted at its last decision.

    Its value under a target is the mean of that number over the target's episodes, so that every
    estimator answers for any function of the return: `dr` of a return's indicator corrects a
    distribution by a model, as it corrects a mean.

    Raises:
        ShapeError: not one finite number per episode.
    """
    if per_episode.shape != (log.n_episodes,) or not np.isfinite(per_episode).all():
        raise ShapeError(
            f"expected one finite number for each of {log.n_episodes} episodes, got shape "
            f"{per_episode.shape}; sum what happened over each episode's decisions"
        )
    reward = np.zeros(log.n_rows)
    reward[np.append(first_rows(log)[1:], log.n_rows) - 1] = per_episode
    return replace(log, reward=reward, discount=1.0, unit=unit)
