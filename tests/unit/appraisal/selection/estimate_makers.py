"""Estimates with errors of a chosen covariance, as if made from a log."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate

FloatArray = NDArray[np.float64]


def influences_of(covariance: FloatArray, contacts: int, seed: int = 0) -> FloatArray:
    """Influences, [k, C], whose clustered covariance is exactly the given one."""
    k = len(covariance)
    raw = np.random.default_rng(seed).normal(size=(contacts, k))
    raw -= raw.mean(axis=0)
    orthonormal, _ = np.linalg.qr(raw)
    root = np.linalg.cholesky(covariance)
    scale = np.sqrt((contacts - 1) / contacts)
    return np.asarray(scale * root @ orthonormal.T, dtype=np.float64)


def estimate_of(value: float, influence: FloatArray) -> ValueEstimate:
    size = influence.size
    return ValueEstimate(value, clustered_stderr(influence), size, size, float(size), influence)


def estimates_of(
    values: FloatArray, covariance: FloatArray, contacts: int = 400
) -> dict[str, ValueEstimate]:
    """Policies p0, p1, ... with the given values and covariance of their errors."""
    influences = influences_of(covariance, contacts)
    pairs = enumerate(zip(values, influences, strict=True))
    return {f"p{i}": estimate_of(float(value), psi) for i, (value, psi) in pairs}
