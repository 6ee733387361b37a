"""The linear model of returns that several learners act on, each by a rule of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments
from nurture_rl.bandits.factored_actions import design_of
from nurture_rl.bandits.linear_policy import linear_policy
from nurture_rl.bandits.linear_posterior import LinearPosterior, Sample, fit_posterior
from nurture_rl.learned.choice_rules import Rule
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ReturnsFit:
    """Posterior of each action's return, given the context."""

    log: TrainingLog  # rows with a choice, which it was fitted to
    moments: ContextMoments
    posterior: LinearPosterior

    @property
    def error(self) -> float:
        """Mean squared error of a fitted return at a logged decision, as its posterior has it.

            error = noise x design effect x effective parameters / rows,    unit^2

        At least one parameter is counted, or a model that found nothing would claim to be exact.
        """
        found = self.posterior
        parameters = max(found.effective_parameters, 1.0)
        return float(found.noise * found.design_effect * parameters / self.log.action.size)

    @property
    def legal(self) -> float:
        """Mean number of legal actions."""
        return float(self.log.mask.sum(axis=1).mean())

    def mean_map(self) -> FloatArray:
        """Expected return of every action as one linear map of [1, x~], [1, a, d + 1]."""
        return self.posterior.mean_map()[None]

    def policy(
        self, maps: FloatArray, rule: Rule, floor: float, chosen: Mapping[str, float]
    ) -> ScoredPolicy:
        """The policy that acts on some maps of [1, x~] by a rule.

        Args:
            maps: scores, [m, a, d + 1].
            rule: from scores to probabilities.
            floor: least probability of a legal action.
            chosen: numbers of the learner, told beside those of the fit.
        """
        found = self.posterior
        told = {
            **found.ridges.told(found.equations.design.names),
            "noise": found.noise,
            "design_effect": found.design_effect,
            "effective_parameters": found.effective_parameters,
            **chosen,
        }
        return linear_policy(self.log, self.moments, maps, rule, floor, told)


def fit_returns(
    log: TrainingLog,
    ridge: float | None,
    multipliers: int,
    rng: np.random.Generator,
    design: str = "cells",
) -> ReturnsFit:
    """Fit the return of each action by Bayesian linear regression.

    Rows with one legal action show no choice and are left out.

    Args:
        log: the decisions.
        ridge: prior precision over noise precision of all effects; None: by evidence.
        multipliers: sign vectors that measure the clustering by contact.
        rng: draws the signs.
        design: what actions share, see `design_of`.

    Raises:
        FitError: `fit_posterior` cannot work with so little.
    """
    shared = design_of(log.catalog, log.columns, design)
    return fit_designed(log, shared, ridge, multipliers, rng)


def fit_designed(
    log: TrainingLog,
    design: ActionDesign,
    ridge: float | None,
    multipliers: int,
    rng: np.random.Generator,
) -> ReturnsFit:
    """As `fit_returns`, with a design of one's own.

    Raises:
        FitError: `fit_posterior` cannot work with so little.
    """
    rows = log.take(log.choice)
    sample = Sample(rows.features, rows.action, rows.returns, rows.code)
    moments = ContextMoments.of(sample.features)
    posterior = fit_posterior(sample, moments, design, rng, ridge, multipliers)
    return ReturnsFit(rows, moments, posterior)
