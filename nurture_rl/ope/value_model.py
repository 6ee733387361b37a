"""Linear fitted-Q evaluation, cross-fitted by contact.

    q(x, a) = phi(x, a) . theta,    phi = [1, x, z(a), u(a) (x) x]

with x the context and the bin (how much of an episode is left depends on it), z the one-hot of the
action and u its catalogue factors. `feature_map` keeps phi from being written out per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.feature_map import FeatureMap, feature_map, standardised
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    IntArray,
    continuation,
    horizon,
)
from nurture_rl.ope.numbering import numbered
from nurture_rl.ope.ridge import (
    RidgeSums,
    best_penalties,
    inverse_factor,
    pooled,
    require_folds,
)

SETTLED = 1e-6  # a backup that moves q by less than this share of its size is the last
BACKUPS_PER_STEP = 20  # tables are exact after one per step, smooth models settle more slowly
STRIDE = 16  # backups after which the model is looked at, where there may be many
LEAST_BACKUPS_TO_STRIDE = 100
CHUNK_ROWS = 512  # rows whose features are written out at a time: they stay in the cache


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
    """What every policy's value model on one log shares: sorted rows and solved Grams."""

    order: IntArray  # log row of each sorted row: by fold, then action, [N]
    action: IntArray  # sorted, [N]
    starts: IntArray  # where the rows of each fold and action begin, and N, [K * a + 1]
    x: FloatArray  # [1, standardised features], sorted, [N, 1 + d]
    next_row: IntArray  # sorted place of the following log row; read where `onward` > 0, [N]
    onward: FloatArray  # discount to the next row, 0 at an episode's end, [N]
    feature_map: FeatureMap
    inverses: tuple[FloatArray, ...]  # of each fold's Gram's upper Cholesky factor, [p, p]
    crosses: tuple[FloatArray, ...]  # sum of phi r over each fold's training rows, [p]
    penalties: tuple[float, ...]  # ridge chosen for each fold
    backups: int  # most Bellman backups
    reach: float  # no sum of rewards of an episode is larger in size

    def cells(self, fold: int) -> IntArray:
        """Where the fold's rows of each action begin, and end, [a + 1]."""
        a = self.feature_map.codes.shape[0]
        return self.starts[fold * a : (fold + 1) * a + 1]


def value_design(
    log: EvaluationLog, rng: np.random.Generator, config: ValueModelConfig
) -> ValueDesign:
    """`value_designs` of a single log.

    Raises:
        FitError: as `value_designs`.
    """
    return value_designs((log,), rng, config)[0]


def value_designs(
    logs: Sequence[EvaluationLog], rng: np.random.Generator, config: ValueModelConfig
) -> tuple[ValueDesign, ...]:
    """Split contacts into folds, choose each fold's ridge and solve its training Gram once.

    Features are standardised with the moments of the whole log: no reward enters them. The ridge
    minimises the squared error of one-step rewards on another fold of the training contacts.

    Args:
        logs: the same decisions with other rewards or another discount; folds, rows and Grams are
            made once for all of them.
        rng: deals contacts to folds.
        config: folds and penalties.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
    """
    log = logs[0]
    fold = _fold_of_row(log, rng, config)
    n_folds, a = int(fold.max()) + 1, log.n_actions
    order = np.lexsort((log.action, fold))
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    cell = (fold * a + log.action)[order]
    starts = np.searchsorted(cell, np.arange(n_folds * a + 1)).astype(np.int64)
    x = standardised(log)[order]
    phi = feature_map(x.shape[1] - 1, log.action_factors)
    cells = [starts[f * a : (f + 1) * a + 1] for f in range(n_folds)]
    grams = [_gram(phi, x, ends) for ends in cells]
    parts = [_parts(phi, grams, x, cells, one.reward[order]) for one in logs]
    chosen = [best_penalties(parts, f, config.penalties) for f in range(n_folds)]
    training = [[pooled(of_one, (f,)) for f in range(n_folds)] for of_one in parts]
    inverses = _inverses(training[0], chosen)
    following = place[np.minimum(order + 1, order.size - 1)]
    return tuple(
        ValueDesign(
            order=order,
            action=log.action[order],
            starts=starts,
            x=x,
            next_row=following,
            onward=continuation(one)[order],
            feature_map=phi,
            inverses=tuple(inverses[f, ridge] for f, ridge in enumerate(ridges)),
            crosses=tuple(part.cross for part in sums),
            penalties=ridges,
            backups=1 if horizon(one) == 1 else BACKUPS_PER_STEP * horizon(one),
            reach=horizon(one) * float(np.abs(one.reward).max()),
        )
        for one, sums, ridges in zip(logs, training, zip(*chosen, strict=True), strict=True)
    )


def _inverses(
    training: Sequence[RidgeSums], chosen: Sequence[Sequence[float]]
) -> dict[tuple[int, float], FloatArray]:
    """Inverse Cholesky factors by fold and ridge, one for all outcomes that chose it."""
    return {
        (fold, ridge): inverse_factor(training[fold], ridge)
        for fold, ridges in enumerate(chosen)
        for ridge in dict.fromkeys(ridges)
    }


def fit_value(design: ValueDesign, target: FloatArray) -> ValuePredictions:
    """`fit_values` of a single design.

    Raises:
        ShapeError: `target` is not [N, a].
    """
    return fit_values((design,), target)[0]


def fit_values(designs: Sequence[ValueDesign], target: FloatArray) -> tuple[ValuePredictions, ...]:
    """Evaluate a target policy by cross-fitted linear fitted-Q evaluation, for each outcome.

        q_{i+1} = argmin sum (r + discount E_{a~target} q_i(x', a) - q(x, a))^2 + ridge

    from q_0 = 0 until it settles; nothing follows an episode's last row. At horizon 1 it is the
    reward regression of the direct method. A backup reads only sums over rows, so it costs p^2;
    should the iteration diverge, the last q whose size the rewards could reach is kept.

    Args:
        designs: from one call of `value_designs`; outcomes of one discount share their sums over
            rows.
        target: target probabilities on the log's rows, [N, a].

    Returns:
        The predictions of each design, in the log's row order.

    Raises:
        ShapeError: `target` is not [N, a].

    Source: Le, Voloshin & Yue (2019), Batch Policy Learning under Constraints; cross-fitting as in
        Chernozhukov et al. (2018), Double/Debiased Machine Learning.
    """
    shape = (designs[0].order.size, designs[0].feature_map.codes.shape[0])
    if target.shape != shape:
        raise ShapeError(f"target must be {shape}, one row per decision, got {target.shape}")
    sorted_target = target[designs[0].order]
    predictions: list[ValuePredictions] = []
    summed: list[tuple[FloatArray, list[FloatArray]]] = []  # discounts, and the sums under them
    for design in designs:
        known = [sums for discount, sums in summed if np.array_equal(discount, design.onward)]
        if not known:
            folds = range(len(design.inverses))
            known = [[_onward(design, sorted_target, fold) for fold in folds]]
            summed.append((design.onward, known[0]))
        predictions.append(_predicted(design, sorted_target, known[0]))
    return tuple(predictions)


def reward_weights(design: ValueDesign) -> FloatArray:
    """Weights of [1, features and bin] for every action's reward, by fold, [K, 1 + d, a].

    Each fold's model never saw its contacts. Of a design of single decisions: no target enters.
    """
    nothing = np.zeros((design.feature_map.source.size,) * 2)
    folds = range(len(design.inverses))
    return np.stack([design.feature_map.columns(_iterate(design, nothing, k)) for k in folds])


def _predicted(
    design: ValueDesign, sorted_target: FloatArray, onward: list[FloatArray]
) -> ValuePredictions:
    """One outcome's answers on the log from the sums over its rows."""
    total = np.sum(onward, axis=0)
    q_logged, value = np.empty(design.order.size), np.empty(design.order.size)
    for held_out in range(len(design.inverses)):
        theta = _iterate(design, total - onward[held_out], held_out)
        ends = design.cells(held_out)
        rows = slice(ends[0], ends[-1])
        q = design.x[rows] @ design.feature_map.columns(theta)
        q_logged[design.order[rows]] = q[np.arange(len(q)), design.action[rows]]
        value[design.order[rows]] = np.einsum("na,na->n", q, sorted_target[rows])
    return ValuePredictions(q_logged=q_logged, value=value)


def _iterate(design: ValueDesign, onward: FloatArray, held_out: int) -> FloatArray:
    """Backups of one fold's model from the training rows' sums; returns theta, [p]."""
    ends = design.cells(held_out)
    largest = design.reach * np.sqrt(design.order.size - (ends[-1] - ends[0]))
    inverse, cross = design.inverses[held_out], design.crosses[held_out]
    return backups_of(inverse, cross, onward, (design.backups, float(largest)))


def backups_of(
    inverse: FloatArray, cross: FloatArray, onward: FloatArray, limits: tuple[int, float]
) -> FloatArray:
    """Theta after Bellman backups that read sums over the training rows alone, [p].

    With R the factor of the Gram and y = R theta, whose square is the sum of q^2 over the training
    rows (ridge included), a backup is y <- b + R^-T onward R^-1 y: three products with a vector,
    which cost less than any product of matrices that would make many backups one.

    Args:
        inverse: R^-1, upper triangular, [p, p].
        cross: sum of phi r, [p].
        onward: sum of phi(x, a) discount E phi(x', a')', [p, p].
        limits: most backups, and the largest size of y that rewards could reach.
    """
    backups, largest = limits
    first = inverse.T @ cross
    if backups == 1:
        return np.asarray(inverse @ first)

    def backed_up(reached: FloatArray) -> FloatArray:
        return np.asarray(first + inverse.T @ (onward @ (inverse @ reached)))

    stride = STRIDE if backups > LEAST_BACKUPS_TO_STRIDE else 1
    looks = (backups - 1) // stride
    reached, settled = _settled(first, backed_up, stride, (looks, largest))
    if not settled:  # the last stride may have gone too far: look at every backup of it
        reached, _ = _settled(reached, backed_up, 1, (stride, largest))
    return np.asarray(inverse @ reached)


def _settled(
    start: FloatArray,
    backed_up: Callable[[FloatArray], FloatArray],
    stride: int,
    limits: tuple[int, float],
) -> tuple[FloatArray, bool]:
    """y <- backed_up(y) until it settles; the last y inside the limits, and whether it did.

    It is looked at after every `stride` backups. Limits are the number of looks and the largest
    size.
    """
    most, largest = limits
    reached = start
    for _ in range(most):
        renewed = reached
        for _ in range(stride):
            renewed = backed_up(renewed)
        size = np.linalg.norm(renewed)
        if size > largest:
            return reached, False
        moved = np.linalg.norm(renewed - reached)
        reached = renewed
        if moved <= SETTLED * size:
            return reached, True
    return reached, False


def _onward(design: ValueDesign, target: FloatArray, fold: int) -> FloatArray:
    """Sum of phi(x, a) discount E_{a'~target} phi(x', a')' over a fold's rows, [p, p]."""
    phi = design.feature_map
    a, p = phi.codes.shape[0], phi.source.size
    by_action = np.zeros((a, design.x.shape[1], p))
    for block, (first, last) in zip(by_action, pairwise(design.cells(fold)), strict=True):
        rows = np.arange(first, last)[design.onward[first:last] > 0.0]
        for chunk in np.split(rows, range(CHUNK_ROWS, rows.size, CHUNK_ROWS)):
            following = design.next_row[chunk]
            now = design.x[chunk] * design.onward[chunk, None]
            block += now.T @ phi.expected(design.x[following], target[following])
    return phi.cross(by_action)


def _gram(phi: FeatureMap, x: FloatArray, cells: IntArray) -> FloatArray:
    """Sum of phi phi' over a fold's rows, [p, p]."""
    return phi.gram(np.array([x[first:last].T @ x[first:last] for first, last in pairwise(cells)]))


def _parts(
    phi: FeatureMap,
    grams: Sequence[FloatArray],
    x: FloatArray,
    cells: Sequence[IntArray],
    reward: FloatArray,
) -> list[RidgeSums]:
    """The sums of every fold for one reward."""
    fold_sums = []
    for gram, ends in zip(grams, cells, strict=True):
        own = reward[ends[0] : ends[-1]]
        sums = [reward[first:last] @ x[first:last] for first, last in pairwise(ends)]
        fold_sums.append(RidgeSums(gram, phi.cross(np.array(sums)), float(own @ own), own.size))
    return fold_sums


def _fold_of_row(
    log: EvaluationLog, rng: np.random.Generator, config: ValueModelConfig
) -> IntArray:
    contact, count = numbered(log.cluster)
    require_folds(config.n_folds, config.penalties, count)
    group = rng.permutation(count) % min(config.n_folds, count)
    return np.asarray(group[contact][log.episode], dtype=np.int64)
