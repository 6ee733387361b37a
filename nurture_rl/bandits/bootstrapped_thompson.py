"""Bootstrapped Thompson sampling: models of resampled contacts vote for the best action."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from nurture_rl.bandits.factored_actions import require_design
from nurture_rl.bandits.linear_posterior import prior_precision
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.returns_fit import ReturnsFit, fit_returns
from nurture_rl.learned.choice_rules import Vote
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BootstrappedThompsonConfig:
    """How to fit and to explore."""

    draws: int = 64  # models that vote on the best action
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 64  # sign vectors that measure the clustering by contact; for the report
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self)
        require_design(self)


def fit_bootstrapped_thompson(
    log: TrainingLog, config: BootstrappedThompsonConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit linear models to resampled contacts; each votes for its best legal action.

        theta_m = argmin  sum_i w_m,c(i) (r_i - phi_i^T theta)^2 + (theta - b_m)^T K (theta - b_m)

    The weight w_m,c of contact c in model m is Poisson(1), the online form of the bootstrap: all
    of a contact's decisions count or fall away together, so its repeated decisions are not taken
    for independent ones, whatever the noise looks like. b_m is a draw from the prior
    N(0, noise K^-1), K the ridges: where there is no data the models differ as the prior does,
    and what was never tried stays open.

    An action with a few decisions that all earned the same looks certain to every model, up to
    its prior; `linear_thompson` borrows the noise of the other actions there.

    A return is what the logging policy made of the rest of the episode, so this improves one
    decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to fit and to explore.
        seed: of the signs of the clustering measure, then of each model's prior and weights.
        progress: is told once, what the fit to all contacts saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does.

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Osband & Van Roy (2015), Bootstrapped Thompson Sampling and Deep Exploration; Oza &
        Russell (2001) for Poisson weights; Osband et al. (2018) for draws of the prior.
    """
    rng = np.random.default_rng(seed)
    fit = fit_returns(log, config.ridge, config.multipliers, rng, config.design)
    maps = np.array([_resampled(fit, rng) for _ in range(config.draws)])
    policy = fit.policy(maps, Vote(), config.floor, {})
    progress(0, dict(policy.fit))
    return policy


def _weights(contacts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each contact counts in one model, [contacts].

    Drawn again while fewer than two contacts count, which happens where there are few: such a
    model would know no returns to compare.

    Args:
        contacts: 2 or more, or the drawing never ends.
        rng: draws the weights.
    """
    weight = rng.poisson(1.0, contacts)
    while np.count_nonzero(weight) < 2:
        weight = rng.poisson(1.0, contacts)
    return weight


def _resampled(fit: ReturnsFit, rng: np.random.Generator) -> FloatArray:
    """The maps of one model, [a, d + 1]."""
    rows, whole = fit.log, fit.posterior.equations
    precision = prior_precision(whole, fit.posterior.ridges)
    prior = rng.standard_normal(precision.size) * np.sqrt(fit.posterior.noise / precision)
    weight = _weights(int(rows.code.max()) + 1, rng)[rows.code].astype(np.float64)
    sums = LinearStatistics.none(fit.moments, len(rows.catalog))
    sums.add(rows.features, rows.action, rows.returns, weight)
    drawn = Equations.of(sums, whole.design)
    factor = cho_factor(drawn.gram + np.diag(precision))
    theta = cho_solve(factor, drawn.right + precision * prior)
    return drawn.maps(theta[:, None])[:, :, 0]
