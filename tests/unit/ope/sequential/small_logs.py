"""Logs of a few rows, and answers to go with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, take_episodes
from nurture_rl.ope.value_model import ValuePredictions
from tests.unit.ope.log_makers import random_distribution


def random_target(seed: int, log: EvaluationLog) -> FloatArray:
    """Random probabilities over the legal actions, [N, a]."""
    return random_distribution(np.random.default_rng(seed), log.mask)


def taken_of(log: EvaluationLog, target: FloatArray) -> FloatArray:
    """Target probability of each logged action, [N]."""
    return np.asarray(target[np.arange(log.n_rows), log.action])


def random_taken(seed: int, log: EvaluationLog) -> FloatArray:
    """Random target probabilities of the logged actions, [N]."""
    return taken_of(log, random_target(seed, log))


def random_predictions(seed: int, n_rows: int) -> ValuePredictions:
    """A value model that knows nothing."""
    rng = np.random.default_rng(seed)
    return ValuePredictions(q_logged=rng.normal(size=n_rows), value=rng.normal(size=n_rows))


def repeated(log: EvaluationLog, episode: int, copies: int) -> tuple[EvaluationLog, IntArray]:
    """The log `copies` times with one more copy of an episode; and its rows in the first log."""
    order = np.append(np.tile(np.arange(log.n_episodes), copies), episode)
    longer = take_episodes(log, order)
    rows = np.concatenate([np.flatnonzero(log.episode == e) for e in order])
    return replace(longer, cluster=np.arange(longer.n_episodes)), rows
