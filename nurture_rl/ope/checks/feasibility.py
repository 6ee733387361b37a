"""How far trajectory weights carry: the effective sample falls with every decision."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.checks.findings import (
    CheckThresholds,
    Finding,
    MixingStep,
    Severity,
    graded,
)
from nurture_rl.ope.checks.grouped import ROUNDING
from nurture_rl.ope.estimators import as_panel, effective_sample_size
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.wording import counted

HALVINGS = 60  # of the interval of mixing steps


def predicted_ess(n_episodes: int, moments: FloatArray) -> float:
    """Episodes the weighted log is worth when steps are independent: n / prod_t M_t, at most n.

    Args:
        n_episodes: n.
        moments: second moment of the ratio at each step, M_t, [H]; 0 where nothing is matched.

    Source: Owen, Monte Carlo theory, ch. 9.
    """
    if (moments <= 0.0).any():
        return 0.0
    return float(min(n_episodes * np.exp(-np.log(moments).sum()), n_episodes))


def mixed_moments(moments: FloatArray, mass: FloatArray, alpha: float) -> FloatArray:
    """Second moments of the ratio of (1 - alpha) logging + alpha target.

        M(alpha) = (1 - alpha)^2 + 2 alpha (1 - alpha) S + alpha^2 M

    Args:
        moments: M of the target itself, [H].
        mass: S, the target's mass where the log had any, [H]; 1 with full support.
        alpha: how far toward the target, in [0, 1].
    """
    stay = 1.0 - alpha
    # Moments may be infinite, and no step at all is none toward them either.
    reached = alpha**2 * moments if alpha > 0.0 else 0.0
    return np.asarray(stay**2 + 2.0 * alpha * stay * mass + reached)


def largest_step(
    n_episodes: int, moments: FloatArray, mass: FloatArray, thresholds: CheckThresholds
) -> MixingStep:
    """The largest step toward a target at which the log still carries trajectory weights.

    It keeps the predicted effective sample size at `min_ess` or more, and the step's mass on
    actions without a chance at `max_support_gap` or less. Found by bisection.

    Args:
        n_episodes: episodes of the log.
        moments: second moment of the target's ratio at each step, [H].
        mass: its mass where the log had any, at each step, [H].
        thresholds: what must be kept.
    """

    def feasible(alpha: float) -> bool:
        mixed = predicted_ess(n_episodes, mixed_moments(moments, mass, alpha))
        unshown = alpha * float(1.0 - mass.min())
        return mixed >= thresholds.min_ess and unshown <= thresholds.max_support_gap

    low, high = 0.0, 1.0
    if feasible(1.0):
        low = 1.0
    else:
        for _ in range(HALVINGS):
            middle = (low + high) / 2.0
            low, high = (middle, high) if feasible(middle) else (low, middle)
    return MixingStep(
        alpha=low,
        predicted_ess=predicted_ess(n_episodes, mixed_moments(moments, mass, low)),
        full_ess=predicted_ess(n_episodes, moments),
        min_ess=thresholds.min_ess,
        horizon=moments.size,
    )


def least_second_moment(propensity: FloatArray, taken: FloatArray) -> FloatArray:
    """Second moment that a row's ratio has at least, whatever chance the other actions had, [N].

        t^2 / p + (1 - t)^2 / (1 - p)

    It knows of weights too rare to have turned up, which the mean square of those that did lacks.
    What is left where p is 1 but for rounding counts for nothing.

    Args:
        propensity: logging probability of the logged action, p, [N].
        taken: target probability of it, t, [N].
    """
    left = 1.0 - propensity
    with np.errstate(over="ignore"):
        seen = taken**2 / propensity
    others = np.where(left > ROUNDING, (1.0 - taken) ** 2 / np.maximum(left, ROUNDING), 0.0)
    return np.asarray(seen + others)


def feasibility_findings(
    log: EvaluationLog,
    target: TargetOnLog,
    weights: FloatArray,
    thresholds: CheckThresholds,
) -> tuple[list[Finding], MixingStep]:
    """Effective sample size by decision, the predicted one, and the step that is feasible.

    Without the logged distributions the prediction takes the mean square of the ratios, or what
    they have at least where that is more.

    Args:
        log: the logged decisions.
        target: the target policy on them.
        weights: cumulative weights, [E, H].
        thresholds: what must be kept.
    """
    moments = as_panel(log, target.second_moment, 1.0).mean(axis=0)
    if log.logged_probabilities is None:
        least = least_second_moment(log.propensity, target.taken)
        moments = np.maximum(moments, as_panel(log, least, 1.0).mean(axis=0))
    shown = np.ones(log.n_rows) if target.unsupported is None else 1.0 - target.unsupported
    by_step = [effective_sample_size(column) for column in weights.T]
    mass = as_panel(log, shown, 1.0).mean(axis=0)
    return carried_findings(log.n_episodes, (moments, mass), by_step, thresholds)


def carried_findings(
    n_episodes: int,
    ratios: tuple[FloatArray, FloatArray],
    by_step: list[float],
    thresholds: CheckThresholds,
) -> tuple[list[Finding], MixingStep]:
    """`feasibility_findings` from what was summed up.

    Args:
        n_episodes: E.
        ratios: second moment of the ratio and the target's mass where the log had any, [H] each.
        by_step: effective sample size up to each decision, [H].
        thresholds: what must be kept.
    """
    moments, mass = ratios
    step = largest_step(n_episodes, moments, mass, thresholds)
    enough = [ess >= thresholds.min_ess for ess in by_step]
    reached = enough.index(False) if False in enough else len(enough)
    horizon, short = moments.size, step.full_ess < thresholds.min_ess
    trajectory = Finding(
        "trajectory-weights",
        graded(short, Severity.REFUSE),
        {"predicted_ess": step.full_ess, "horizon": float(horizon), "alpha": step.alpha},
        f"over {counted(horizon, 'decision')} weights are predicted to leave {step.full_ess:.3g} "
        f"of {n_episodes} episodes (mean second moment {moments.mean():.3g})",
        f"the largest feasible step is {step.alpha:.1%} of the way from the logging policy to the "
        f"target, worth {step.predicted_ess:.0f} episodes; or use a model-based estimate"
        if short
        else "",
    )
    cut = reached < horizon
    by_horizon = Finding(
        "ess-by-horizon",
        graded(cut, Severity.WARN),
        {"reached": float(reached), "horizon": float(horizon), "last": by_step[-1]},
        f"the effective sample size holds for {reached} of {counted(horizon, 'decision')}",
        f"cut the weights after {counted(reached, 'decision')} and take a model from there"
        if cut
        else "",
    )
    return [trajectory, by_horizon], step
