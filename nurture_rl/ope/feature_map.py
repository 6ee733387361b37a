"""The value model's features, phi = [1, x, z(a), u(a) (x) x], never written out per row.

Every entry of phi is one entry of [1, x] times one number of the action, so sums of phi phi' over
rows need only one small moment matrix per action, and q(x, .) is [1, x] times one column per
action: no [N, a, p] array is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """phi as products: phi_p(x, a) = [1, x][source_p] * codes[a, code_p]."""

    source: IntArray  # which entry of [1, x], [p]
    code: IntArray  # which number of the action, [p]
    codes: FloatArray  # numbers of each action: 1, one-hot, factors, [a, 1 + a + k]

    def gram(self, moments: FloatArray) -> FloatArray:
        """Sum of phi phi' from the per-action moments of [1, x], [a, 1+d, 1+d] -> [p, p]."""
        total = np.zeros((self.source.size, self.source.size))
        for moment, numbers in zip(moments, self.codes[:, self.code], strict=True):
            total += moment[np.ix_(self.source, self.source)] * np.outer(numbers, numbers)
        return total

    def cross(self, sums: FloatArray) -> FloatArray:
        """Sum of phi y' from the per-action sums of [1, x] y', [a, 1+d, ...] -> [p, ...]."""
        mixed = np.tensordot(self.codes, sums, axes=(0, 0))
        return np.asarray(mixed[self.code, self.source])

    def expected(self, x: FloatArray, target: FloatArray) -> FloatArray:
        """E_{a~target} phi(x, a): linear in the mean code, [n, 1+d] and [n, a] -> [n, p]."""
        factors = target @ self.codes[:, 1 + target.shape[1] :]
        crossed = factors[:, :, None] * x[:, None, 1:]
        n, k, d = crossed.shape
        return np.hstack([x, target, crossed.reshape(n, k * d)])

    def columns(self, theta: FloatArray) -> FloatArray:
        """Weights of [1, x] for every action's q, [p] -> [1+d, a]."""
        weights = np.zeros((int(self.source.max()) + 1, self.codes.shape[0]))
        np.add.at(weights, self.source, theta[:, None] * self.codes[:, self.code].T)
        return weights


def feature_map(n_features: int, action_factors: FloatArray) -> FeatureMap:
    """Lay out phi = [1, x, z(a), u(a) (x) x] for d features and the catalogue's factors [a, k]."""
    a, k = action_factors.shape
    size = np.abs(action_factors).max(axis=0, initial=0.0)
    # One penalty serves all columns, so factors are brought to the size of the one-hots.
    scaled = action_factors / np.where(size > 0.0, size, 1.0)
    pairs = [(0, 0)]
    pairs += [(1 + i, 0) for i in range(n_features)]
    pairs += [(0, 1 + i) for i in range(a)]
    pairs += [(1 + i, 1 + a + j) for j in range(k) for i in range(n_features)]
    source, code = np.array(pairs, dtype=np.int64).T
    return FeatureMap(source, code, np.hstack([np.ones((a, 1)), np.eye(a), scaled]))


def standardised(log: EvaluationLog) -> FloatArray:
    """[1, features and bin, each of mean 0 and deviation 1 over the log], [N, 1 + d]."""
    features = _with_bin(log)
    mean, spread = _scale(features)
    whole = np.ones((log.n_rows, 1 + mean.size))
    np.subtract(features, mean, out=whole[:, 1:])
    whole[:, 1:] /= spread
    return whole


def scale(log: EvaluationLog) -> tuple[FloatArray, FloatArray]:
    """Mean of the features and the bin, and what they are divided by, [d] each."""
    return _scale(_with_bin(log))


def _scale(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    spread = features.std(axis=0)
    # A constant column centres to 0 and stays there; rounding must not blow it up.
    spread[spread <= 1e-9 * np.abs(features).max(axis=0, initial=0.0)] = np.inf
    return np.asarray(features.mean(axis=0)), np.asarray(spread)


def _with_bin(log: EvaluationLog) -> FloatArray:
    return np.hstack([log.features.astype(np.float64), log.step[:, None].astype(np.float64)])
