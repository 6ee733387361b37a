"""MAGIC: the blend of model and weights whose estimated mean squared error is least."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy import optimize

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, estimate_from
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.sequential.weighted_dr import PartialHorizons, partial_horizons
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.slope import reaching_over

TRUSTED = 0.5  # level of the interval of WDR from which a partial horizon's bias is read


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """The shares that MAGIC gives to its partial horizons."""

    shares: FloatArray  # of V_0 (model alone) .. V_H (WDR), on the simplex, [1 + H]
    bias: FloatArray  # estimated bias of each, in the log's unit, [1 + H]
    covariance: FloatArray  # of their errors, unit squared, [1 + H, 1 + H]


def magic(log: EvaluationLog, taken: FloatArray, predictions: ValuePredictions) -> ValueEstimate:
    """Estimate a policy's value by the least-error blend of model and weighted corrections.

        V = sum_j s_j V_j,    s = argmin over the simplex of  s' (Cov + b b') s

    with V_j the partial horizons of `weighted`, Cov the covariance of their errors over contacts,
    and b_j the distance from V_j to the 50 % interval of WDR. The direct method wins where weights
    explode, WDR where there is enough of the log. Consistent where WDR is.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.

    Returns:
        The estimate. The noise of the blend knows no bias of the model, so the error is that of
        WDR, stretched until its 95 % interval contains WDR's: the value may be the better one,
        the certainty is not.

    Raises:
        OverlapError, ShapeError, ProbabilityError: as `partial_horizons`.

    Source: Thomas & Brunskill (2016), Data-Efficient Off-Policy Policy Evaluation for
        Reinforcement Learning, sec. 6-7; the interval here is normal instead of bootstrapped.
    """
    horizons = partial_horizons(log, taken, predictions)
    shares = blend(horizons).shares
    unbiased = estimate_from(
        log, float(horizons.values[-1]), horizons.influence[:, -1], horizons.ess
    )
    return reaching_over(unbiased, float(shares @ horizons.values))


def blend(horizons: PartialHorizons) -> Blend:
    """The shares that minimise the estimated mean squared error."""
    contacts = horizons.influence.shape[0]
    inflation = contacts / (contacts - 1) if contacts > 1 else 1.0
    covariance = inflation * horizons.influence.T @ horizons.influence
    half = NormalDist().inv_cdf(0.5 + TRUSTED / 2.0) * np.sqrt(covariance[-1, -1])
    away = horizons.values - horizons.values[-1]
    bias = np.sign(away) * np.maximum(np.abs(away) - half, 0.0)
    return Blend(simplex_minimum(covariance + np.outer(bias, bias)), bias, covariance)


def simplex_minimum(matrix: FloatArray) -> FloatArray:
    """argmin s' M s over s >= 0, sum s = 1, for a positive semidefinite M, [J, J] -> [J].

    With M = L'L, the s >= 0 that minimises |L s|^2 + (1's - 1)^2 points the same way: along a ray
    c s it costs c^2 q + (c - 1)^2, least q / (1 + q), which grows with q = s' M s. That problem is
    non-negative least squares, solved exactly by an active set.

    Raises:
        ShapeError: `matrix` is not square.
        FitError: an entry that is not finite.

    Source: Lawson & Hanson (1974), Solving Least Squares Problems, ch. 23.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"expected a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise FitError(
            "the errors to be blended leave the range of floating point numbers; stay closer to "
            "the logging policy, or state rewards in a larger unit"
        )
    size = float(np.diag(matrix).max())
    if size <= 0.0:
        return np.full(len(matrix), 1.0 / len(matrix))
    levels, vectors = np.linalg.eigh(matrix / size)
    root = np.sqrt(levels.clip(min=0.0))[:, None] * vectors.T
    rows = np.vstack([root, np.ones(len(matrix))])
    solution, _ = optimize.nnls(rows, np.append(np.zeros(len(matrix)), 1.0))
    return np.asarray(solution / solution.sum(), dtype=np.float64)
