"""Decisions with a choice and the probability of each, as off-policy learners take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.bandits.linear_policy import linear_policy
from nurture_rl.errors import FitError
from nurture_rl.learned.choice_rules import Rule
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LoggedChoices:
    """Rows with more than one legal action, and how likely the log was to do what it did."""

    log: TrainingLog
    moments: ContextMoments
    context: FloatArray  # [1, x~], [n, d + 1]
    cluster: IntArray  # contact, 0 .. C-1, [n]
    unit: float  # standard deviation of a return; objectives are counted in it

    def lead(self) -> FloatArray:
        """Returns less what a linear fit to the context alone says of them, [n]."""
        returns = self.log.returns
        return returns - self.context @ np.linalg.lstsq(self.context, returns, rcond=None)[0]

    def policy(
        self, maps: FloatArray, rule: Rule, floor: float, told: Mapping[str, float]
    ) -> ScoredPolicy:
        """The policy that acts on maps of [1, x~], [m, a, d + 1], by a rule."""
        return linear_policy(self.log, self.moments, maps, rule, floor, told)


def logged_choices(log: TrainingLog, learner: str) -> LoggedChoices:
    """The rows that an off-policy learner can use.

    Args:
        log: the decisions.
        learner: who asks, for the refusal.

    Raises:
        FitError: a propensity is unknown or not in (0, 1]; there are fewer rows than features or
            fewer than 2 contacts; or the returns do not vary.
    """
    rows = log.take(log.choice)
    bad = ~((rows.propensity > 0.0) & (rows.propensity <= 1.0))
    if bad.any():
        raise FitError(
            f"{learner} needs the probability with which the log took each action, and "
            f"{int(bad.sum())} of {bad.size} decisions lack it; log propensities, or use a learner "
            "that needs none, such as linear_thompson"
        )
    require_enough(rows)
    moments = ContextMoments.of(rows.features)
    context, unit = moments.extended(rows.features), float(rows.returns.std())
    return LoggedChoices(rows, moments, context, rows.code, unit)


def require_enough(rows: TrainingLog) -> None:
    """Guard rows with a choice.

    Raises:
        FitError: there are fewer rows than features or fewer than 2 contacts, or the returns do
            not vary.
    """
    n, d = rows.features.shape
    if n <= d + 1:
        raise FitError(f"expected more than {d + 1} rows for {d} features, got {n}; log longer")
    if rows.code.max() < 1:
        raise FitError("expected decisions of at least 2 contacts, got 1; log more contacts")
    if float(rows.returns.std()) <= 1e-6 * float(np.abs(rows.returns).max()):
        raise FitError(
            "expected returns that vary, got none left over; check that the outcomes were joined "
            "before fitting"
        )
