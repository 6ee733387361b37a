"""Cost-sensitive learning: doubly robust scores of all actions, and a regression of each."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from nurture_rl.bandits.action_design import ActionDesign
from nurture_rl.bandits.dr_scores import dr_scores
from nurture_rl.bandits.linear_posterior import chosen_ridges, diagonal
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.logged_choices import logged_choices
from nurture_rl.learned.choice_rules import Greedy
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog


@dataclass(frozen=True, slots=True)
class CostSensitiveConfig:
    """How to score and to fit."""

    clip: float = 100.0  # largest inverse propensity that counts, >= 1
    folds: int = 3  # parts of the contacts; each is scored by a value model of the others
    ridge: float | None = None  # prior over noise precision of both models; None: by evidence
    floor: float = 0.002  # least probability of a legal action

    def __post_init__(self) -> None:
        require_settings(self, clip=(1.0, inf), folds=(2, inf))


def fit_cost_sensitive(
    log: TrainingLog, config: CostSensitiveConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Reduce learning from a log to regressions: score every action of every row, then fit.

        G_ia = f(x_i, a) + [a = a_i] (R_i - f(x_i, a_i)) min(1 / p_i, clip)

    In every row every legal action has a doubly robust score, as if all of them had been tried.
    The score of each action is regressed on the context over all rows where it was legal, and the
    policy takes the action of the highest prediction. So the fit is about all contexts, and not
    about those in which the log liked the action: where the truth is not linear and the log's
    choice depended on the context, a plain regression of returns is pulled towards the log's
    habits and this is not. There is no search, hence no local maximum.

    Optimises the return of ONE decision: what the logging policy made of the rest of the episode
    after it. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions, with propensities.
        config: how to score and to fit.
        seed: of how contacts are dealt into folds.
        progress: is told once, what the fit saw.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, and the ridges of the last fit
        (`ridge_main`, `ridge_crossed`).

    Raises:
        FitError: the log lacks propensities, or there is too little to fit.

    Source: Beygelzimer & Langford (2009), The Offset Tree, and Dudik et al. (2011) for the
        reduction; one regression per action as in Bietti et al. (2021), A Contextual Bandit
        Bake-off.
    """
    choices = logged_choices(log, "cost_sensitive")
    rows = choices.log
    scores = dr_scores(
        choices, config.folds, config.ridge, config.clip, np.random.default_rng(seed)
    ).of(slice(None))
    sums = LinearStatistics.none(choices.moments, len(rows.catalog))
    for action in range(len(rows.catalog)):
        legal = np.flatnonzero(rows.mask[:, action])
        taken = np.full(legal.size, action)
        sums.add(rows.features[legal], taken, scores[legal, action])
    equations = Equations.of(sums, ActionDesign(rows.catalog.factors))
    ridges = chosen_ridges(equations, config.ridge)
    maps = diagonal(equations, ridges).mean_map()
    told = {"ridge_main": ridges.main, "ridge_crossed": ridges.crossed}
    policy = choices.policy(maps[None], Greedy(), config.floor, told)
    progress(0, dict(policy.fit))
    return policy
