"""Sums over decisions that a linear model of returns is fitted from; rows can be added at any time.

A fit needs nothing of the rows but these sums, so a model that has learned from a log learns from
another day's decisions by adding them, one by one or many at once. Nothing is ever forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from nurture_rl.bandits.action_design import ActionDesign, ContextMoments, rows_by_action
from nurture_rl.errors import FitError, ShapeError

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CONTEXT_RIDGE = 1e-8  # of the row count: makes collinear context columns solvable, shrinks nothing
_FEW = 16  # rows that are added one by one faster than together


@dataclass(slots=True, eq=False)
class LinearStatistics:
    """Weighted sums of [1, x~] and of returns, by action."""

    moments: ContextMoments  # standardise x to x~; they stay as they are when rows are added
    gram: FloatArray  # sum of w [1, x~] [1, x~]^T, [a, d + 1, d + 1]
    target: FloatArray  # sum of w r [1, x~], [a, d + 1]
    squares: float = 0.0  # sum of w r^2, unit^2
    rows: int = 0  # added so far

    @classmethod
    def none(cls, moments: ContextMoments, n_actions: int) -> LinearStatistics:
        """The sums of no rows.

        Args:
            moments: of the contexts, from the first rows.
            n_actions: actions of the catalogue, a.
        """
        width = moments.mean.size + 1
        return cls(moments, np.zeros((n_actions, width, width)), np.zeros((n_actions, width)))

    @classmethod
    def together(cls, parts: Sequence[LinearStatistics]) -> LinearStatistics:
        """The sums of all rows of some parts, which have the same moments."""
        return cls(
            moments=parts[0].moments,
            gram=np.sum([part.gram for part in parts], axis=0),
            target=np.sum([part.target for part in parts], axis=0),
            squares=sum(part.squares for part in parts),
            rows=sum(part.rows for part in parts),
        )

    def add(
        self,
        features: FeatureArray,
        action: IntArray,
        returns: FloatArray,
        weight: FloatArray | None = None,
    ) -> None:
        """Add decisions.

        Args:
            features: contexts, [n, d].
            action: position in the catalogue, [n].
            returns: the journey's unit, [n].
            weight: how often each row counts, >= 0, [n]; once each if None.

        Raises:
            ShapeError: the arrays do not fit together.
        """
        n, d = action.size, self.moments.mean.size
        if features.shape != (n, d) or returns.shape != (n,):
            raise ShapeError(
                f"expected features [{n}, {d}] and returns [{n}] of {n} actions, got "
                f"{features.shape} and {returns.shape}; use the journey the sums began with"
            )
        if n <= _FEW:
            self._add_each(self.moments.extended(features), action, returns, weight)
        else:
            for index, part in rows_by_action(action, len(self.gram)):
                x = self.moments.extended(features[part])
                weighted = x if weight is None else weight[part, None] * x
                self.gram[index] += weighted.T @ x
                self.target[index] += weighted.T @ returns[part]
        squared = returns @ returns if weight is None else weight @ returns**2
        self.squares += float(squared)
        self.rows += n

    def _add_each(
        self, context: FloatArray, action: IntArray, returns: FloatArray, weight: FloatArray | None
    ) -> None:
        for row, index in enumerate(action.tolist()):
            x = context[row]
            weighted = x if weight is None else weight[row] * x
            self.gram[index] += weighted[:, None] * x
            self.target[index] += returns[row] * weighted


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """Normal equations of the action part after the context part is projected out."""

    design: ActionDesign
    gram: FloatArray  # [p, p]
    right: FloatArray  # [p]
    leftover: float  # sum of squared returns that the context leaves, unit^2
    freedom: int  # rows less context columns
    context_mean: FloatArray  # coefficients of [1, x~] if the action part were 0, [d + 1]
    context_slope: FloatArray  # how they fall with the action part, [d + 1, p]

    @classmethod
    def of(cls, sums: LinearStatistics, design: ActionDesign) -> Equations:
        """The equations of some rows.

        Raises:
            FitError: fewer rows than context columns.
        """
        d = sums.moments.mean.size
        if sums.rows <= d + 1:
            raise FitError(
                f"expected more than {d + 1} rows for {d} features, got {sums.rows}; log longer"
            )
        # The intercept is spared, or a high mean return would leave some of itself as noise.
        dust = _CONTEXT_RIDGE * sums.rows * np.diag(np.arange(d + 1) > 0)
        factor = cho_factor(sums.gram.sum(axis=0) + dust)
        cross = design.lift(sums.gram)  # [p, d + 1]
        target = sums.target.sum(axis=0)
        context_mean = cho_solve(factor, target)
        context_slope = cho_solve(factor, cross.T)
        return cls(
            design=design,
            gram=design.gram(sums.gram) - cross @ context_slope,
            right=design.lift(sums.target[:, :, None])[:, 0] - cross @ context_mean,
            leftover=float(sums.squares - target @ context_mean),
            freedom=sums.rows - d - 1,
            context_mean=context_mean,
            context_slope=context_slope,
        )

    def maps(self, coefficients: FloatArray) -> FloatArray:
        """Predicted return of every action as a linear map of [1, x~], [a, d + 1, r].

        The context part is at its mean given the action part.

        Args:
            coefficients: r vectors of the action part, [p, r].
        """
        context = self.context_mean[:, None] - self.context_slope @ coefficients
        return np.asarray(self.design.maps(coefficients) + context, np.float64)
