"""Random one-step decisions for tests of sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, rows_of_log
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_distribution, random_log

SMALL = MomentsConfig(
    n_buckets=32,
    clips=(np.inf, 1.5, 1.0),
    taus=(np.inf, 1.2),
    lams=(np.inf, 4.0, 1.0),
)


def decided(
    seed: int, n: int, contacts: int = 50
) -> tuple[EvaluationLog, FloatArray, ValuePredictions]:
    """A log of single decisions, a target's probabilities on its rows, and a model's answers."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, [1] * n, cluster=rng.integers(0, contacts, n))
    target = random_distribution(rng, log.mask)
    q = rng.normal(size=log.mask.shape)
    every = np.arange(n)
    value = np.einsum("na,na->n", target, q)
    return log, target, ValuePredictions(q[every, log.action], value)


def some_rows(seed: int, n: int) -> DecisionColumns:
    """Decisions in which one in ten was impossible under the target."""
    log, target, model = decided(seed, n)
    taken = target[np.arange(n), log.action] * (np.arange(n) % 10 > 0)
    return rows_of_log(log, taken, model)


def by_bucket(log: EvaluationLog, n_buckets: int) -> EvaluationLog:
    """The log with every bucket of contacts taken for one contact."""
    return replace(log, cluster=bucket_of(log.cluster.astype(np.uint64), n_buckets))
