"""Chances of actions: a masked multinomial regression, and whether chances mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

BINS = 10  # of equally many predictions


def calibration_error(predicted: FloatArray, seen: FloatArray) -> float:
    """Mean distance of what is predicted from what is seen, over bins of equal size (ECE).

    Source: Naeini, Cooper & Hauskrecht (2015), Obtaining Well Calibrated Probabilities Using
        Bayesian Binning; with bins of equally many rather than equal width.
    """
    place = deciles(predicted)
    size = np.bincount(place, minlength=BINS)
    gap = np.bincount(place, weights=seen - predicted, minlength=BINS)
    return float(np.abs(gap).sum() / size.sum())


@dataclass(frozen=True, slots=True)
class LogitFit:
    """How the regression is fitted."""

    ridge: float = 1e-3  # penalty per row on every coefficient but the intercepts
    iterations: int = 100  # of L-BFGS


def masked_softmax(scores: FloatArray, mask: BoolArray) -> FloatArray:
    """Probabilities in proportion to exp(score) over legal actions, exactly 0 elsewhere, [n, a]."""
    legal = np.where(mask, scores, -np.inf)
    raised = np.exp(legal - legal.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def fit_masked_logit(
    x: FloatArray, mask: BoolArray, action: IntArray, config: LogitFit
) -> FloatArray:
    """Coefficients theta by penalised maximum likelihood, [d, a].

        p(a|x) = exp(x . theta_a) / sum over legal b of exp(x . theta_b)

    Args:
        x: contexts, the first column an intercept of 1, [n, d].
        mask: legal actions, [n, a].
        action: taken, [n].
        config: penalty and iterations.
    """
    shape = (x.shape[1], mask.shape[1])
    taken = np.zeros(mask.shape)
    taken[np.arange(action.size), action] = 1.0
    penalty = np.full(shape, config.ridge)
    penalty[0] = 1e-6  # intercepts are free, but an action never taken must not run away

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        theta = flat.reshape(shape)
        chance = masked_softmax(x @ theta, mask)
        likelihood = np.log(np.maximum(chance[np.arange(action.size), action], 1e-300)).mean()
        gradient = x.T @ (chance - taken) / action.size + penalty * theta
        value = 0.5 * float((penalty * theta**2).sum()) - float(likelihood)
        return value, gradient.ravel()

    start = np.zeros(shape[0] * shape[1])
    optimum = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": config.iterations}
    )
    return np.asarray(optimum.x, dtype=np.float64).reshape(shape)


def deciles(values: FloatArray) -> IntArray:
    """Ten groups of about equally many; equal values share one."""
    edges = np.quantile(values, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    return np.searchsorted(edges, values, side="left").astype(np.int64)
