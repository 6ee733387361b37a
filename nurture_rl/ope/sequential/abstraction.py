"""Contexts lumped into cells: one bin of the episode and one group of contexts each.

Marginal estimators weigh cells instead of histories. They are consistent where, for the target
policy, a cell is as good as the contexts in it: either cells are Markov, or the value of following
the target is the same throughout each cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nurture_rl.errors import FitError, ShapeError
from nurture_rl.ope.kinds import contexts
from nurture_rl.ope.log import EvaluationLog, IntArray
from nurture_rl.ope.numbering import numbered
from nurture_rl.ope.value_model import ValuePredictions


@dataclass(frozen=True, slots=True)
class CellConfig:
    """How fine cells are."""

    groups: int = 20  # of contexts per bin, at least 1
    min_rows: int = 50  # a bin is cut into fewer groups rather than into smaller ones
    whole_rows: int = 10  # a bin of so many rows a context, on average, is not lumped by value


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cell of each row; cells are numbered by bin, so an episode only moves up."""

    cell: IntArray  # [N]
    count: int  # cells, S
    order: IntArray  # rows by bin, [N]
    starts: IntArray  # where each bin's rows begin in `order`, and N, [B + 1]


def bins_of(cells: Cells) -> list[tuple[IntArray, slice]]:
    """Rows and cells of each bin, bins ascending."""
    parts = []
    for first, last in pairwise(cells.starts):
        rows = cells.order[first:last]
        inside = cells.cell[rows]
        parts.append((rows, slice(int(inside.min()), int(inside.max()) + 1)))
    return parts


def state_cells(log: EvaluationLog, state: IntArray) -> Cells:
    """Cells of a known discrete state, [N]: one per bin and state.

    Raises:
        ShapeError: `state` is not [N].
    """
    if state.shape != (log.n_rows,):
        raise ShapeError(f"state must be [{log.n_rows}], one per decision, got {state.shape}")
    label, width = numbered(state)
    place, n_bins = numbered(log.step)
    cell, count = numbered(place * width + label)
    order = np.argsort(place, kind="stable").astype(np.int64)
    starts = np.searchsorted(place[order], np.arange(n_bins + 1)).astype(np.int64)
    return Cells(cell, count, order, starts)


def value_cells(
    log: EvaluationLog, predictions: ValuePredictions, config: CellConfig | None = None
) -> Cells:
    """Cells of equally many rows by the model's value of following the target, bin by bin.

    Lumping contexts of equal value loses nothing for the value of that target, so a model that
    only ranks contexts well is enough. Where a bin holds few contexts each is a cell of its own:
    groups of equally many rows would lump parts of several, and an equal share of each is not how
    the target comes to them.
    """
    fine = _checked(config)
    state = np.zeros(log.n_rows, dtype=np.int64)
    order, context = np.lexsort((predictions.value, log.step)), contexts(log)
    bins = np.append(0, np.flatnonzero(np.diff(log.step[order])) + 1)
    for first, last in zip(bins, np.append(bins[1:], order.size), strict=True):
        rows = last - first
        group, n_own = numbered(context[order[first:last]])
        if n_own * fine.whole_rows > rows:
            group = np.arange(rows) * max(1, min(fine.groups, rows // fine.min_rows)) // rows
        state[order[first:last]] = group
    return state_cells(log, state)


def _checked(config: CellConfig | None) -> CellConfig:
    fine = CellConfig() if config is None else config
    if min(fine.groups, fine.min_rows, fine.whole_rows) < 1:
        raise FitError(
            f"cells need at least one group and one row each, got {fine.groups}, {fine.min_rows} "
            f"and {fine.whole_rows}"
        )
    return fine
