"""Logs, targets and stand-in estimators for tests of estimator selection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.named_estimators import Question
from tests.unit.ope.log_makers import random_distribution, random_log

FloatArray = NDArray[np.float64]


def asked_log(seed: int, episodes: int, length: int = 1) -> tuple[EvaluationLog, FloatArray]:
    """Two episodes per contact and a random target."""
    cluster = np.arange(episodes) // 2
    log = random_log(seed, [length] * episodes, cluster=cluster)
    return log, random_distribution(np.random.default_rng(seed + 1), log.mask)


def refuse(asked: Question) -> ValueEstimate:
    """Never has an answer."""
    raise OverlapError(f"nothing to say of {asked.log.n_episodes} episodes")
