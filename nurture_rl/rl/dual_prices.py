"""Limits on what a policy uses up: the price of each limit, found by column generation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from nurture_rl.errors import FitError, ShapeError

FloatArray = NDArray[np.float64]
_CLOSE = 1e-9  # of two prices, beside which they are the same


@dataclass(frozen=True, slots=True, eq=False)
class PlayedColumn:
    """What one policy earns and uses up."""

    value: float  # the journey's unit per contact, without any price
    use: FloatArray  # of each limit, per contact, [K]


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """The best mixture of the columns within the limits, and what each limit costs."""

    prices: FloatArray  # gain by one more unit of each limit, >= 0, [K]
    value: float  # of the mixture, per contact
    shares: FloatArray  # of each column in the mixture, sum to 1, [columns]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """Where the search for prices ended."""

    best: Priced
    columns: tuple[PlayedColumn, ...]
    asked: tuple[FloatArray, ...]  # the prices at which each column was learned, [K] each
    # No mixture of policies that the learner finds is worth more within the limits, as far as it
    # finds the best policy at every price that was asked.
    most: float


def priced(columns: Sequence[PlayedColumn], limits: FloatArray) -> Priced:
    """Mix policies, contact by contact, for the highest value within the limits.

        max_w sum_i w_i v_i    with sum_i w_i use_i <= limits, sum_i w_i = 1, w >= 0

    The prices are the program's dual variables: the derivative of its value by each limit.

    Args:
        columns: at least one; one of them must be within the limits, or a mixture.
        limits: most use per contact, [K].

    Raises:
        FitError: no mixture is within the limits.
        ShapeError: a column's use is not [K].
    """
    uses = np.array([column.use for column in columns], np.float64)
    if uses.ndim != 2 or uses.shape[1:] != limits.shape:
        raise ShapeError(
            f"expected the use of {limits.size} limits in each column, got {uses.shape}"
        )
    values = np.array([column.value for column in columns])
    found = linprog(
        -values,
        A_ub=uses.T,
        b_ub=limits,
        A_eq=np.ones((1, len(values))),
        b_eq=[1.0],
        method="highs",
    )
    if not found.success:
        raise FitError(
            "no policy that was tried keeps to the limits, nor a mixture of them; raise a limit, "
            "or let the policy go farther from the log (data.trust.max_ratio)"
        )
    prices = np.maximum(-np.asarray(found.ineqlin.marginals, np.float64), 0.0)
    return Priced(prices, float(-found.fun), np.asarray(found.x, np.float64))


def search_prices(
    learn: Callable[[FloatArray], PlayedColumn],
    known: Sequence[PlayedColumn],
    limits: FloatArray,
    trainings: int,
    tolerance: float,
) -> Search:
    """Learn policies at prices until no further one is worth a place in the mixture.

    A policy learned at prices p maximises v - p use. Where it is not worth more by that measure
    than the mixture is, the mixture is the best there is, and p are the prices of the limits. Until
    then each training brings a policy that the mixture lacked.

    Args:
        learn: prices [K] -> what the policy learned at them earns and uses up.
        known: policies that are there already, at least one of them within the limits.
        limits: most use per contact, [K].
        trainings: at most so many.
        tolerance: a gain up to this share of the mixture's value ends the search, >= 0.

    Raises:
        FitError: no mixture is within the limits.

    Source: Dantzig & Wolfe (1960), Decomposition Principle for Linear Programs; for learners, Le,
        Voloshin & Yue (2019), Batch Policy Learning under Constraints.
    """
    columns, asked = list(known), [np.full(limits.size, np.nan) for _ in known]
    most, prices = inf, np.zeros(limits.size)  # first without any price
    for _ in range(trainings):
        column = learn(prices)
        columns.append(column)
        asked.append(prices)
        bounds = [one.value - float(prices @ (one.use - limits)) for one in columns]
        most = min(most, max(bounds))
        best = priced(columns, limits)
        reached = max(abs(best.value), 1e-12) * tolerance
        if most - best.value <= reached or _same(best.prices, asked):
            break
        prices = best.prices
    return Search(priced(columns, limits), tuple(columns), tuple(asked), most)


def _same(prices: FloatArray, asked: Sequence[FloatArray]) -> bool:
    """Whether a policy was learned at these prices already."""
    return any(np.allclose(prices, one, rtol=_CLOSE, atol=_CLOSE) for one in asked)
