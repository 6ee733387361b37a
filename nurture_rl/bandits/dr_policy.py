"""A softmax policy of the highest doubly robust value."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.dr_scores import dr_scores
from nurture_rl.bandits.logged_choices import logged_choices
from nurture_rl.bandits.shrink_choice import searched
from nurture_rl.bandits.softmax_search import SoftmaxFamily, shared_basis
from nurture_rl.bandits.weighted_value import plain_mean
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DRPolicyConfig:
    """How to fit the value model and to search."""

    clip: float = 100.0  # largest inverse propensity that counts, >= 1
    caution: float = 0.5  # standard errors of the value that are taken off it, >= 0
    # Rows that the wish for small parameters counts, >= 0; None: by value on contacts set aside.
    shrink: float | None = None
    iterations: int = 100  # of L-BFGS, at most
    folds: int = 3  # parts of the contacts; each is scored by a value model of the others
    ridge: float | None = None  # of the value model: prior over noise precision; None: by evidence
    floor: float = 0.002  # least probability of a legal action

    def __post_init__(self) -> None:
        require_settings(
            self,
            clip=(1.0, inf),
            caution=(0.0, inf),
            shrink=(0.0, inf),
            folds=(2, inf),
        )


def fit_dr_policy(
    log: TrainingLog, config: DRPolicyConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Climb the doubly robust value of a softmax policy.

        maximise  mean_i u_i - caution stderr - shrink / (2 n) |theta|^2,
        u_i = sum_a pi(a|x_i) f(x_i, a) + pi(a_i|x_i) (R_i - f(x_i, a_i)) min(1 / p_i, clip)

    f is a linear value model, fitted to other contacts than it scores. What f explains costs no
    variance; what it gets wrong the logged rows correct, as long as propensities are true and the
    inverse is not clipped. The search is exact and deterministic, and finds a local maximum.

    Optimises the return of ONE decision: what the logging policy made of the rest of the episode
    after it. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions, with propensities.
        config: how to fit and to search.
        seed: of how contacts are dealt into folds, then of those set aside to choose `shrink`.
        progress: is told the objective, in standard deviations of a return, after each iteration.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, the objective reached
        (`objective`, the journey's unit; it flatters the policy, which was chosen by it) and
        `shrink`.

    Raises:
        FitError: the log lacks propensities, or there is too little to fit.

    Source: Dudik et al. (2011), Doubly Robust Policy Evaluation and Learning.
    """
    choices = logged_choices(log, "dr_policy")
    rng = np.random.default_rng(seed)
    scores = dr_scores(choices, config.folds, config.ridge, config.clip, rng)
    family = SoftmaxFamily(choices.context, choices.log.mask, shared_basis(log.catalog.factors))

    def gains(rows: slice) -> FloatArray:
        return scores.of(rows) / choices.unit

    def objective(numbers: FloatArray, rows: BoolArray) -> tuple[float, FloatArray]:
        return plain_mean(numbers, choices.cluster[rows], config.caution)

    theta, shrink = searched(
        choices, family, gains, objective, config.shrink, config.iterations, rng, progress
    )
    numbers = family.numbers(theta, gains)
    value = objective(numbers, np.isfinite(numbers))[0] * choices.unit
    told = {"objective": value, "shrink": shrink}
    return choices.policy(family.maps(theta)[None], Boltzmann(1.0), config.floor, told)
