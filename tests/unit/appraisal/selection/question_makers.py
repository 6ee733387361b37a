"""Logs, targets and stand-in estimators for tests of estimator selection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import OverlapError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, ips
from nurture_rl.ope.log import EvaluationLog
from nurture_rl.ope.suite import Estimator, Question
from tests.unit.ope.log_makers import random_distribution, random_log

FloatArray = NDArray[np.float64]


def asked_log(seed: int, episodes: int, length: int = 1) -> tuple[EvaluationLog, FloatArray]:
    """Two episodes per contact and a random target."""
    cluster = np.arange(episodes) // 2
    log = random_log(seed, [length] * episodes, cluster=cluster)
    return log, random_distribution(np.random.default_rng(seed + 1), log.mask)


def constant(value: float, stderr: float = 0.0) -> Estimator:
    """Says the same of every question; its error is spread evenly over contacts."""

    def answer(asked: Question) -> ValueEstimate:
        contacts = np.unique(asked.log.cluster).size
        sign = np.where(np.arange(contacts) % 2 == 0, 1.0, -1.0)
        influence = stderr * sign / clustered_stderr(sign) if stderr else np.zeros(contacts)
        episodes = asked.log.n_episodes
        return ValueEstimate(value, stderr, episodes, contacts, float(episodes), influence)

    return answer


def refuse(asked: Question) -> ValueEstimate:
    """Never has an answer."""
    raise OverlapError(f"nothing to say of {asked.log.n_episodes} episodes")


class Spy:
    """Answers by `ips` and keeps the questions."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    def __call__(self, asked: Question) -> ValueEstimate:
        self.asked.append(asked)
        return ips(asked.log, asked.target.taken)
