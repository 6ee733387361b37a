"""A softmax policy of the highest importance-weighted value (POEM)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.logged_choices import LoggedChoices, logged_choices
from nurture_rl.bandits.shrink_choice import searched
from nurture_rl.bandits.softmax_search import Gains, SoftmaxFamily, shared_basis
from nurture_rl.bandits.weighted_value import self_normalised
from nurture_rl.learned.choice_rules import Boltzmann
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.setting_ranges import require_settings
from nurture_rl.learned.training_log import Progress, TrainingLog

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class IPWPolicyConfig:
    """How to search."""

    clip: float = 20.0  # largest importance weight that counts, >= 1
    caution: float = 1.0  # standard errors of the value that are taken off it, >= 0; see below
    # Rows that the wish for small parameters counts, >= 0; None: by value on contacts set aside.
    shrink: float | None = None
    iterations: int = 100  # of L-BFGS, at most
    floor: float = 0.002  # least probability of a legal action

    def __post_init__(self) -> None:
        require_settings(self, clip=(1.0, inf), caution=(0.0, inf), shrink=(0.0, inf))


def fit_ipw_policy(
    log: TrainingLog, config: IPWPolicyConfig, seed: int, progress: Progress
) -> ScoredPolicy:
    """Climb the value that the log's own decisions give a softmax policy.

        maximise  V - caution (stderr(V) + missing) - shrink / (2 n) |theta|^2,
        V = sum_i v_i (R_i - m(x_i)) / sum_i v_i,    v_i = min(pi(a_i|x_i) / p_i, clip)

    p_i is the logged propensity; nothing is assumed about how returns depend on the action, so a
    wrong value model cannot mislead it, at the price of variance: with many actions or rare ones
    `dr_policy` or `mips_policy` learn more from the same log. The standard error, summed by
    contact, keeps it from policies that look good by few lucky rows.

    A self-normalised value rises when a policy gives contexts of low returns to actions that the
    log happened never to take there, for then these rows lose their weight. Two things prevent it.
    m, a linear fit of returns to the context alone, moves no policy's true value against
    another's, and takes most of the gain away. `missing` is what the mean weight lacks to 1: it
    counts as so many standard deviations of a return lost.

    The search is exact and deterministic, and finds a local maximum.

    The policy draws: an action that is hardly worse keeps its chance, and none falls below `floor`.
    Of 20 logs of 2,000 decisions among ten actions, clicks of 0 or 1, it earned 0.730 and the
    IPWLearner of Open Bandit Pipeline with logistic regression, which takes one action and draws
    nothing, 0.746: 0.015 more (0.007 to 0.023, paired). The likeliest action of this policy alone
    earned 0.748, 0.003 more than that learner (-0.004 to 0.009). So it finds as much, and the
    difference is the price of drawing, which a next log needs (`benchmarks/learned_values.py`).

    Optimises the return of ONE decision: what the logging policy made of the rest of the episode
    after it. Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions, with propensities.
        config: how to search.
        seed: of the contacts set aside to choose `shrink`.
        progress: is told the objective, in standard deviations of a return, after each iteration.

    Returns:
        The policy; its `fit` tells rows with a choice, contacts, the objective reached (`lead`
        over the log, the journey's unit; it flatters the policy, which was chosen by it), the
        effective sample size (`ess`) and the mean (`mean_weight`) of its weights, and `shrink`.

    Raises:
        FitError: the log lacks propensities, or there is too little to fit.

    Source: Swaminathan & Joachims (2015), Counterfactual Risk Minimization (POEM), with the
        self-normalised estimator of the same authors, who call what is prevented here propensity
        overfitting.
    """
    choices = logged_choices(log, "ipw_policy")
    family = SoftmaxFamily(choices.context, choices.log.mask, shared_basis(log.catalog.factors))
    taken = np.eye(len(log.catalog))

    def gains(rows: slice) -> FloatArray:
        return taken[choices.log.action[rows]] / choices.log.propensity[rows, None]

    return weighted_policy(choices, family, gains, config, np.random.default_rng(seed), progress)


def weighted_policy(
    choices: LoggedChoices,
    family: SoftmaxFamily,
    gains: Gains,
    config: IPWPolicyConfig,
    rng: np.random.Generator,
    progress: Progress,
) -> ScoredPolicy:
    """The policy of the family with the highest self-normalised value.

    Args:
        choices: the decisions.
        family: where to search.
        gains: of rows: what a unit of each action's probability adds to the row's weight, [m, a].
        config: how to search.
        rng: sets contacts aside.
        progress: is told the objective after each iteration.
    """
    returns = choices.lead() / choices.unit

    def objective(weight: FloatArray, rows: BoolArray) -> tuple[float, FloatArray]:
        cluster = choices.cluster[rows]
        return self_normalised(weight, returns[rows], cluster, config.clip, config.caution)

    theta, shrink = searched(
        choices, family, gains, objective, config.shrink, config.iterations, rng, progress
    )
    weight = np.minimum(family.numbers(theta, gains), config.clip)
    told = {
        "lead": objective(weight, weight >= 0.0)[0] * choices.unit,
        "ess": float(weight.sum() ** 2 / (weight @ weight)),
        "mean_weight": float(weight.mean()),
        "shrink": shrink,
    }
    return choices.policy(family.maps(theta)[None], Boltzmann(1.0), config.floor, told)
