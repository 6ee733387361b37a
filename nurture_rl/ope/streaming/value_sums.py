"""The cross-fitted value model of `value_model` from sums over blocks of contacts.

Its Grams, its right-hand sides and what follows a decision are sums over rows, so a log that is
read block after block has the same model as one in memory: no sample of it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.ope.feature_map import FeatureMap, feature_map
from nurture_rl.ope.log import FloatArray, IntArray, continuation
from nurture_rl.ope.ridge import (
    RidgeSums,
    best_penalties,
    inverse_factor,
    pooled,
    require_folds,
)
from nurture_rl.ope.streaming.contact_blocks import ContactBlock, LogShape, with_bin
from nurture_rl.ope.value_model import (
    BACKUPS_PER_STEP,
    CHUNK_ROWS,
    ValueModelConfig,
    ValuePredictions,
    backups_of,
)


@dataclass(frozen=True, slots=True, eq=False)
class ValueSums:
    """Sums over the decisions of some contacts, by fold."""

    ridge: tuple[RidgeSums, ...]  # [K]
    onward: Mapping[str, FloatArray]  # by policy, phi discount E phi' over rows, [K, p, p] each


@dataclass(frozen=True, slots=True, eq=False)
class ValueModels:
    """The value model of each policy, ready for the contacts of any block."""

    shape: LogShape
    fold: IntArray  # whose model answers for a contact: one that never saw it, [C]
    weights: Mapping[str, FloatArray]  # of [1, features and bin] by action, [K, d + 2, a] each

    def predictions(self, block: ContactBlock, first: int, name: str) -> ValuePredictions:
        """A policy's model on a block, each row by a model that never saw its contact.

        Args:
            block: decisions of whole contacts.
            first: contacts in the blocks before it.
            name: of the policy.
        """
        log, x = block.log, _standardised(block, self.shape)
        fold = self.fold[first + log.cluster][log.episode]
        q = np.empty((log.n_rows, log.n_actions))
        for k, weights in enumerate(self.weights[name]):
            rows = np.flatnonzero(fold == k)
            q[rows] = x[rows] @ weights
        value = np.einsum("na,na->n", q, block.targets[name])
        return ValuePredictions(q[np.arange(log.n_rows), log.action], value)


def value_sums(block: ContactBlock, first: int, shape: LogShape, fold: IntArray) -> ValueSums:
    """What a block adds to the value models.

    Args:
        block: decisions of whole contacts, with every policy's probabilities.
        first: contacts in the blocks before it.
        shape: of the whole log.
        fold: of every contact, [C].
    """
    log, x = block.log, _standardised(block, shape)
    phi = feature_map(x.shape[1] - 1, log.action_factors)
    a, n_folds = log.n_actions, int(fold.max()) + 1
    own = fold[first + log.cluster][log.episode]
    cell = own * a + log.action
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(n_folds * a + 1))
    ridge = []
    for k in range(n_folds):
        moments, crosses, square, rows = [], [], 0.0, 0
        for action in range(a):
            place = order[starts[k * a + action] : starts[k * a + action + 1]]
            here, reward = x[place], log.reward[place]
            moments.append(here.T @ here)
            crosses.append(reward @ here)
            square += float(reward @ reward)
            rows += place.size
        gram = phi.gram(np.array(moments))
        ridge.append(RidgeSums(gram, phi.cross(np.array(crosses)), square, rows))
    onward = {name: _onward(phi, x, block, name, cell, n_folds) for name in block.targets}
    return ValueSums(tuple(ridge), onward)


def added_values(first: ValueSums, second: ValueSums) -> ValueSums:
    """The sums over the decisions of both parts."""
    return ValueSums(
        ridge=tuple(pooled(parts, ()) for parts in zip(first.ridge, second.ridge, strict=True)),
        onward={name: one + second.onward[name] for name, one in first.onward.items()},
    )


def value_models(
    sums: ValueSums,
    shape: LogShape,
    fold: IntArray,
    action_factors: FloatArray,
    config: ValueModelConfig,
) -> ValueModels:
    """Each policy's model, fitted for every fold on the contacts of all others.

    Args:
        sums: over all blocks.
        shape: of the whole log.
        fold: of every contact, [C].
        action_factors: factor columns of the catalogue, [a, k].
        config: folds and penalties.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
    """
    require_folds(config.n_folds, config.penalties, shape.n_contacts)
    n_folds = len(sums.ridge)
    phi = feature_map(shape.mean.size, action_factors)
    backups = 1 if shape.horizon == 1 else BACKUPS_PER_STEP * shape.horizon
    reach = shape.horizon * shape.most
    weights: dict[str, list[FloatArray]] = {name: [] for name in sums.onward}
    for k in range(n_folds):
        ridge = best_penalties((sums.ridge,), k, config.penalties)[0]
        training = pooled(sums.ridge, (k,))
        inverse = inverse_factor(training, ridge)
        largest = reach * np.sqrt(training.rows)
        for name, onward in sums.onward.items():
            others = onward.sum(axis=0) - onward[k]
            theta = backups_of(inverse, training.cross, others, (backups, largest))
            weights[name].append(phi.columns(theta))
    return ValueModels(shape, fold, {name: np.stack(one) for name, one in weights.items()})


def _standardised(block: ContactBlock, shape: LogShape) -> FloatArray:
    """[1, features and bin as they are scaled over the whole log], [N, d + 2]."""
    scaled = (with_bin(block.log) - shape.mean) / shape.spread
    return np.hstack([np.ones((block.log.n_rows, 1)), scaled])


def _onward(
    phi: FeatureMap, x: FloatArray, block: ContactBlock, name: str, cell: IntArray, n_folds: int
) -> FloatArray:
    """Sum of phi(x, a) discount E_{a'~target} phi(x', a')' by fold, [K, p, p]."""
    log, target = block.log, block.targets[name]
    p, a, worth = phi.source.size, log.n_actions, continuation(log)
    summed = np.zeros((n_folds * a, x.shape[1], p))
    rows = np.flatnonzero(worth > 0.0)
    rows = rows[np.argsort(cell[rows], kind="stable")]
    ends = np.searchsorted(cell[rows], np.arange(n_folds * a + 1))
    for place in range(n_folds * a):
        own = rows[ends[place] : ends[place + 1]]
        for chunk in np.split(own, range(CHUNK_ROWS, own.size, CHUNK_ROWS)):
            now = x[chunk] * worth[chunk, None]
            summed[place] += now.T @ phi.expected(x[chunk + 1], target[chunk + 1])
    by_action = summed.reshape(n_folds, a, *summed.shape[1:])
    return np.array([phi.cross(one) for one in by_action])
