"""Marginal importance sampling: how much more often the target visits a cell than the log did.

With c a cell (see `abstraction`), n_c its logged rows, rho a row's own ratio, normalised to mean 1
within its cell, and g' the discount to the next row, the target's discounted visits flow forward,

    omega_c = (starts in c + sum_{rows i before c} g'_i omega_{c_i} rho_i) / n_c

and a row weighs omega_c rho: its variance does not grow with the product of ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from nurture_rl.ope.sequential.weighted_dr import temporal_differences, value_ahead
from nurture_rl.ope.value_model import ValuePredictions

MAX_LOST = 0.02  # of the target's visits, to cells in which it takes no logged action


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """The target's discounted visits to each cell, over the log's."""

    omega: FloatArray  # [S]
    mean_ratio: FloatArray  # of the rows learned from, in each cell, [S]
    lost: float  # share of the visits that end in cells whose rows all have ratio 0


def marginal_ratios(log: EvaluationLog, ratio: FloatArray, cells: Cells, used: BoolArray) -> Visits:
    """Let the target's visits flow forward through the logged rows.

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
    omega, mean_ratio, lost, total = np.zeros(cells.count), np.zeros(cells.count), 0.0, 0.0
    for now, span in bins_of(cells):
        here = cells.cell[now] - span.start
        mass, size, weight = (
            np.bincount(here, weights=part)
            for part in (arriving[now], rows[now], rows[now] * ratio[now])
        )
        omega[span] = mass / size.clip(min=1.0)
        mean_ratio[span] = weight / size.clip(min=1.0)
        total += mass.sum()
        lost += mass[weight <= 0.0].sum()
        going = now[(onward[now] > 0.0) & (rows[now] > 0.0) & (ratio[now] > 0.0)]
        own = ratio[going] / mean_ratio[cells.cell[going]]
        arriving[going + 1] = onward[going] * own * omega[cells.cell[going]]
    return Visits(omega, mean_ratio, float(lost / total))


def smis(log: EvaluationLog, taken: FloatArray, cells: Cells) -> ValueEstimate:
    """Estimate a policy's value by state-marginal importance sampling.

        V = 1/E sum_i omega_{c_i} rho_i r_i

    Consistent where the cells are fine enough for the target (see `abstraction`), else biased by
    what they lump together: an action that only pays later, through something cells do not hold,
    is missed. With one decision per episode it is `snips` within each cell.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        cells: the abstraction.

    Returns:
        The estimate. Its error is that of the whole recursion: the same sum read backwards is the
        value v_c = mean over the cell of rho (r + g' v_c'), and a row's part in the error is
        omega_c rho (r + g' v_c' - v_c). `ess` is the effective share of rows, times episodes.

    Raises:
        OverlapError: in cells it often visits, the target takes none of the logged actions.
        ShapeError: `taken` is not [N].

    Source: Xie, Ma & Wang (2019), Towards Optimal Off-Policy Evaluation for Reinforcement
        Learning with Marginalized Importance Sampling; ratios here are self-normalised.
    """
    ratio = _ratio(log, taken)
    ratios = marginal_ratios(log, ratio, cells, np.ones(log.n_episodes, dtype=np.bool_))
    if ratios.lost > MAX_LOST:
        raise OverlapError(
            f"{ratios.lost:.1%} of the target's visits end in cells where it takes none of the "
            f"logged actions, more than {MAX_LOST:.0%}; use coarser cells, compare the action "
            "sets, or log with more exploration"
        )
    norm = ratios.mean_ratio[cells.cell]
    own = np.divide(ratio, norm, out=np.zeros_like(ratio), where=norm > 0.0)
    weights = ratios.omega[cells.cell] * own
    value = _cell_values(log, own, cells)
    error = weights * (log.reward + value_ahead(log, value) - value)
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


def effective_episodes(log: EvaluationLog, weights: FloatArray) -> float:
    """Effective share of the rows under their discounted weights, [N], as a number of episodes."""
    undiscounted = weights / discount_from_start(log)
    return effective_sample_size(undiscounted) / log.n_rows * log.n_episodes


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
        learned = marginal_ratios(log, ratio, cells, fold != held_out).omega
        rows = fold[log.episode] == held_out
        omega[rows] = learned[cells.cell[rows]]
    return omega


def _cell_values(log: EvaluationLog, own: FloatArray, cells: Cells) -> FloatArray:
    """The value of each row's cell by the backward form of the same recursion, [N]."""
    onward = continuation(log)
    value = np.zeros(log.n_rows)
    for now, span in reversed(bins_of(cells)):
        here = cells.cell[now] - span.start
        ahead = onward[now] * value[np.minimum(now + 1, log.n_rows - 1)]
        gains = np.bincount(here, weights=own[now] * (log.reward[now] + ahead))
        value[now] = (gains / np.bincount(here))[here]
    return value


def _ratio(log: EvaluationLog, taken: FloatArray) -> FloatArray:
    if taken.shape != (log.n_rows,):
        raise ShapeError(f"taken must be [{log.n_rows}], one per decision, got {taken.shape}")
    return taken / log.propensity
