"""How strongly a searched policy is held near even, by its value on contacts set aside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nurture_rl.bandits.logged_choices import LoggedChoices
from nurture_rl.bandits.softmax_search import Gains, SoftmaxFamily, Total
from nurture_rl.learned.training_log import Progress

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
# Of the numbers of some rows, and which they are: the objective and its derivatives, [m] each.
Objective = Callable[[FloatArray, BoolArray], tuple[float, FloatArray]]

GRID = (1.0, 10.0, 100.0, 1000.0)  # rows
_ASIDE = 1.0 / 3.0  # of the contacts


def searched(
    choices: LoggedChoices,
    family: SoftmaxFamily,
    gains: Gains,
    objective: Objective,
    shrink: float | None,
    iterations: int,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[FloatArray, float]:
    """Parameters of the best policy on all rows, and the shrink they were found with.

    A value climbed on some rows flatters itself on these rows, the more parameters there are. So
    every shrink of a grid is tried on two thirds of the contacts and judged on the others by the
    same objective, before the search on all.

    Args:
        choices: the decisions.
        family: where to search.
        gains: of rows: what a unit of each action's probability adds to the row's number, [m, a].
        objective: of the numbers of some rows.
        shrink: rows that the wish for small parameters counts; None: chosen so.
        iterations: at most, of each search.
        rng: sets contacts aside.
        progress: is told the objective after each iteration of the last search.
    """
    every = np.ones(len(choices.context), np.bool_)
    if shrink is None:
        aside = (rng.random(int(choices.cluster.max()) + 1) < _ASIDE)[choices.cluster]
        values = [-np.inf]
        if aside.any() and not aside.all():
            values = [
                objective(
                    _numbers(family, gains, objective, ~aside, one, iterations)[aside], aside
                )[0]
                for one in GRID
            ]
        shrink = GRID[int(np.argmax(values))]
    return family.best(gains, _on(objective, every), shrink, iterations, progress), shrink


def _numbers(
    family: SoftmaxFamily,
    gains: Gains,
    objective: Objective,
    rows: BoolArray,
    shrink: float,
    iterations: int,
) -> FloatArray:
    """Every row's number under the policy that is best on some rows, [n]."""
    total = _on(objective, rows)
    theta = family.best(gains, total, shrink, iterations, lambda step, numbers: None)
    return family.numbers(theta, gains)


def _on(objective: Objective, rows: BoolArray) -> Total:
    """The objective of some rows as one of all, which the others do not move."""

    def total(numbers: FloatArray) -> tuple[float, FloatArray]:
        value, slope = objective(numbers[rows], rows)
        every = np.zeros(numbers.size)
        every[rows] = slope
        return value, every

    return total
