"""The design of a linear value model whose columns are products of context and action factors.

With x~ the standardised context, z(a) the action's own columns and u(a) its factor columns,

    phi(x, a) = [1, x~, z(a), u(a) (x) x~]

The first two blocks are the same for all actions (the *context part*), the last two make them
differ (the *action part*, length p = m + k d). z(a) is one column for each action, or columns that
actions share. Given the action, phi is linear in [1, x~], so every sum over rows reduces to one
[d + 1] block per action, and the [p, p] normal equations are put together from a blocks of
[d + 1, d + 1] instead of from all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.learned.training_log import moments_of

FeatureArray = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CHUNK_ROWS = 8192  # rows whose [rows, multipliers] products are held at once


@dataclass(frozen=True, slots=True, eq=False)
class ContextMoments:
    """Moments of the training contexts."""

    mean: FloatArray  # [d]
    scale: FloatArray  # standard deviation, 1 where a column never varies, [d]

    @classmethod
    def of(cls, features: FeatureArray) -> ContextMoments:
        """The moments of contexts, [n, d]."""
        return cls(*moments_of(features))

    def extended(self, features: FeatureArray) -> FloatArray:
        """[1, x~] of each context, [n, d + 1]."""
        out = np.ones((features.shape[0], features.shape[1] + 1))
        out[:, 1:] = (features - self.mean) / self.scale
        return out


@dataclass(frozen=True, slots=True, eq=False)
class ActionDesign:
    """How the action part is laid out: first z(a), then u(a) (x) x~."""

    factors: FloatArray  # u(a): columns whose effects depend on the context, [a, k]
    own: FloatArray | None = None  # z(a), [a, m]; None: one column for each action
    # Group of each coefficient, [p]; those of a group share a prior. None: z(a) is 0, the rest 1.
    group: IntArray | None = None
    names: tuple[str, ...] = ("main", "crossed")  # of the groups

    @property
    def columns(self) -> FloatArray:
        """z(a) of every action, [a, m]."""
        return np.eye(len(self.factors)) if self.own is None else self.own

    def groups(self, d: int) -> IntArray:
        """Group of each coefficient, [p].

        Args:
            d: context features.
        """
        if self.group is not None:
            return self.group
        return np.repeat([0, 1], [self.columns.shape[1], self.factors.shape[1] * d])

    def lift(self, blocks: FloatArray) -> FloatArray:
        """Sums of action-part columns from sums of [1, x~] per action, [p, r].

        Args:
            blocks: sum over the rows of each action of [1, x~] times r weights, [a, d + 1, r].
        """
        _, width, weights = blocks.shape
        crossed = np.tensordot(self.factors, blocks[:, 1:], axes=(0, 0))  # [k, d, r]
        tail = crossed.reshape(self.factors.shape[1] * (width - 1), weights)
        return np.concatenate([self.columns.T @ blocks[:, 0], tail])

    def maps(self, coefficients: FloatArray) -> FloatArray:
        """Score of each action as a linear map of [1, x~], [a, d + 1, r].

        Args:
            coefficients: r vectors of the action part, [p, r].
        """
        m, n_factors = self.columns.shape[1], self.factors.shape[1]
        slopes = coefficients[m:].reshape(n_factors, -1, coefficients.shape[1])
        crossed = np.tensordot(self.factors, slopes, axes=(1, 0))  # [a, d, r]
        return np.concatenate([(self.columns @ coefficients[:m])[:, None], crossed], axis=1)

    def gram(self, blocks: FloatArray) -> FloatArray:
        """Gram matrix of the action part from one Gram block of [1, x~] per action, [p, p].

        Args:
            blocks: sum over the rows of each action of [1, x~] [1, x~]^T, [a, d + 1, d + 1].
        """
        own = self.columns
        (n_actions, m), n_factors = own.shape, self.factors.shape[1]
        d = blocks.shape[1] - 1
        p = m + n_factors * d
        gram = np.zeros((p, p))
        gram[:m, :m] = own.T @ (blocks[:, 0, 0][:, None] * own)
        mixed = self.factors[:, :, None] * blocks[:, 0, 1:][:, None, :]  # [a, k, d]
        gram[:m, m:] = own.T @ mixed.reshape(n_actions, -1)
        gram[m:, :m] = gram[:m, m:].T
        pairs = (self.factors[:, :, None] * self.factors[:, None, :]).reshape(n_actions, -1)
        crossed = pairs.T @ blocks[:, 1:, 1:].reshape(n_actions, -1)  # [k k, d d]
        crossed = crossed.reshape(n_factors, n_factors, d, d).transpose(0, 2, 1, 3)
        gram[m:, m:] = crossed.reshape(n_factors * d, n_factors * d)
        return gram


def rows_by_action(action: IntArray, n_actions: int) -> Iterator[tuple[int, IntArray]]:
    """Each action with at most `CHUNK_ROWS` of its rows at a time."""
    order = np.argsort(action, kind="stable")
    edges = np.searchsorted(action[order], np.arange(n_actions + 1))
    for index in range(n_actions):
        for start in range(edges[index], edges[index + 1], CHUNK_ROWS):
            yield index, order[start : min(start + CHUNK_ROWS, int(edges[index + 1]))]
