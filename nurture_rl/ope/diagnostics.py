"""Whether the log can speak about a target policy at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.checks import exploration
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.checks.feasibility import predicted_ess
from nurture_rl.ope.clusters import cluster_totals, clustered_stderr
from nurture_rl.ope.estimators import as_panel, cumulative_weights, effective_sample_size
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, horizon
from nurture_rl.ope.numbering import numbered
from nurture_rl.ope.targets import TargetOnLog

ROUNDING = 1e-6  # target and logged probabilities are stored this precisely


@dataclass(frozen=True, slots=True)
class OverlapThresholds:
    """What a log must offer before an estimate is believed."""

    min_ess: float = 100.0  # smallest effective sample size, episodes
    max_weight_share: float = 0.05  # of all weight, on one episode
    max_mean_weight_z: float = 4.0  # standard errors of the mean weight from 1
    max_support_gap: float = 0.01  # mean target mass on actions the log gave no chance


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """How much of the log a target policy can use."""

    n_episodes: int
    n_clusters: int
    ess: float  # under the final cumulative weights, in [0, n_episodes]
    ess_by_step: FloatArray  # under the weights up to each decision, [H]
    predicted_ess: float  # E times product over steps of 1 / second moment of the ratio
    max_weight_share: float  # of the final weights, on one episode, in [0, 1]
    mean_weight: FloatArray  # 1 in expectation at every step, [H]
    mean_weight_stderr: FloatArray  # clustered by contact, [H]
    support_gap: float | None  # mean target mass where the log had none; None without its rows
    feasible: bool
    reason: str  # what was met, or what was not and by how much


def overlap(log: EvaluationLog, target: TargetOnLog, thresholds: OverlapThresholds) -> Overlap:
    """Measure the weights of a target policy and hold them against thresholds.

    Weights beyond floating point leave no effective episode.

    Source: Owen, Monte Carlo theory, ch. 9; for independent steps with second moment M the ESS
        falls like E M^-H.
    """
    try:
        weights = cumulative_weights(log, target.taken)
    except OverlapError as refusal:
        return _beyond(log, target, str(refusal))
    final = weights[:, -1]
    moments = as_panel(log, target.second_moment, 1.0).mean(axis=0)
    gap = _gap(target)
    ess = effective_sample_size(final)
    share = float(final.max() / final.sum()) if ess > 0.0 else 1.0
    mean = weights.mean(axis=0)
    stderr = np.array(
        [
            clustered_stderr(cluster_totals(log, column - column.mean()) / log.n_episodes)
            for column in weights.T
        ]
    )
    measured = Overlap(
        n_episodes=log.n_episodes,
        n_clusters=numbered(log.cluster)[1],
        ess=ess,
        ess_by_step=np.array([effective_sample_size(column) for column in weights.T]),
        predicted_ess=predicted_ess(log.n_episodes, moments),
        max_weight_share=share,
        mean_weight=mean,
        mean_weight_stderr=stderr,
        support_gap=gap,
        feasible=False,
        reason="",
    )
    return held_against(measured, thresholds)


def held_against(given: Overlap, thresholds: OverlapThresholds) -> Overlap:
    """What was measured, with the word on it and its reason."""
    problems = _problems(given, thresholds)
    reason = (
        f"effective sample size {given.ess:.0f} of {given.n_episodes} episodes, largest weight "
        f"{given.max_weight_share:.2%} of all, mean weights 1 within error"
    )
    return replace(given, feasible=not problems, reason="; ".join(problems) or reason)


def weights_off(measured: Overlap, thresholds: OverlapThresholds) -> BoolArray:
    """At which decisions the mean weight is further from 1 than its error allows, [H]."""
    return _off(measured.mean_weight, measured.mean_weight_stderr, thresholds)


def require_exploration(
    log: EvaluationLog, thresholds: OverlapThresholds, context: LogContext | None = None
) -> None:
    """Refuse a log whose decisions were never left to chance, with a plan of what to log.

    Raises:
        OverlapError: every free decision has propensity 1; the message holds an exploration plan.
    """
    exploration.require_exploration(log, thresholds.min_ess, context)


def _beyond(log: EvaluationLog, target: TargetOnLog, reason: str) -> Overlap:
    """The overlap of a policy whose weights cannot be written down: none."""
    nothing = np.zeros(horizon(log))
    return Overlap(
        n_episodes=log.n_episodes,
        n_clusters=numbered(log.cluster)[1],
        ess=0.0,
        ess_by_step=nothing,
        predicted_ess=0.0,
        max_weight_share=1.0,
        mean_weight=np.full(nothing.size, np.nan),
        mean_weight_stderr=np.full(nothing.size, np.nan),
        support_gap=_gap(target),
        feasible=False,
        reason=reason,
    )


def _gap(target: TargetOnLog) -> float | None:
    return None if target.unsupported is None else float(target.unsupported.mean())


def _off(mean: FloatArray, stderr: FloatArray, thresholds: OverlapThresholds) -> BoolArray:
    limit = thresholds.max_mean_weight_z * stderr + ROUNDING
    return np.asarray(np.abs(mean - 1.0) > limit, dtype=np.bool_)


def _problems(given: Overlap, thresholds: OverlapThresholds) -> list[str]:
    ess, share, gap = given.ess, given.max_weight_share, given.support_gap
    mean, stderr = given.mean_weight, given.mean_weight_stderr
    problems = []
    if ess < thresholds.min_ess:
        problems.append(f"effective sample size {ess:.1f} is below {thresholds.min_ess:.0f}")
    if share > thresholds.max_weight_share:
        problems.append(
            f"one episode carries {share:.1%} of all weight, more than "
            f"{thresholds.max_weight_share:.0%}"
        )
    off = _off(mean, stderr, thresholds)
    if off.any():
        t = int(np.flatnonzero(off)[0])
        problems.append(
            f"the mean weight at decision {t} is {mean[t]:.3f} with standard error "
            f"{stderr[t]:.3f} where 1 is due: propensities are wrong or support is missing"
        )
    if gap is not None and gap > thresholds.max_support_gap:
        problems.append(
            f"{gap:.1%} of the target's choices fall on actions the log gave no chance, more than "
            f"{thresholds.max_support_gap:.0%}"
        )
    return problems
