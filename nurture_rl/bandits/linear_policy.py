"""A policy whose scores are linear in the context, with what its fit saw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ContextMoments
from nurture_rl.learned.choice_rules import Rule
from nurture_rl.learned.scored import ScoredModule, ScoredPolicy
from nurture_rl.learned.training_log import TrainingLog


def linear_policy(
    rows: TrainingLog,
    moments: ContextMoments,
    maps: NDArray[np.float64],
    rule: Rule,
    floor: float,
    told: Mapping[str, float],
) -> ScoredPolicy:
    """The policy that acts on linear scores by a rule.

    Args:
        rows: what it was fitted to.
        moments: of their contexts.
        maps: scores as linear maps of [1, x~], [m, a, d + 1].
        rule: from scores to probabilities.
        floor: least probability of a legal action.
        told: numbers of the learner, which stand behind `rows` and `clusters` in the fit.
    """
    fit = {"rows": float(rows.action.size), "clusters": float(rows.code.max()) + 1.0, **told}
    module = ScoredModule((moments.mean, moments.scale), [], maps, rule, floor)
    return ScoredPolicy(rows.catalog.hash, rows.columns, module, fit)
