"""Value of a policy from importance weights, less a part of its standard error, with gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def self_normalised(
    weight: FloatArray, returns: FloatArray, cluster: IntArray, clip: float, caution: float
) -> tuple[float, FloatArray]:
    """Self-normalised value of clipped weights, less what the log cannot show of it.

        V = sum_i v_i r_i / sum_i v_i,    v_i = min(w_i, clip)
        stderr = sqrt(sum_c (sum_{i in c} v_i (r_i - V))^2) / sum_i v_i
        objective = V - caution (stderr + max(0, 1 - mean_i v_i))

    True weights have mean 1. What is missing is probability on actions that the log did not take
    there, or so seldom that their weights are clipped; V leaves these contexts out, so a policy
    could raise V by it. A share that is missing counts as so many units lost.

    Args:
        weight: importance weights w, [n], each >= 0.
        returns: r, in standard deviations, [n].
        cluster: contact c of each row, 0 .. C-1, [n].
        clip: largest weight that counts.
        caution: standard errors, summed by contact, that are taken off; and standard deviations
            for each unit of the mean weight that is missing.

    Returns:
        The objective, in the unit of the returns, and its derivative by each weight, [n]; 0 where
        a weight is clipped.

    Source: Swaminathan & Joachims (2015), Counterfactual Risk Minimization, and The
        Self-Normalized Estimator for Counterfactual Learning.
    """
    v = np.minimum(weight, clip)
    total = v.sum()
    if total == 0.0:
        return -np.inf, np.zeros_like(weight)
    value = float(v @ returns / total)
    residual = returns - value
    by_value = residual / total  # of V by each v
    score = np.bincount(cluster, v * residual)
    length = float(np.sqrt(score @ score))
    slope = by_value
    if caution > 0.0 and length > 0.0:
        pulled = score @ np.bincount(cluster, v)
        by_length = (score[cluster] * residual - pulled * by_value) / length
        slope = by_value - caution * (by_length / total - length / total**2)
    missing = 1.0 - total / v.size
    if missing > 0.0:
        slope = slope + caution / v.size
    objective = value - caution * (length / float(total) + max(missing, 0.0))
    return objective, np.where(weight < clip, slope, 0.0)


def plain_mean(numbers: FloatArray, cluster: IntArray, caution: float) -> tuple[float, FloatArray]:
    """Mean of the rows' numbers, less `caution` standard errors, summed by contact.

    Args:
        numbers: one per row, [n].
        cluster: contact of each row, 0 .. C-1, [n].
        caution: standard errors that are taken off.

    Returns:
        The objective, and its derivative by each number, [n].
    """
    n = numbers.size
    value = float(numbers.mean())
    score = np.bincount(cluster, numbers - value)
    length = float(np.sqrt(score @ score))
    slope = np.full(n, 1.0 / n)
    if caution > 0.0 and length > 0.0:
        size = np.bincount(cluster)
        slope = slope - caution * (score[cluster] - score @ size / n) / (length * n)
    return value - caution * length / n, slope
