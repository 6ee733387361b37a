"""Logistic Thompson sampling: posterior draws of the chance of an outcome vote for an action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.factored_actions import design_of, require_design
from nurture_rl.bandits.linear_policy import linear_policy
from nurture_rl.bandits.linear_posterior import (
    LinearPosterior,
    Sample,
    chosen_ridges,
    diagonal,
    inflated,
    predicted,
    prior_precision,
    signs_of,
)
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.pair_selection import with_found_pairs
from nurture_rl.bandits.prior_precision import Ridges
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]

_STEPS, _CLOSE = 50, 1e-8  # Newton steps at most; largest change of a chance at the end
_LEAST_SHARE = 1e-6  # of a Newton step that is tried
_LEAST_WEIGHT = 1e-9  # keeps a row's working response finite where its outcome is certain


@dataclass(frozen=True, slots=True)
class LogisticThompsonConfig:
    """What counts as success, how to fit and to explore."""

    threshold: float = 0.0  # a return above it is a success, the journey's unit
    draws: int = 128  # posterior draws that vote on the best action
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # rows of mean weight that the prior is worth; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self)
        require_design(self)


def fit_logistic_thompson(
    log: TrainingLog, config: LogisticThompsonConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit the chance of success of each action by logistic regression and store posterior draws.

        P(R > threshold | x, a) = 1 / (1 + exp(-phi(x, a)^T theta)),
        theta ~ N(mode, (H + K)^-1),    H = sum_i p_i (1 - p_i) phi_i phi_i^T

    The posterior is Laplace's: a normal distribution around the mode with the curvature there, its
    standard errors clustered by contact. Each stored draw votes for its best legal action.

    It maximises the chance that the return exceeds the threshold, and nothing else. Where returns
    are not binary the size of a success and the depth of a failure do not count: an action that
    earns 1 often beats one that earns 100 at times. Use it for outcomes that are yes or no, such
    as a booked meeting; else `linear_thompson`. With a cost of sending, set the threshold so that
    a success stays above it and a failure does not.

    The prior's precision is found on the linear scale, where evidence is exact, and carried over
    as a number of rows. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: what counts as success, how to fit and to explore.
        seed: of the signs of the clustering measure, then of the draws.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, the share of successes
        (`success`), the ridges in rows (`ridge_main`, `ridge_crossed`), `design_effect` and
        `effective_parameters` as that of `linear_thompson`, and the Newton `steps`.

    Raises:
        FitError: all outcomes are alike, Newton's method does not settle, or there is too little
            to fit.

    Source: Chapelle & Li (2011), An Empirical Evaluation of Thompson Sampling; Bishop (2006), 4.5.
    """
    rng = np.random.default_rng(seed)
    rows = log.take(log.choice)
    success = _successes(rows.returns, config.threshold)
    sample = Sample(rows.features, rows.action, success, rows.code)
    moments = ContextMoments.of(rows.features)
    signs = signs_of(sample, config.multipliers, rng)
    design = design_of(log.catalog, log.columns, config.design)
    design, ridges = _prior(sample, moments, design, config.ridge)
    mode, steps = _mode(sample, moments, design, ridges)
    chance = _chance(predicted(mode.mean_map(), moments, sample))
    posterior = inflated(mode, sample, moments, success - chance, signs)
    maps = posterior.maps(posterior.coefficients(config.draws, rng)).transpose(2, 0, 1)
    told = {
        "success": float(success.mean()),
        **ridges.told(design.names),
        "design_effect": posterior.design_effect,
        "effective_parameters": posterior.effective_parameters,
        "steps": float(steps),
    }
    policy = linear_policy(rows, moments, maps, Vote(), config.floor, told)
    progress(0, dict(policy.fit))
    return policy


def _successes(returns: FloatArray, threshold: float) -> FloatArray:
    """1 where a return exceeds the threshold, else 0, [n]."""
    success = (returns > threshold).astype(np.float64)
    if success.min() == success.max():
        raise FitError(
            f"expected returns above and up to the threshold {threshold:g}, got "
            f"{int(success.sum())} successes in {success.size} decisions, none left over to tell "
            "apart; choose a threshold between the returns"
        )
    return success


def _prior(
    sample: Sample, moments: ContextMoments, design: ActionDesign, ridge: float | None
) -> tuple[ActionDesign, Ridges]:
    """Groups of effects and how many rows their priors are worth, from a linear fit."""
    sums = LinearStatistics.none(moments, len(design.factors))
    sums.add(sample.features, sample.action, sample.returns)
    equations = with_found_pairs(Equations.of(sums, design))
    return equations.design, chosen_ridges(equations, ridge)


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """Where the search for the mode stands."""

    odds: FloatArray  # log-odds of success of each row, [n]
    theta: FloatArray  # the action part, [p]

    def towards(self, aim: _Point, share: float) -> _Point:
        """A part of the way, on which both are linear."""
        odds = self.odds + share * (aim.odds - self.odds)
        return _Point(odds, self.theta + share * (aim.theta - self.theta))

    def density(self, success: FloatArray, precision: FloatArray) -> float:
        """Logarithm of the posterior density, up to a constant."""
        fit = success @ self.odds - np.logaddexp(0.0, self.odds).sum()
        return float(fit - 0.5 * self.theta @ (precision * self.theta))


def _climbed(at: _Point, aim: _Point, success: FloatArray, precision: FloatArray) -> _Point:
    """The whole way to the aim, or the first half, quarter, ... that does not lower the density."""
    share, least = 1.0, at.density(success, precision)
    while share > _LEAST_SHARE:
        there = at.towards(aim, share)
        if there.density(success, precision) >= least - 1e-9 * abs(least):
            return there
        share /= 2.0
    return at


def _mode(
    sample: Sample, moments: ContextMoments, design: ActionDesign, ridges: Ridges
) -> tuple[LinearPosterior, int]:
    """The posterior around its mode, by Newton's method as reweighted least squares.

    A step that would lower the posterior density is halved until it does not: far from the mode,
    where outcomes are rare, whole steps overshoot and never settle.
    """
    rate = float(sample.returns.mean())
    worth = rate * (1.0 - rate)  # weight of a row at the mean chance
    prior = ridges.times(worth)
    maps = np.zeros((len(design.factors), sample.features.shape[1] + 1))
    maps[:, 0] = np.log(rate / (1.0 - rate))
    at = _Point(predicted(maps, moments, sample), np.zeros(design.groups(moments.mean.size).size))
    for step in range(1, _STEPS + 1):
        chance = _chance(at.odds)
        weight = np.maximum(chance * (1.0 - chance), _LEAST_WEIGHT)
        response = at.odds + (sample.returns - chance) / weight
        sums = LinearStatistics.none(moments, len(maps))
        sums.add(sample.features, sample.action, response, weight)
        equations = Equations.of(sums, design)
        precision = prior_precision(equations, prior)
        aim = solve(equations.gram + np.diag(precision), equations.right, assume_a="pos")
        odds = predicted(equations.maps(aim[:, None])[:, :, 0], moments, sample)
        at = _climbed(at, _Point(odds, aim), sample.returns, precision)
        if np.abs(_chance(at.odds) - chance).max() < _CLOSE:
            return diagonal(equations, prior), step
    raise FitError(
        f"the chances of success did not settle in {_STEPS} Newton steps; a feature tells the "
        "outcome apart without exception, so check that it does not come after the decision"
    )


def _chance(odds: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)), np.float64)
