"""Epsilon-greedy: the action of the best fitted return, and now and then any other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.bandits.factored_actions import require_design
from nurture_rl.bandits.returns_fit import fit_returns
from nurture_rl.learned.choice_rules import EpsilonGreedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog


@dataclass(frozen=True, slots=True)
class EpsilonGreedyConfig:
    """How to fit and to explore."""

    epsilon: float = 0.1  # share of decisions drawn evenly among the legal actions, in [0, 1]
    ridge: float | None = None  # prior precision over noise precision; None: by evidence
    multipliers: int = 64  # sign vectors that measure the clustering by contact; for the report
    design: str = "cells"  # what actions share: cells (an effect each) or factors (main and pairs)

    def __post_init__(self) -> None:
        require_settings(self, epsilon=(0.0, 1.0))
        require_design(self)


def fit_epsilon_greedy(
    log: TrainingLog, config: EpsilonGreedyConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Fit the return of each action by ridge regression; take the best, explore at random.

        p(a) = epsilon / k + (1 - epsilon) [a is the best of the k legal actions]

    The plainest way to explore, and the one to beat: it tries a hopeless action as often as a
    promising one. A return is what the logging policy made of the rest of the episode, so this
    improves one decision at a time. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        config: how to fit and to explore.
        seed: of the signs of the clustering measure.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells what that of `linear_thompson` does.

    Raises:
        FitError: `fit_posterior` cannot work with so little.

    Source: Sutton & Barto (2018), Reinforcement Learning, 2.2.
    """
    rng = np.random.default_rng(seed)
    fit = fit_returns(log, config.ridge, config.multipliers, rng, config.design)
    policy = fit.policy(fit.mean_map(), EpsilonGreedy(config.epsilon), 0.0, {})
    progress(0, dict(policy.fit))
    return policy
