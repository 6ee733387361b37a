"""Boltzmann exploration: the higher an action's fitted return, the likelier it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from nurture_rl.bandits.factored_actions import require_design
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import LEAST, require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog


@dataclass(frozen=True, slots=True)
class BoltzmannConfig:
    """How to fit and to explore."""

    # In the journey's unit, > 0; None: the root mean squared error of a fitted return.
    temperature: float | None = None
    floor: float = 0.002  # least probability of a legal action
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 256  # sign vectors that measure the clustering by contact
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self, temperature=(LEAST, inf))
        require_design(self)


def fit_boltzmann(
    log: TrainingLog, config: BoltzmannConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit the return of each action by ridge regression and draw by a softmax of the returns.

        p(a) ~ exp(return(a) / temperature)

    The temperature is, unless it is given, the root mean squared error of a fitted return: actions
    whose gap is within the error stay about as likely, others fade. As the log grows it falls, and
    with it the exploration.

    A return is what the logging policy made of the rest of the episode, so this improves one
    decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to fit and to explore.
        seed: of the signs of the clustering measure.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does, and `temperature`.

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Sutton & Barto (2018), Reinforcement Learning, 2.8; Cesa-Bianchi et al. (2017),
        Boltzmann Exploration Done Right, for a temperature that follows the error.
    """
    rng = np.random.default_rng(seed)
    fit = fit_returns(log, config.ridge, config.multipliers, rng, config.design)
    temperature = sqrt(fit.error) if config.temperature is None else config.temperature
    chosen = {"temperature": temperature}
    policy = fit.policy(fit.mean_map(), Boltzmann(temperature), config.floor, chosen)
    progress(0, dict(policy.fit))
    return policy
