"""The value of sending at a chosen moment, where the log chose the moment from a continuum.

A moment that was logged says something about moments near it: a kernel of bandwidth h takes the
place of "the same action". Notation: t_i the logged moment, tau_i the target's, f_i the logging
density at t_i,

    w_i = K((t_i - tau_i) / h) / (h m_i f_i)
    m_i = integral over the window of K((s - tau_i) / h) / h ds

m is 1 inside the window and less near its ends, where a part of the kernel falls outside. K is
Epanechnikov's. Bias grows like h^2, at the window's ends like h; variance like 1/(n h).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nurture_rl.errors import LogError, OverlapError, PropensityError, ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, effective_sample_size
from nurture_rl.ope.log import FloatArray, IntArray
from nurture_rl.ope.weighting.slope import Tuned, tuned


@dataclass(frozen=True, slots=True, eq=False)
class SendTimes:
    """Logged moments, made valid by `send_times`; build it with that function."""

    time: FloatArray  # hours, inside the window, [N]
    density: FloatArray  # logging density at `time`, per hour, > 0, [N]
    reward: FloatArray  # [N]
    contact: IntArray  # [N]
    window: tuple[float, float]  # first and last moment that may be chosen, hours


def send_times(
    *,
    time: ArrayLike,
    density: ArrayLike,
    reward: ArrayLike,
    contact: ArrayLike,
    window: tuple[float, float],
) -> SendTimes:
    """Check logged moments and make them `SendTimes`; arguments are the record's fields.

    Raises:
        ShapeError: arrays of different lengths, or a window that ends before it begins.
        LogError: no row, a moment outside the window, a reward that is not finite.
        PropensityError: a density that is missing, 0 or not finite.
    """
    log = SendTimes(
        np.asarray(time, dtype=np.float64),
        np.asarray(density, dtype=np.float64),
        np.asarray(reward, dtype=np.float64),
        np.asarray(contact, dtype=np.int64),
        (float(window[0]), float(window[1])),
    )
    first, last = log.window
    columns = (log.time, log.density, log.reward, log.contact)
    if {column.shape for column in columns} != {(log.time.size,)} or not first < last:
        raise ShapeError(
            f"expected four columns of one length and a window that ends after it begins, got "
            f"{[column.shape for column in columns]} and {log.window}"
        )
    if log.time.size == 0:
        raise LogError("the log has no decision; expected at least one, check the filters before")
    outside = np.flatnonzero(~((log.time >= first) & (log.time <= last)))
    if outside.size or not np.isfinite(log.reward).all():
        raise LogError(
            f"moments must lie in [{first:g}, {last:g}] and rewards be finite, but {outside.size} "
            f"moments and {int((~np.isfinite(log.reward)).sum())} rewards are not"
        )
    bad = np.flatnonzero(~((log.density > 0.0) & np.isfinite(log.density)))
    if bad.size:
        raise PropensityError(
            f"logging densities must be above 0 and finite, but {bad.size} are not, first row "
            f"{bad[0]} with {log.density[bad[0]]:g}; log the density of every chosen moment"
        )
    return log


def kernel_weights(log: SendTimes, target: FloatArray, bandwidth: float) -> FloatArray:
    """Weights w of the logged moments for a target's, [N]; 1 on average.

    Args:
        log: the logged moments.
        target: moment the target policy would choose, hours, inside the window, [N].
        bandwidth: h, hours, > 0.

    Raises:
        ShapeError: `target` is not [N], leaves the window, or the bandwidth is not above 0.
    """
    first, last = log.window
    inside = target.shape == log.time.shape and bool(((target >= first) & (target <= last)).all())
    if not inside or not bandwidth > 0.0:
        raise ShapeError(
            f"expected {log.time.size} target moments in [{first:g}, {last:g}] and a bandwidth "
            f"above 0, got {target.shape} and {bandwidth}"
        )
    mass = _below((last - target) / bandwidth) - _below((first - target) / bandwidth)
    height = 0.75 * np.maximum(1.0 - ((log.time - target) / bandwidth) ** 2, 0.0)
    return np.asarray(height / (bandwidth * mass * log.density), dtype=np.float64)


def kernel_ips(log: SendTimes, target: FloatArray, bandwidth: float) -> ValueEstimate:
    """Estimate the value of sending at the target's moments: V = mean of w r.

    Raises:
        ShapeError: as `kernel_weights`.

    Source: Kallus & Zhou (2018), Policy Evaluation and Optimization with Continuous Treatments.
    """
    weights = kernel_weights(log, target, bandwidth)
    return _mean(log, weights * log.reward, effective_sample_size(weights))


def kernel_snips(log: SendTimes, target: FloatArray, bandwidth: float) -> ValueEstimate:
    """As `kernel_ips`, self-normalised: V = sum w r / sum w, error by the delta method.

    Raises:
        ShapeError: as `kernel_weights`.
        OverlapError: no logged moment lies within a bandwidth of the target's.

    Source: Kallus & Zhou (2018), Policy Evaluation and Optimization with Continuous Treatments.
    """
    weights = kernel_weights(log, target, bandwidth)
    total = weights.sum()
    if total <= 0.0:
        raise OverlapError(
            f"no logged moment lies within {bandwidth:g} hours of the target's; widen the "
            "bandwidth, or log moments where the target wants to send"
        )
    value = float(weights @ log.reward / total)
    return _estimate(
        log, value, weights * (log.reward - value) / total, effective_sample_size(weights)
    )


def kernel_dr(
    log: SendTimes, target: FloatArray, bandwidth: float, q_logged: FloatArray, q_target: FloatArray
) -> ValueEstimate:
    """As `kernel_ips`, corrected by a model: V = mean of q(x, tau) + w (r - q(x, t)).

    Args:
        log: the logged moments.
        target: moment the target policy would choose, hours, [N].
        bandwidth: h, hours, > 0.
        q_logged: reward a model fitted on other contacts expects of the logged moment, [N].
        q_target: and of the target's moment, [N].

    Raises:
        ShapeError: as `kernel_weights`, or predictions that are not [N].

    Source: Kallus & Zhou (2018), Policy Evaluation and Optimization with Continuous Treatments.
    """
    if q_logged.shape != log.time.shape or q_target.shape != log.time.shape:
        raise ShapeError(
            f"predictions must be [{log.time.size}], got {q_logged.shape} and {q_target.shape}"
        )
    weights = kernel_weights(log, target, bandwidth)
    score = q_target + weights * (log.reward - q_logged)
    return _mean(log, score, effective_sample_size(weights))


def bandwidths(window: tuple[float, float], count: int = 8) -> tuple[float, ...]:
    """Bandwidths worth a try, narrowest first: up to half the window, each 1.5 times the last."""
    widest = (window[1] - window[0]) / 2.0
    return tuple(float(widest / 1.5**k) for k in range(count - 1, -1, -1))


def tuned_send_time(
    log: SendTimes, target: FloatArray, tried: tuple[float, ...] | None = None
) -> Tuned:
    """`kernel_snips` with the best of several bandwidths, narrowest first.

    The interval is that of the narrowest bandwidth: choose it narrow enough that the value hardly
    changes within it.

    Raises:
        ShapeError, OverlapError: as `kernel_snips`.

    Source: Su, Srinath & Krishnamurthy (2020), Adaptive Estimator Selection for Off-Policy
        Evaluation, who choose kernel bandwidths so.
    """
    chosen = bandwidths(log.window) if tried is None else tried
    return tuned({h: kernel_snips(log, target, h) for h in chosen})


def _below(u: FloatArray) -> FloatArray:
    """Integral of Epanechnikov's kernel up to u."""
    inside = np.clip(u, -1.0, 1.0)
    return np.asarray(0.5 + 0.75 * inside - 0.25 * inside**3, dtype=np.float64)


def _mean(log: SendTimes, scores: FloatArray, ess: float) -> ValueEstimate:
    value = float(scores.mean())
    return _estimate(log, value, (scores - value) / scores.size, ess)


def _estimate(log: SendTimes, value: float, errors: FloatArray, ess: float) -> ValueEstimate:
    """Errors of single decisions, [N], summed by contact."""
    _, contact = np.unique(log.contact, return_inverse=True)
    influence = np.bincount(contact, weights=errors).astype(np.float64)
    return ValueEstimate(
        value=value,
        stderr=clustered_stderr(influence),
        n_episodes=log.time.size,
        n_clusters=influence.size,
        ess=ess,
        influence=influence,
    )
