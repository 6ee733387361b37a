"""Four sequential estimators in one pass, from the target's and the model's whole rows.

    dm  = mean v(x_e0)                   ips = mean sum_t g_t w_t r_t
    tis = mean w_H sum_t g_t r_t         dr  = mean sum_t g_t (w_{t-1} v_t + w_t (r_t - q_t))

For bootstraps, sweeps over many policies and very long logs: compiled where numba is installed,
and the same numbers by plain numpy where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from nurture_envs.compiling import against_numba, warn_of_slow_path
from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import (
    ValueEstimate,
    corrected_returns,
    effective_sample_size,
    weighted_returns,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, first_rows
from nurture_rl.ope.sequential.trajectory import discounted_returns
from nurture_rl.ope.value_model import ValuePredictions


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeReturns:
    """What each estimator averages over episodes, in the log's unit, [E] each."""

    direct: FloatArray  # dm
    whole: FloatArray  # tis
    weighted: FloatArray  # ips, per decision
    corrected: FloatArray  # dr
    final: FloatArray  # weight of the whole episode


def four_estimates(
    log: EvaluationLog, target: FloatArray, q: FloatArray
) -> Mapping[str, ValueEstimate]:
    """`dm`, `tis`, `ips` and `dr` with their clustered errors, by name.

    Args:
        log: the logged decisions.
        target: target probabilities on the log's rows, [N, a].
        q: a value model's answer for every action, each row by a model that never saw its
            contact, [N, a].

    Raises:
        ShapeError: arrays that do not fit the log.
        OverlapError: weights leave the range of floating point numbers.
    """
    found = episode_returns(log, target, q)
    names, contact = np.unique(log.cluster, return_inverse=True)
    ess = effective_sample_size(found.final)
    estimates = {}
    for name, returns, effective in (
        ("dm", found.direct, float(log.n_episodes)),
        ("tis", found.whole, ess),
        ("ips", found.weighted, ess),
        ("dr", found.corrected, ess),
    ):
        value = float(returns.mean())
        influence = np.bincount(contact, weights=(returns - value) / log.n_episodes).astype(
            np.float64
        )
        estimates[name] = ValueEstimate(
            value=value,
            stderr=clustered_stderr(influence),
            n_episodes=log.n_episodes,
            n_clusters=names.size,
            ess=effective,
            influence=influence,
        )
    return estimates


def episode_returns(log: EvaluationLog, target: FloatArray, q: FloatArray) -> EpisodeReturns:
    """What the estimators average; arguments and errors as `four_estimates`."""
    shape = log.mask.shape
    if target.shape != shape or q.shape != shape:
        raise ShapeError(f"target and q must be {shape}, got {target.shape} and {q.shape}")
    loops = _compiled()
    if loops is None:
        return _plain_returns(log, target, q)
    first = np.append(first_rows(log), log.n_rows)
    worth = np.float64(log.discount) ** np.arange(np.ptp(log.step) + 1)
    out = np.empty((5, log.n_episodes))
    rows = (log.action, log.propensity, log.reward, log.step)
    with np.errstate(over="ignore", invalid="ignore"):  # heard where the loops run uncompiled
        loops.fill_returns(target, q, rows, worth, first, out)
    if not np.isfinite(out).all():
        raise OverlapError(
            "importance weights or values exceed floating point; the target is too far from the "
            "logging policy for weights, stay closer or shorten the episodes"
        )
    return EpisodeReturns(*out)


def _plain_returns(log: EvaluationLog, target: FloatArray, q: FloatArray) -> EpisodeReturns:
    rows = np.arange(log.n_rows)
    taken, value = target[rows, log.action], np.einsum("na,na->n", target, q)
    weighted, final = weighted_returns(log, taken)
    predictions = ValuePredictions(q_logged=q[rows, log.action], value=value)
    corrected, _ = corrected_returns(log, taken, predictions)
    direct = value[first_rows(log)]
    return EpisodeReturns(direct, final * discounted_returns(log), weighted, corrected, final)


@lru_cache
def _compiled() -> Any:
    """The compiled loops, where numba can be had."""
    reason = against_numba()
    if reason:
        warn_of_slow_path("sequential estimators run in numpy", reason)
        return None
    return import_module("nurture_rl.ope.sequential.fused_loops")
