"""SquareCB: an action is the rarer, the further its fitted return falls behind the best."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from nurture_rl.bandits.factored_actions import require_design
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.learned.choice_rules import InverseGap
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog


@dataclass(frozen=True, slots=True)
class SquareCBConfig:
    """How to fit and to explore."""

    scale: float = 1.0  # of the theory's gamma; smaller explores more, > 0
    gamma: float | None = None  # per unit of return, >= 0; None: by the theory
    floor: float = 0.0  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self, scale=(LEAST, inf), gamma=(0.0, inf))
        require_design(self)


def fit_squarecb(
    log: TrainingLog, config: SquareCBConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit the return of each action by ridge regression and draw by inverse gap weights.

        p(a) = 1 / (k + gamma gap(a)),    gamma = scale sqrt(k / error)

    The best of the k legal actions has the rest. `error` is the expected squared error of a
    fitted return (noise x design effect x effective parameters / rows), so gamma is in 1 per unit
    and gaps that the fit cannot tell from 0 leave the actions about as likely. With this scale the
    cost of exploring and the error of what is exploited are of one size; the theory's own constant
    is smaller by up to 30 times, for a guarantee in the worst case. k is the mean number of legal
    actions.

    A return is what the logging policy made of the rest of the episode, so this improves one
    decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to fit and to explore.
        seed: of the signs of the clustering measure.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does, and `gamma`.

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Foster & Rakhlin (2020), Beyond UCB; Simchi-Levi & Xu (2020), Bypassing the Monster,
        for gamma from the error of a fit to a log.
    """
    rng = np.random.default_rng(seed)
    fit = fit_returns(log, config.ridge, config.multipliers, rng, config.design)
    gamma = config.gamma
    if gamma is None:
        gamma = config.scale * sqrt(fit.legal / fit.error)
    policy = fit.policy(fit.mean_map(), InverseGap(gamma), config.floor, {"gamma": gamma})
    progress(0, dict(policy.fit))
    return policy
