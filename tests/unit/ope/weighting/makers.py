"""Targets and predictions for the random logs of `tests.unit.ope.log_makers`."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_distribution


def random_target(seed: int, log: EvaluationLog) -> TargetOnLog:
    """A random policy on a log's rows."""
    rows = random_distribution(np.random.default_rng(seed), log.mask)
    taken: FloatArray = np.asarray(rows[np.arange(log.n_rows), log.action])
    return TargetOnLog(rows, taken, (taken / log.propensity) ** 2, None)


def random_predictions(seed: int, n_rows: int) -> ValuePredictions:
    """Numbers a value model might have said."""
    rng = np.random.default_rng(seed)
    return ValuePredictions(q_logged=rng.normal(size=n_rows), value=rng.normal(size=n_rows))
