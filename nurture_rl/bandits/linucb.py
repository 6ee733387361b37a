"""LinUCB: the action whose value may be the highest, as far as the log can tell."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.factored_actions import CELLS, DISJOINT, require_design
from nurture_rl.bandits.returns_fit import ReturnsFit, fit_returns
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import UpperBound
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinUCBConfig:
    """How to fit and how optimistic to be."""

    width: float = 1.0  # standard errors above the mean, >= 0
    disjoint: bool = False  # slopes for each action alone, not shared by factor
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self, width=(0.0, inf))
        require_design(self)
        if self.disjoint and self.design != CELLS:
            raise FitError(
                f"disjoint of LinUCB leaves nothing to share, and design is {self.design!r}; "
                "set one of them"
            )


def fit_linucb(
    log: TrainingLog, config: LinUCBConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit the return of each action by Bayesian linear regression and act on its upper bound.

        bound(a, x) = m_a^T x~ + width sqrt(x~^T S_a x~),    x~ = [1, standardised context]

    S_a is the covariance of the action's map m_a. The quadratic form is exact: the policy keeps
    S_a = L_a L_a^T as the columns of L_a. The standard errors count contacts, not rows. What is
    common to all actions has no part in S_a, since it never decides between them.

    An action that was seldom tried has a wide bound and is tried: that is worth its cost where
    more decisions follow, and what they bring is learned from. Shared slopes (by the factors of
    the catalogue) let actions learn from each other; disjoint ones do not, and are slow with many
    actions and features: the time grows with the third power of their product.

    A return is what the logging policy made of the rest of the episode, so this improves one
    decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to fit and how optimistic to be.
        seed: of the signs of the clustering measure.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does.

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Li et al. (2010), A Contextual-Bandit Approach to Personalized News Article
        Recommendation; Abbasi-Yadkori et al. (2011) for the bound.
    """
    rng = np.random.default_rng(seed)
    fit = fit_returns(log, config.ridge, config.multipliers, rng, _design(config))
    maps = np.concatenate([fit.mean_map(), _parts(fit)])
    policy = fit.policy(maps, UpperBound(config.width), config.floor, {})
    progress(0, dict(policy.fit))
    return policy


def _design(config: LinUCBConfig) -> str:
    return DISJOINT if config.disjoint else config.design


def _parts(fit: ReturnsFit) -> FloatArray:
    """Maps whose squares sum to the variance of each action's score, [d + 1, a, d + 1]."""
    posterior = fit.posterior
    # Lead over what the log does in the context: the maps of each axis, less their common mean.
    spread = posterior.maps(posterior.axes * posterior.stderr) - posterior.maps(
        np.zeros((posterior.mean.size, 1))
    )
    covariance = np.einsum("aip,ajp->aij", spread, spread, optimize=True)
    size, turn = np.linalg.eigh(covariance)
    factor: FloatArray = turn * np.sqrt(np.maximum(size, 0.0))[:, None, :]  # L, [a, d + 1, d + 1]
    return factor.transpose(2, 0, 1)
