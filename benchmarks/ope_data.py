"""Logged decisions for the benchmark of off-policy evaluation, the same for every library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

PER_CONTACT = 4  # decisions of one contact


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """One-step decisions in memory."""

    target: FloatArray  # [n, a]
    q: FloatArray  # a model's rewards, [n, a]
    action: NDArray[np.int64]  # [n]
    propensity: FloatArray  # [n]
    reward: FloatArray  # 0 or 1, [n]
    contact: NDArray[np.int64]  # [n]


def logged(n: int, n_actions: int, seed: int) -> Logged:
    """Softmax policies over random scores, rewards of about one in seven, a model that errs."""
    rng = np.random.default_rng(seed)
    scores = 0.7 * rng.standard_normal((n, n_actions))
    logging, target = _softmax(scores), _softmax(0.5 - scores)
    action = (rng.random((n, 1)) > logging.cumsum(axis=1)).sum(axis=1).clip(max=n_actions - 1)
    chance = 1.0 / (1.0 + np.exp(2.0 - 0.5 * scores))
    every = np.arange(n)
    return Logged(
        target=target,
        q=np.clip(chance + 0.05 * rng.standard_normal(chance.shape), 0.0, 1.0),
        action=action,
        propensity=logging[every, action],
        reward=(rng.random(n) < chance[every, action]).astype(np.float64),
        contact=every // PER_CONTACT,
    )


def _softmax(scores: FloatArray) -> FloatArray:
    raw = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raw / raw.sum(axis=1, keepdims=True), dtype=np.float64)
