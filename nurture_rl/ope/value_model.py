"""Linear fitted-Q evaluation, cross-fitted by contact.

    q(x, a) = phi(x, a) . theta,    phi = [1, x, z(a), x (x) u(a)]

with x the context and the bin (how much of an episode is left depends on it), z the one-hot of the
action and u its catalogue factors. `feature_map` keeps phi from being written out per row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.feature_map import FeatureMap, feature_map
from nurture_rl.ope.log import (
    BoolArray,
    EvaluationLog,
    FloatArray,
    IntArray,
    continuation,
    horizon,
)

SETTLED = 1e-6  # a backup that moves no value by more than this share of the largest is the last


@dataclass(frozen=True, slots=True)
class ValueModelConfig:
    """How the value model is fitted."""

    n_folds: int = 5  # groups of contacts, at least 3
    penalties: tuple[float, ...] = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # ridge per row, > 0


@dataclass(frozen=True, slots=True, eq=False)
class ValuePredictions:
    """A value model's answers on the log, each row by a model that never saw its contact."""

    q_logged: FloatArray  # value of the logged action, then following the target, [N]
    value: FloatArray  # value of following the target from here, [N]


@dataclass(frozen=True, slots=True, eq=False)
class ValueDesign:
    """What every policy's value model on one log shares: rows sorted by action, factored Grams."""

    order: IntArray  # log row of each sorted row, [N]
    starts: IntArray  # where each action's rows begin, and N, [a + 1]
    x: FloatArray  # [1, standardised features], sorted, [N, 1 + d]
    fold: IntArray  # held-out group of each sorted row, [N]
    next_row: IntArray  # sorted place of the following log row; read where `onward` > 0, [N]
    onward: FloatArray  # discount to the next row, 0 at an episode's end, [N]
    reward: FloatArray  # sorted, [N]
    feature_map: FeatureMap
    factors: tuple[tuple[FloatArray, bool], ...]  # Cholesky factor of each fold's training Gram
    penalties: tuple[float, ...]  # ridge chosen for each fold
    backups: int  # most Bellman backups, H


def value_design(
    log: EvaluationLog, rng: np.random.Generator, config: ValueModelConfig
) -> ValueDesign:
    """Split contacts into folds, choose each fold's ridge and factor its training Gram once.

    Features are standardised with the moments of the whole log: no reward enters them. The ridge
    minimises the squared error of one-step rewards on another fold of the training contacts.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
    """
    fold_of_row = _fold_of_row(log, rng, config)
    order = np.argsort(log.action, kind="stable").astype(np.int64)
    starts = np.searchsorted(log.action[order], np.arange(log.n_actions + 1)).astype(np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    following = np.minimum(np.arange(order.size) + 1, order.size - 1)
    x = _standardised(log)[order]
    fold, reward = fold_of_row[order], log.reward[order]
    phi = feature_map(x.shape[1] - 1, log.action_factors)
    parts = [_part(phi, x, starts, reward, fold == f) for f in range(int(fold.max()) + 1)]
    chosen = [_choose(parts, f, config.penalties) for f in range(len(parts))]
    return ValueDesign(
        order=order,
        starts=starts,
        x=x,
        fold=fold,
        next_row=place[following[order]],
        onward=continuation(log)[order],
        reward=reward,
        feature_map=phi,
        factors=tuple(_factor(_others(parts, (f,)), chosen[f]) for f in range(len(parts))),
        penalties=tuple(chosen),
        backups=horizon(log),
    )


def fit_value(design: ValueDesign, target: FloatArray) -> ValuePredictions:
    """Evaluate a target policy by cross-fitted linear fitted-Q evaluation.

        q_{i+1} = argmin sum (r + discount E_{a~target} q_i(x', a) - q(x, a))^2 + ridge

    for at most H backups, starting from 0; nothing follows an episode's last row. At horizon 1 it
    is the reward regression of the direct method. Backed-up values are held inside the sums that
    the training rewards could reach, so the iteration cannot diverge.

    Args:
        design: the log's design, from `value_design`.
        target: target probabilities on the log's rows, [N, a].

    Returns:
        The predictions, in the log's row order.

    Raises:
        ShapeError: `target` is not [N, a].

    Source: Le, Voloshin & Yue (2019), Batch Policy Learning under Constraints; cross-fitting as in
        Chernozhukov et al. (2018), Double/Debiased Machine Learning.
    """
    shape = (design.order.size, design.starts.size - 1)
    if target.shape != shape:
        raise ShapeError(f"target must be {shape}, one row per decision, got {target.shape}")
    sorted_target = target[design.order]
    action = np.repeat(np.arange(shape[1]), np.diff(design.starts))
    q_logged, value = np.empty(shape[0]), np.empty(shape[0])
    for held_out in range(len(design.factors)):
        weights = _iterate(design, sorted_target, held_out)
        rows = np.flatnonzero(design.fold == held_out)
        q = design.x[rows] @ weights
        q_logged[design.order[rows]] = q[np.arange(rows.size), action[rows]]
        value[design.order[rows]] = np.einsum("na,na->n", q, sorted_target[rows])
    return ValuePredictions(q_logged=q_logged, value=value)


def _iterate(design: ValueDesign, target: FloatArray, held_out: int) -> FloatArray:
    """Backups of one fold's model; returns its weights of [1, x] per action, [1+d, a]."""
    train = design.fold != held_out
    lowest, highest = _reachable(design, train)
    value = np.zeros(train.size)
    for _ in range(design.backups):
        outcome = (design.reward + design.onward * value[design.next_row]) * train
        sums = _sums(design.x, design.starts, outcome)
        theta = linalg.cho_solve(design.factors[held_out], design.feature_map.cross(sums))
        weights = design.feature_map.columns(theta)
        renewed = np.einsum("na,na->n", design.x @ weights, target).clip(lowest, highest)
        moved = np.abs(renewed - value).max()
        value = renewed
        if moved <= SETTLED * np.abs(value).max():
            break
    return weights


def _reachable(design: ValueDesign, train: BoolArray) -> tuple[float, float]:
    """Least and most that H training rewards can sum to."""
    rewards = design.reward[train]
    return design.backups * min(float(rewards.min()), 0.0), design.backups * max(
        float(rewards.max()), 0.0
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Sums over some rows that ridge regression of the reward needs; parts add up."""

    gram: FloatArray  # sum of phi phi', [p, p]
    cross: FloatArray  # sum of phi r, [p]
    square: float  # sum of r^2
    rows: int


def _part(
    phi: FeatureMap, x: FloatArray, starts: IntArray, reward: FloatArray, chosen: BoolArray
) -> _Part:
    moments = []
    for first, last in pairwise(starts):
        rows = x[first:last][chosen[first:last]]
        moments.append(rows.T @ rows)
    outcome = reward * chosen
    return _Part(
        gram=phi.gram(np.array(moments)),
        cross=phi.cross(_sums(x, starts, outcome)),
        square=float(outcome @ outcome),
        rows=int(chosen.sum()),
    )


def _sums(x: FloatArray, starts: IntArray, outcome: FloatArray) -> FloatArray:
    """Per-action sums of [1, x] times the outcome, rows sorted by action, [a, 1+d]."""
    slices = pairwise(starts)
    return np.array([outcome[first:last] @ x[first:last] for first, last in slices])


def _others(parts: list[_Part], left_out: tuple[int, ...]) -> _Part:
    kept = [part for f, part in enumerate(parts) if f not in left_out]
    return _Part(
        gram=np.sum([part.gram for part in kept], axis=0),
        cross=np.sum([part.cross for part in kept], axis=0),
        square=sum(part.square for part in kept),
        rows=sum(part.rows for part in kept),
    )


def _factor(part: _Part, penalty: float) -> tuple[FloatArray, bool]:
    """Cholesky factor of gram + penalty * rows on everything but the intercept."""
    ridge = np.full(part.cross.size, penalty * part.rows)
    ridge[0] = 0.0
    return linalg.cho_factor(part.gram + np.diag(ridge))  # type: ignore[no-any-return]


def _choose(parts: list[_Part], held_out: int, penalties: tuple[float, ...]) -> float:
    """The ridge whose rewards, fitted without two folds, fit the second of them best."""
    if len(penalties) == 1:
        return penalties[0]
    other = (held_out + 1) % len(parts)
    training, check = _others(parts, (held_out, other)), parts[other]
    losses = []
    for penalty in penalties:
        theta = linalg.cho_solve(_factor(training, penalty), training.cross)
        losses.append(check.square - 2.0 * check.cross @ theta + theta @ check.gram @ theta)
    return penalties[int(np.argmin(losses))]


def _fold_of_row(
    log: EvaluationLog, rng: np.random.Generator, config: ValueModelConfig
) -> IntArray:
    if config.n_folds < 3 or not config.penalties or min(config.penalties) <= 0.0:
        raise FitError(
            f"the value model needs at least 3 folds and positive penalties, got {config.n_folds} "
            f"and {config.penalties}; two folds leave no third to choose the penalty on"
        )
    names, contact = np.unique(log.cluster, return_inverse=True)
    if names.size < 3:
        raise FitError(
            f"the value model is fitted without the contact it predicts and needs at least 3 "
            f"contacts, got {names.size}; evaluate a longer log"
        )
    group = rng.permutation(names.size) % min(config.n_folds, names.size)
    return np.asarray(group[contact][log.episode], dtype=np.int64)


def _standardised(log: EvaluationLog) -> FloatArray:
    features = np.hstack([log.features.astype(np.float64), log.step[:, None].astype(np.float64)])
    spread = features.std(axis=0)
    # A constant column centres to 0 and stays there; rounding must not blow it up.
    spread[spread <= 1e-9 * np.abs(features).max(axis=0, initial=0.0)] = np.inf
    scaled = (features - features.mean(axis=0)) / spread
    return np.hstack([np.ones((log.n_rows, 1)), scaled])
