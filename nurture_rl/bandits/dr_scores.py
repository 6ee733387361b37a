"""Doubly robust scores: what every action would have earned in every logged row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.action_design import ActionDesign
from nurture_rl.bandits.linear_posterior import chosen_ridges, diagonal
from nurture_rl.bandits.linear_statistics import Equations, LinearStatistics
from nurture_rl.bandits.logged_choices import LoggedChoices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DRScores:
    """Scores by row and action, worked out as they are asked for."""

    choices: LoggedChoices
    maps: FloatArray  # value model of each fold, fitted to the other folds, [folds, a, d + 1]
    fold: IntArray  # of each row, [n]
    inverse: FloatArray  # min(1 / propensity, clip), [n]

    def of(self, rows: slice) -> FloatArray:
        """Scores of some rows, the journey's unit, [m, a].

        f(x_i, a) + [a = a_i] (R_i - f(x_i, a_i)) min(1 / p_i, clip)
        """
        context, action = self.choices.context[rows], self.choices.log.action[rows]
        scores = np.empty((action.size, self.maps.shape[1]))
        fold = self.fold[rows]
        for index, maps in enumerate(self.maps):
            inside = fold == index
            scores[inside] = context[inside] @ maps.T
        each = np.arange(action.size)
        surprise = self.choices.log.returns[rows] - scores[each, action]
        scores[each, action] += surprise * self.inverse[rows]
        return scores


def dr_scores(
    choices: LoggedChoices,
    folds: int,
    ridge: float | None,
    clip: float,
    rng: np.random.Generator,
) -> DRScores:
    """Fit a value model to the other folds for each fold of contacts.

    Args:
        choices: the decisions, with propensities.
        folds: parts of the contacts; at most one per contact is used.
        ridge: prior precision over noise precision of the value model; None: by evidence.
        clip: largest inverse propensity that counts.
        rng: deals the contacts.

    Raises:
        FitError: a part of the folds leaves fewer rows than features.

    Source: Dudik et al. (2011), Doubly Robust Policy Evaluation and Learning; Chernozhukov et al.
        (2018) for cross-fitting.
    """
    n_clusters = int(choices.cluster.max()) + 1
    folds = min(folds, n_clusters)
    fold = (rng.permutation(n_clusters) % folds)[choices.cluster]
    log, design = choices.log, ActionDesign(choices.log.catalog.factors)
    parts = []
    for index in range(folds):
        rows = fold == index
        sums = LinearStatistics.none(choices.moments, len(log.catalog))
        sums.add(log.features[rows], log.action[rows], log.returns[rows])
        parts.append(sums)
    maps = []
    for index in range(folds):
        others = LinearStatistics.together([*parts[:index], *parts[index + 1 :]])
        equations = Equations.of(others, design)
        maps.append(diagonal(equations, chosen_ridges(equations, ridge)).mean_map())
    inverse = np.minimum(1.0 / log.propensity, clip)
    return DRScores(choices, np.array(maps), fold, inverse)
