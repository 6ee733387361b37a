"""More robust doubly robust: the model is fitted to make the estimate vary little.

With q linear in theta, so is the doubly robust estimate of an episode:

    D_e = y_e - theta . z_e
    y_e = sum_t g_et w_et r_et
    z_e = sum_t g_et [ w_et phi(x_et, a_et) - w_{e,t-1} sum_a target(a|x_et) phi(x_et, a) ]

z has mean 0 whatever theta is, so the theta that minimises the variance of D is that of the ridge
regression of y on z. No logging distribution is needed, and it holds for episodes of any length.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg

from nurture_rl.errors import ShapeError
from nurture_rl.ope.contact_hash import mixed
from nurture_rl.ope.estimators import ValueEstimate, cumulative_weights, dr
from nurture_rl.ope.feature_map import FeatureMap, feature_map, standardised
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    IntArray,
    discount_from_start,
    positions,
)
from nurture_rl.ope.numbering import distinct, numbered
from nurture_rl.ope.ridge import RidgeSums, best_penalty, penalised_factor, pooled, require_folds
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions

CHUNK_ROWS = 4096  # rows whose features are written out at a time


@dataclass(frozen=True, slots=True)
class MrdrConfig:
    """How the variance-minimising model is fitted."""

    n_folds: int = 5  # groups of contacts, at least 3
    penalties: tuple[float, ...] = (1e-4, 1e-2, 1e-1, 1.0, 10.0, 1000.0)  # ridge per episode, > 0
    most_episodes: int = 20_000  # a fold's model reads at most its share of them


def mrdr(
    log: EvaluationLog, target: TargetOnLog, config: MrdrConfig | None = None
) -> ValueEstimate:
    """Estimate a policy's value by `dr` with the model that makes its variance least.

    Args:
        log: the logged decisions.
        target: the target policy on the log's rows.
        config: settings of the fit.

    Returns:
        The estimate; unbiased as `dr` is, each contact's model never saw it.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Farajtabar, Chow & Ghavamzadeh (2018), More Robust Doubly Robust Off-policy Evaluation,
        who weight squared errors so that they are this variance.
    """
    predictions = least_variance_model(log, target, config or MrdrConfig())
    return dr(log, target.taken, predictions)


def least_variance_model(
    log: EvaluationLog, target: TargetOnLog, config: MrdrConfig
) -> ValuePredictions:
    """The linear model whose doubly robust estimate varies least, cross-fitted by contact.

    The ridge of each fold is the one whose estimates vary least on another fold. Contacts are
    dealt to folds by a hash of their number, so the answer depends on the log alone.

    Raises:
        FitError: fewer than three contacts, or folds or penalties out of range.
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.
    """
    if target.probabilities.shape != log.mask.shape:
        raise ShapeError(
            f"target probabilities must be {log.mask.shape}, got {target.probabilities.shape}"
        )
    fold = _fold_of_episode(log, config)
    design = _design(log, target)
    n_folds = int(fold.max()) + 1
    most = -(-config.most_episodes // n_folds)
    parts = [_sums(design, _spread(np.flatnonzero(fold == f), most)) for f in range(n_folds)]
    q_logged, value = np.empty(log.n_rows), np.empty(log.n_rows)
    for held_out in range(n_folds):
        training = pooled(parts, (held_out,))
        factor = penalised_factor(training, best_penalty(parts, held_out, config.penalties))
        # The first coefficient is the mean of D, no part of the model.
        theta = linalg.cho_solve((factor, False), training.cross)[1:]
        rows = np.flatnonzero(fold[log.episode] == held_out)
        q = design.x[rows] @ design.phi.columns(theta)
        q_logged[rows] = q[np.arange(rows.size), log.action[rows]]
        value[rows] = np.einsum("na,na->n", q, target.probabilities[rows])
    return ValuePredictions(q_logged=q_logged, value=value)


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """What the sums over episodes are made of."""

    log: EvaluationLog
    target: FloatArray  # [N, a]
    x: FloatArray  # [1, standardised features], [N, 1 + d]
    phi: FeatureMap
    now: FloatArray  # g w of each row, [N]
    before: FloatArray  # g times the weight before each row, [N]


def _design(log: EvaluationLog, target: TargetOnLog) -> _Design:
    weights = cumulative_weights(log, target.taken)
    place = positions(log)
    now = weights[log.episode, place]
    before = np.where(place > 0, weights[log.episode, place - 1], 1.0)
    worth, x = discount_from_start(log), standardised(log)
    phi = feature_map(x.shape[1] - 1, log.action_factors)
    return _Design(log, target.probabilities, x, phi, worth * now, worth * before)


def _sums(design: _Design, episodes: IntArray) -> RidgeSums:
    """Sums of [1, z] and y over some episodes, ascending."""
    log, p = design.log, design.phi.source.size + 1
    y = np.bincount(log.episode, weights=design.now * log.reward)
    gram, cross = np.zeros((p, p)), np.zeros(p)
    rows = np.flatnonzero(np.isin(log.episode, episodes))
    begins = np.append(_begins(log, rows), rows.size)
    # A chunk ends where an episode does, the first time it has rows enough.
    ends = np.searchsorted(begins, np.arange(0, rows.size + CHUNK_ROWS, CHUNK_ROWS))
    cuts = np.unique(begins[np.minimum(ends, begins.size - 1)])
    for first, last in pairwise(cuts):
        chunk = rows[first:last]
        z = _episodes_of(design, chunk)
        gram += z.T @ z
        cross += y[np.unique(log.episode[chunk])] @ z
    own = y[episodes]
    return RidgeSums(gram, cross, float(own @ own), episodes.size)


def _episodes_of(design: _Design, rows: IntArray) -> FloatArray:
    """[1, z] of the episodes that whole runs of rows make, [m, 1 + p]."""
    log, phi, x = design.log, design.phi, design.x[rows]
    taken = x[:, phi.source] * phi.codes[log.action[rows]][:, phi.code]
    expected = phi.expected(x, design.target[rows])
    terms = design.now[rows, None] * taken - design.before[rows, None] * expected
    z = np.add.reduceat(terms, _begins(log, rows), axis=0)
    return np.hstack([np.ones((len(z), 1)), z])


def _begins(log: EvaluationLog, rows: IntArray) -> IntArray:
    """Where in ascending rows another episode begins, 0 included."""
    return np.unique(log.episode[rows], return_index=True)[1].astype(np.int64)


def _spread(episodes: IntArray, most: int) -> IntArray:
    """All of them, or as many as allowed, evenly from first to last."""
    return episodes[np.unique(np.arange(most) * episodes.size // most)]


def _fold_of_episode(log: EvaluationLog, config: MrdrConfig) -> IntArray:
    names, (contact, _) = distinct(log.cluster), numbered(log.cluster)
    require_folds(config.n_folds, config.penalties, names.size)
    rank = np.argsort(np.argsort(mixed(names.astype(np.uint64))))
    return np.asarray((rank % min(config.n_folds, names.size))[contact], dtype=np.int64)
