"""Intervals around an estimate, and around the difference of two on the same contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import EvaluationLog, FloatArray, horizon

FEW_OUTCOMES = 100  # matched outcomes below which the normal interval under-covers


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    lower: float
    upper: float
    level: float  # stated coverage, in (0, 1)
    method: str  # "clustered-t" or "clopper-pearson"


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one policy earns than another, per episode, on the same contacts."""

    value: float  # first minus second, in the log's unit
    stderr: float
    interval: Interval
    n_clusters: int


def clustered_interval(value: float, stderr: float, n_clusters: int, level: float) -> Interval:
    """value +- t(C-1) stderr, unbounded when there is one contact.

    Args:
        value: the estimate.
        stderr: its standard error, clustered by contact.
        n_clusters: contacts, C.
        level: stated coverage, in (0, 1).

    Source: Cameron & Miller (2015), A Practitioner's Guide to Cluster-Robust Inference, sec. VI.
    """
    _require_level(level)
    if n_clusters < 2:
        return Interval(-np.inf, np.inf, level, "clustered-t")
    from scipy import stats

    half = float(stats.t.ppf(0.5 + level / 2.0, n_clusters - 1)) * stderr
    return Interval(value - half, value + half, level, "clustered-t")


def interval_of(estimate: ValueEstimate, level: float) -> Interval:
    """The clustered interval of an estimate; its stated coverage is `level`."""
    return clustered_interval(estimate.value, estimate.stderr, estimate.n_clusters, level)


def paired_difference(first: ValueEstimate, second: ValueEstimate, level: float) -> Difference:
    """Difference of two estimates made from the same log, contact by contact.

    Errors the two share cancel, so it is tighter than the two intervals suggest.

    Raises:
        ShapeError: the estimates do not come from the same contacts.
    """
    if first.influence.shape != second.influence.shape:
        raise ShapeError(
            f"a paired difference needs the same contacts, got {first.n_clusters} and "
            f"{second.n_clusters}; estimate both policies on one log"
        )
    stderr = clustered_stderr(first.influence - second.influence)
    value = first.value - second.value
    interval = clustered_interval(value, stderr, first.n_clusters, level)
    return Difference(value, stderr, interval, first.n_clusters)


def binomial_interval(successes: int, trials: int, level: float, scale: float = 1.0) -> Interval:
    """Exact interval of a share, times `scale` (Clopper-Pearson).

    Covers at least `level` at every count, where the normal interval fails for few successes.

    Raises:
        ShapeError: successes outside 0..trials, no trial, or a negative scale.

    Source: Clopper & Pearson (1934), The Use of Confidence or Fiducial Limits.
    """
    _require_level(level)
    if not 0 <= successes <= trials or trials < 1 or scale < 0.0:
        raise ShapeError(
            f"expected 0 <= successes <= trials and scale >= 0, got {successes} of {trials} "
            f"times {scale}; count matched outcomes among the trials"
        )
    from scipy import stats

    tail = (1.0 - level) / 2.0
    lower = stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    upper = stats.beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return Interval(scale * float(lower), scale * float(upper), level, "clopper-pearson")


def exact_ips_interval(log: EvaluationLog, taken: FloatArray, level: float) -> Interval | None:
    """Exact interval of `ips` where it is a scaled share of few successes, else None.

    It is one when episodes have one decision and contacts one episode, every matched action has
    the same weight w, and the reward is 0 or one amount b > 0: then V = w b k / E with k matched
    outcomes. From 100 of them on the normal interval is good enough and None comes back.
    """
    if horizon(log) > 1 or np.unique(log.cluster).size < log.n_episodes:
        return None
    weight = taken / log.propensity
    levels, amounts = np.unique(weight[weight > 0.0]), np.unique(log.reward[log.reward != 0.0])
    if levels.size != 1 or amounts.size > 1 or (amounts < 0.0).any():
        return None
    matched = int(((weight > 0.0) & (log.reward > 0.0)).sum())
    if matched >= FEW_OUTCOMES or amounts.size == 0:
        return None
    scale = float(levels[0] * amounts[0])
    return binomial_interval(matched, log.n_episodes, level, scale)


def simultaneous_level(level: float, comparisons: int) -> float:
    """Level of each of k intervals so that all cover together at `level` (Bonferroni)."""
    _require_level(level)
    if comparisons < 1:
        raise ShapeError(f"expected at least one comparison, got {comparisons}")
    return 1.0 - (1.0 - level) / comparisons


def _require_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ShapeError(f"a level is a probability in (0, 1), got {level}; write 95 % as 0.95")
