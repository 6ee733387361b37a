"""Distributions that were rounded when they were written: rescaled to a sum of 1, with a note."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nurture_rl.interchange.logged_rows import BoolArray, FloatArray, IntArray, LoggedRows
from nurture_rl.logs.precision import sum_tolerance, table_decimals
from nurture_rl.ope.log_checks import TOLERANCE
from nurture_rl.wording import counted


def sums_to_one(table: FloatArray) -> BoolArray:
    """Whether each row's sum is 1 within the precision its table is written with, [n]."""
    some = (table != 0.0).sum(axis=1)
    allowed = sum_tolerance(table_decimals(table), np.maximum(some, 1))
    return np.asarray(np.abs(table.sum(axis=1) - 1.0) <= allowed)


def whole_rows(rows: LoggedRows, kept: IntArray) -> LoggedRows:
    """The rows with their distributions divided by their sums, where rounding left them beside 1.

    A propensity is what the logged distribution says of its action. Rows that are not kept stay
    as they are.

    Args:
        rows: decisions that were checked.
        kept: positions of the good ones.
    """
    notes = list(rows.notes)
    logged, propensity = rows.logged, rows.propensity
    if logged is not None:
        logged = _whole(logged, kept, "the logged distributions", notes)
        propensity = propensity.copy()
        propensity[kept] = logged[kept, rows.action[kept]]
    targets = {
        name: _whole(table, kept, f"the distributions of policy {name!r}", notes)
        for name, table in rows.targets.items()
    }
    return replace(rows, logged=logged, propensity=propensity, targets=targets, notes=tuple(notes))


def _whole(table: FloatArray, kept: IntArray, name: str, notes: list[str]) -> FloatArray:
    total = table[kept].sum(axis=1)
    off = np.abs(total - 1.0) > TOLERANCE
    if not off.any():
        return table
    decimals = counted(int(table_decimals(table).max()), "decimal")
    worst = total[np.argmax(np.abs(total - 1.0))]
    notes.append(
        f"{name} are written with {decimals} and do not sum to 1 in "
        f"{int(off.sum())} of {kept.size} rows (furthest {worst:.6g}): each was divided by its "
        "sum"
    )
    whole = table.copy()
    whole[kept] = table[kept] / total[:, None]
    return whole
