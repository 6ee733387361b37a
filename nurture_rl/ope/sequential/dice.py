"""Distribution correction by the regularised Lagrangian, solved exactly in the tabular class.

The linear programme of the target's discounted visits d to pairs of cell and action has the
Lagrangian

    max_{zeta >= 0} min_q  1/E sum_e v(x_e0) + 1/E sum_i zeta_i (r_i + g'_i v(x_{i+1}) - q_i)
                           - alpha/2 mean zeta^2,      v(x) = sum_a target(a|x) q(cell of x, a)

with zeta = d over the log's own visits: rewards in the Lagrangian, a regulariser on zeta alone and
zeta >= 0, the choices that were found to work best. In the tabular class q meets every flow
constraint with equality, which leaves one zeta for any alpha: no tuning, no saddle to chase. As
bins are part of cells the flow is acyclic and one pass forward gives zeta, one backward q.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, mean_of_episodes
from nurture_rl.ope.log import (
    EvaluationLog,
    FloatArray,
    continuation,
    first_rows,
)
from nurture_rl.ope.sequential.abstraction import Cells, bins_of
from nurture_rl.ope.sequential.marginal import effective_episodes
from nurture_rl.ope.sequential.weighted_dr import value_ahead

MAX_UNSEEN = 0.02  # of the target's visits, to pairs of cell and action that no row shows


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """The solution of the programme on the logged rows."""

    zeta: FloatArray  # target's discounted visits over the log's, of each row's pair, [N]
    lent: FloatArray  # and what each row stands in for: its cell's pairs without a row, [N]
    q: FloatArray  # value of each pair, then following the target; NaN without a row, [S, a]
    mean: FloatArray  # mean value of each cell's rows, lent to its pairs without a row, [S]
    value: FloatArray  # of following the target from each row, [N]


def dice(log: EvaluationLog, target: FloatArray, cells: Cells) -> ValueEstimate:
    """Estimate a policy's value by corrected visits, without using any propensity.

        V = 1/E sum_i zeta_i r_i

    It assumes that cells are Markov, or that within a cell an action is worth the same in every
    context, and that nothing outside the features drove the logged actions. It does not know who
    chose them, so it is an independent check where propensities are in doubt, and biased where the
    cells are coarse. Pairs that no row shows borrow their cell's mean.

    Args:
        log: the logged decisions.
        target: target probabilities on the log's rows, [N, a].
        cells: the abstraction.

    Returns:
        The estimate; its error is that of both passes. `ess` is the effective share of rows, times
        episodes.

    Raises:
        OverlapError: the target goes where the log has no row too often.
        ShapeError: `target` is not [N, a].

    Source: Yang, Nachum, Dai, Li & Schuurmans (2020), Off-Policy Evaluation via the Regularized
        Lagrangian; the tabular solution is Yin & Wang (2020), Asymptotically Efficient Off-Policy
        Evaluation for Tabular Reinforcement Learning.
    """
    fitted = correction(log, target, cells)
    unseen = float(fitted.lent.sum() / (fitted.zeta + fitted.lent).sum())
    if unseen > MAX_UNSEEN:
        raise OverlapError(
            f"{unseen:.1%} of the target's visits fall on pairs of cell and action without a "
            f"logged row, more than {MAX_UNSEEN:.0%}; use coarser cells or log with more "
            "exploration"
        )
    outcome = log.reward + value_ahead(log, fitted.value)
    error = fitted.zeta * (outcome - fitted.q[cells.cell, log.action])
    error += fitted.lent * (outcome - fitted.mean[cells.cell])
    per_episode = fitted.value[first_rows(log)] + np.bincount(log.episode, weights=error)
    weights = fitted.zeta + fitted.lent
    return mean_of_episodes(log, per_episode, effective_episodes(log, weights))


def correction(log: EvaluationLog, target: FloatArray, cells: Cells) -> Correction:
    """Solve the programme: q backward through the bins, then the visits forward.

    Raises:
        ShapeError: `target` is not [N, a].
    """
    if target.shape != log.mask.shape:
        raise ShapeError(f"target must be {log.mask.shape} like the mask, got {target.shape}")
    q, mean, value = _values(log, target, cells)
    zeta, lent = _visits(log, target, cells)
    return Correction(zeta, lent, q, mean, value)


def _values(
    log: EvaluationLog, target: FloatArray, cells: Cells
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """q, each cell's mean, and the value at each row: last bin first."""
    onward = continuation(log)
    q = np.full((cells.count, log.n_actions), np.nan)
    mean, value = np.empty(cells.count), np.zeros(log.n_rows)
    for now, span in reversed(bins_of(cells)):
        outcome = log.reward[now] + onward[now] * value[np.minimum(now + 1, log.n_rows - 1)]
        here, action = cells.cell[now] - span.start, log.action[now]
        shape = (span.stop - span.start, log.n_actions)
        rows, sums = np.zeros(shape), np.zeros(shape)
        np.add.at(rows, (here, action), 1.0)
        np.add.at(sums, (here, action), outcome)
        mean[span] = sums.sum(axis=1) / rows.sum(axis=1)
        np.divide(sums, rows, out=q[span], where=rows > 0.0)
        filled = np.where(rows > 0.0, q[span], mean[span, None])
        value[now] = np.einsum("na,na->n", target[now], filled[here])
    return q, mean, value


def _visits(log: EvaluationLog, target: FloatArray, cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Visits of the target at each row's pair, and at its cell's unseen pairs: first bin first."""
    onward = continuation(log)
    arriving = np.zeros(log.n_rows)
    arriving[first_rows(log)] = 1.0
    zeta, lent = np.empty(log.n_rows), np.empty(log.n_rows)
    for now, span in bins_of(cells):
        here, action = cells.cell[now] - span.start, log.action[now]
        rows = np.zeros((span.stop - span.start, log.n_actions))
        np.add.at(rows, (here, action), 1.0)
        mass = arriving[now, None] * target[now]
        visits = np.stack([np.bincount(here, weights=column) for column in mass.T], axis=1)
        unseen = np.where(rows > 0.0, 0.0, visits).sum(axis=1) / rows.sum(axis=1)
        zeta[now] = visits[here, action] / rows[here, action]
        lent[now] = unseen[here]
        going = now[onward[now] > 0.0]
        arriving[going + 1] = onward[going] * (zeta[going] + lent[going])
    return zeta, lent
