"""Marginal importance sampling: how much more often the target visits a cell than the log did.

With c a cell (see `abstraction`), n_c its logged rows, rho the row's own ratio and g' the discount
to the next row, the target's discounted mass flows forward through the log,

    omega_c = (starts in c + sum_{rows i before c} g'_i omega_{c_i} rho_i) / n_c

and a row weighs omega_c rho: its variance does not grow with the product of ratios.
"""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import FitError, OverlapError, ShapeError
from nurture_rl.ope.estimators import (
    ValueEstimate,
    effective_sample_size,
    mean_of_episodes,
)
from nurture_rl.ope.log import (
    BoolArray,
    EvaluationLog,
    FloatArray,
    continuation,
    discount_from_start,
    first_rows,
)
from nurture_rl.ope.sequential.abstraction import Cells, bins_of
from nurture_rl.ope.sequential.weighted import temporal_differences, value_ahead
from nurture_rl.ope.value_model import ValuePredictions


def marginal_ratios(
    log: EvaluationLog, ratio: FloatArray, cells: Cells, used: BoolArray
) -> FloatArray:
    """Discounted visits of the target to each cell over those of the log, omega, [S].

    Args:
        log: the logged decisions.
        ratio: target over logging probability of each logged action, [N].
        cells: the abstraction.
        used: episodes to learn from, [E]; a cell they never reach gets 0.
    """
    onward = continuation(log)
    rows = used[log.episode].astype(np.float64)
    arriving = np.zeros(log.n_rows)
    arriving[first_rows(log)[used]] = 1.0
    omega = np.zeros(cells.count)
    for now, span in bins_of(cells):
        here = cells.cell[now] - span.start
        mass, size = (np.bincount(here, weights=part[now]) for part in (arriving, rows))
        omega[span] = mass / size.clip(min=1.0)
        going = now[(onward[now] > 0.0) & (rows[now] > 0.0)]
        arriving[going + 1] = onward[going] * ratio[going] * omega[cells.cell[going]]
    return omega


def smis(log: EvaluationLog, taken: FloatArray, cells: Cells) -> ValueEstimate:
    """Estimate a policy's value by state-marginal importance sampling.

        V = 1/E sum_i omega_{c_i} rho_i r_i

    Consistent where the cells are fine enough for the target (see `abstraction`), else biased by
    what they lump together: an action that only pays later, through something cells do not hold,
    is missed. With one decision per episode it is `ips`.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        cells: the abstraction.

    Returns:
        The estimate. Its error is that of the whole recursion: the same sum read backwards is the
        value v_c = mean over the cell of rho (r + g' v_c'), and a row's part in the error is
        omega_c (rho (r + g' v_c') - v_c). `ess` is the effective share of rows, times episodes.

    Raises:
        OverlapError: the target leaves the log altogether at some bin.
        ShapeError: `taken` is not [N].

    Source: Xie, Ma & Wang (2019), Towards Optimal Off-Policy Evaluation for Reinforcement
        Learning with Marginalized Importance Sampling.
    """
    ratio = _ratio(log, taken)
    omega = marginal_ratios(log, ratio, cells, np.ones(log.n_episodes, dtype=np.bool_))
    weights = omega[cells.cell] * ratio
    _require_flow(log, cells, omega, ratio)
    value = _cell_values(log, ratio, cells)
    error = weights * (log.reward + value_ahead(log, value)) - omega[cells.cell] * value
    per_episode = value[first_rows(log)] + np.bincount(log.episode, weights=error)
    return mean_of_episodes(log, per_episode, effective_episodes(log, weights))


def drl(
    log: EvaluationLog,
    taken: FloatArray,
    predictions: ValuePredictions,
    cells: Cells,
    n_folds: int = 5,
) -> ValueEstimate:
    """Estimate a policy's value by doubly robust reinforcement learning with marginal ratios.

        V = 1/E sum_e v(x_e0) + 1/E sum_i omega_{c_i} rho_i (r_i + g'_i v(x_{i+1}) - q(x_i, a_i))

    Consistent where either the model or the cells are right, and of least possible variance where
    both are. With one decision per episode it is `dr`.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.
        cells: the abstraction.
        n_folds: groups of contacts, dealt in turn; a contact's omega is learned from the others.

    Raises:
        FitError: fewer than two folds or contacts.
        ShapeError: `taken` is not [N].

    Source: Kallus & Uehara (2020), Double Reinforcement Learning for Efficient Off-Policy
        Evaluation in Markov Decision Processes.
    """
    ratio = _ratio(log, taken)
    weights = _cross_fitted(log, ratio, cells, n_folds) * ratio
    correction = weights * temporal_differences(log, predictions)
    per_episode = predictions.value[first_rows(log)] + np.bincount(log.episode, weights=correction)
    return mean_of_episodes(log, per_episode, effective_episodes(log, weights))


def _cross_fitted(log: EvaluationLog, ratio: FloatArray, cells: Cells, n_folds: int) -> FloatArray:
    """omega of each row from other contacts' episodes, [N]."""
    names, contact = np.unique(log.cluster, return_inverse=True)
    if n_folds < 2 or names.size < 2:
        raise FitError(
            f"marginal ratios are learned from other contacts: at least 2 folds and 2 contacts "
            f"are needed, got {n_folds} and {names.size}"
        )
    fold = contact % min(n_folds, names.size)
    omega = np.empty(log.n_rows)
    for held_out in np.unique(fold):
        learned = marginal_ratios(log, ratio, cells, fold != held_out)
        rows = fold[log.episode] == held_out
        omega[rows] = learned[cells.cell[rows]]
    return omega


def _cell_values(log: EvaluationLog, ratio: FloatArray, cells: Cells) -> FloatArray:
    """The value of each cell by the backward form of the same recursion, at its rows, [N]."""
    onward = continuation(log)
    value = np.zeros(log.n_rows)
    for now, span in reversed(bins_of(cells)):
        here = cells.cell[now] - span.start
        ahead = onward[now] * value[np.minimum(now + 1, log.n_rows - 1)]
        gains = np.bincount(here, weights=ratio[now] * (log.reward[now] + ahead))
        value[now] = (gains / np.bincount(here))[here]
    return value


def effective_episodes(log: EvaluationLog, weights: FloatArray) -> float:
    """Effective share of the rows under their weights, as a number of episodes."""
    undiscounted = weights / discount_from_start(log)
    return effective_sample_size(undiscounted) / log.n_rows * log.n_episodes


def _ratio(log: EvaluationLog, taken: FloatArray) -> FloatArray:
    if taken.shape != (log.n_rows,):
        raise ShapeError(f"taken must be [{log.n_rows}], one per decision, got {taken.shape}")
    return taken / log.propensity


def _require_flow(log: EvaluationLog, cells: Cells, omega: FloatArray, ratio: FloatArray) -> None:
    for now, _ in bins_of(cells):
        reached = omega[cells.cell[now]] > 0.0
        if reached.any() and not (ratio[now][reached] > 0.0).any():
            raise OverlapError(
                f"at bin {log.step[now[0]]} the target policy takes none of the logged actions in "
                "the cells it reaches; compare the action sets, or log with more exploration"
            )
