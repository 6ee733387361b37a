"""The difference of two arms in a mean or a ratio, adjusted for what was known before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_RARE = 20  # units unlike most, below which an arm's own variance is not to be trusted
_UNITS_PER_COVARIATE = 20  # of the smaller arm; with fewer, the adjustment costs more than it gains


@dataclass(frozen=True, slots=True, eq=False)
class Contrast:
    """Two arms in one key figure."""

    treated: float  # the figure in the arm that is asked about
    usual: float  # in the arm it is compared with
    difference: float  # treated less usual, adjusted
    stderr: float  # of the difference
    influence: FloatArray  # what each unit adds to the difference's error, [u]
    raw: float  # the difference without adjustment
    explained: float  # part of the variance that the adjustment takes away, at most 1

    @property
    def units(self) -> int:
        """Units of both arms."""
        return self.influence.size


def contrast(
    treated: BoolArray,
    amount: FloatArray,
    per: FloatArray,
    known: FloatArray | None = None,
) -> Contrast:
    """Compare two arms, unit by unit.

        R_a = sum_{i in a} amount_i / sum_{i in a} per_i,        a: treated or usual
        z_i = (amount_i - R_a per_i) / mean_a(per)               sums to 0 in each arm
        theta_a = R_a + beta_a (mean x - mean_a x)               beta_a: z on x in arm a
        difference = theta_treated - theta_usual

    With `per` = 1 that is the difference of two means with the fully interacted regression
    adjustment (CUPED with one slope an arm); with contacts of an account in `per`, the mean per
    contact where accounts were dealt. The error counts units as independent, never contacts. An arm
    in which fewer than 20 units are unlike most of it, as where events are rare or nearly all have
    one, varies at least as both arms together do: without an event it would seem to be known
    exactly. Where no unit of both differs from another, the error is infinite.

    Args:
        treated: which units have the arm that is asked about, [u].
        amount: what was counted for the unit, [u].
        per: what it is counted per, at least 0, [u]: contacts of the unit, or its sends.
        known: numbers known before the unit was dealt, [u, p]; None: no adjustment.

    Raises:
        ShapeError: arrays do not fit; an arm has fewer than two units, or nothing to count per.

    Source: Lin (2013), Agnostic notes on regression adjustments; Deng et al. (2013), CUPED;
        Deng, Knoblich & Lu (2018), Applying the delta method in metric analytics.
    """
    n = treated.size
    if amount.shape != (n,) or per.shape != (n,) or (known is not None and known.shape[0] != n):
        raise ShapeError(f"expected {n} units in every array, got {amount.shape}, {per.shape}")
    sides = [_side(np.flatnonzero(treated == arm), amount, per) for arm in (True, False)]
    raw = sides[0].ratio - sides[1].ratio
    plain = sides[0].spread() - sides[1].spread()
    added = sum(side.missing_variance(amount, per) for side in sides)
    x = _usable(known, min(side.rows.size for side in sides))
    if x is None:
        error = float(np.sqrt(np.square(plain).sum() + added))
        return Contrast(sides[0].ratio, sides[1].ratio, raw, error, plain, raw, 0.0)
    (first, one), (second, other) = (side.adjusted(x) for side in sides)
    influence = one - other
    square, before = float(np.square(influence).sum()), float(np.square(plain).sum())
    return Contrast(
        treated=sides[0].ratio,
        usual=sides[1].ratio,
        difference=first - second,
        stderr=float(np.sqrt(square + added)),
        influence=influence,
        raw=raw,
        explained=1.0 - square / before if before > 0.0 else 0.0,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One arm."""

    rows: NDArray[np.int64]  # its units
    total: int  # units of both arms
    ratio: float
    z: FloatArray  # linearised figure of its units; sums to 0

    def spread(self) -> FloatArray:
        """Influence of every unit on the arm's figure, [u]."""
        m = self.rows.size
        out = np.zeros(self.total)
        out[self.rows] = self.z / m * np.sqrt(m / (m - 1.0))
        return out

    def missing_variance(self, amount: FloatArray, per: FloatArray) -> float:
        """What the arm's variance lacks where nearly all its units are alike."""
        rates = np.divide(amount, per, out=np.zeros(self.total), where=per > 0.0)
        alike = np.unique(rates[self.rows], return_counts=True)[1].max()
        if self.rows.size - alike >= _RARE:
            return 0.0
        if rates.min() == rates.max():
            return float("inf")
        pooled = amount - amount.sum() / per.sum() * per
        lacking = float(np.square(pooled).mean() / per.mean() ** 2 - np.square(self.z).mean())
        return max(lacking, 0.0) / self.rows.size

    def adjusted(self, x: FloatArray) -> tuple[float, FloatArray]:
        """The figure at the covariates of both arms, and its influence, [u].

        Args:
            x: covariates less their means over both arms, [u, p].
        """
        m, p = self.rows.size, x.shape[1]
        mean = x[self.rows].mean(axis=0)
        inside = x[self.rows] - mean
        slope = np.linalg.lstsq(inside, self.z, rcond=None)[0]
        influence = x @ slope / self.total
        own = (self.z - inside @ slope) / m * np.sqrt(m / (m - 1.0 - p))
        influence[self.rows] += own
        return self.ratio - float(mean @ slope), influence


def _side(rows: NDArray[np.int64], amount: FloatArray, per: FloatArray) -> _Side:
    if rows.size < 2 or per[rows].sum() <= 0.0:
        raise ShapeError(
            f"expected at least 2 units in each arm and something to count per, got {rows.size} "
            "units in one; wait for more contacts"
        )
    ratio = float(amount[rows].sum() / per[rows].sum())
    z = (amount[rows] - ratio * per[rows]) / per[rows].mean()
    return _Side(rows, amount.size, ratio, z)


def _usable(known: FloatArray | None, smaller: int) -> FloatArray | None:
    """Covariates that vary, less their means, in standard deviations; None: too many, or none."""
    if known is None:
        return None
    x = known - known.mean(axis=0)
    spread = x.std(axis=0)
    x = x[:, spread > 0.0] / spread[spread > 0.0]
    if x.shape[1] == 0 or smaller < _UNITS_PER_COVARIATE * x.shape[1]:
        return None
    return np.asarray(x, np.float64)
