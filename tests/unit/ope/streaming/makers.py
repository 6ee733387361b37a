"""Random one-step decisions for tests of sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.streaming.batch_sums import COMPILED, Summing, batch_sums
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig
from nurture_rl.ope.streaming.policy_sums import LogSums
from nurture_rl.ope.streaming.reward_model import RewardModel
from tests.unit.ope.log_makers import random_distribution, random_log

SMALL = MomentsConfig(
    n_buckets=32,
    clips=(np.inf, 1.5, 1.0),
    taus=(np.inf, 1.2),
    lams=(np.inf, 4.0, 1.0),
)
NEEDS_NUMBA = pytest.mark.skipif(not COMPILED, reason="needs numba")
BOTH = [False, pytest.param(True, marks=NEEDS_NUMBA)]


def decided(seed: int, n: int, contacts: int = 50) -> tuple[EvaluationLog, FloatArray]:
    """A log of single decisions, and a target's probabilities on its rows."""
    rng = np.random.default_rng(seed)
    log = random_log(seed, [1] * n, cluster=rng.integers(0, contacts, n))
    return log, random_distribution(rng, log.mask)


def some_model(seed: int, config: MomentsConfig = SMALL) -> RewardModel:
    """Answers that differ by fold and have nothing to do with the rewards."""
    rng = np.random.default_rng(seed)
    return RewardModel(rng.normal(size=(3, 3, 3)), np.arange(config.n_buckets) % 3)


def sums_of(log: EvaluationLog, targets: Mapping[str, FloatArray], summing: Summing) -> LogSums:
    """The sums of a log whose clusters are the numbers of its contacts."""
    return batch_sums(log, log.cluster.astype(np.uint64), targets, summing)


def moments_of(
    log: EvaluationLog,
    target: FloatArray,
    model: RewardModel,
    config: MomentsConfig = SMALL,
    compiled: bool = False,
) -> Moments:
    """The estimators' sums of one target policy, made as the verb makes them."""
    summing = Summing(config, model, np.inf, {"new": ()}, compiled)
    return sums_of(log, {"new": target}, summing).policies["new"].moments


def by_bucket(log: EvaluationLog, n_buckets: int) -> EvaluationLog:
    """The log with every bucket of contacts taken for one contact."""
    return replace(log, cluster=bucket_of(log.cluster.astype(np.uint64), n_buckets))
