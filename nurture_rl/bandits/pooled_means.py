"""Means of units that are shrunk to their group, and of groups that are shrunk to all.

    outcome = overall + group + unit + noise,
    group ~ N(0, between_groups),  unit ~ N(0, between_units),  noise ~ N(0, within)

A unit is a contact or an account, a group is a segment. The variances are moment estimators, the
means are posterior means given them: all in closed form from one count and one sum a unit and one
sum of squares. Groups that are alike are pooled, groups that differ are left apart.

Source: Searle, Casella & McCulloch (1992), Variance Components, 3.7, for unbalanced moments;
DerSimonian & Laird (1986) for groups; Gelman & Hill (2007), 12.2, for the means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import FitError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PooledMeans:
    """Shrunken means with the variances that say how strongly they were shrunk."""

    overall: float  # mean over groups, the outcome's unit
    group: FloatArray  # mean of each group, [G]
    group_variance: FloatArray  # of its posterior, unit^2, [G]
    unit: FloatArray  # mean of each unit, [U]
    unit_variance: FloatArray  # of its posterior, unit^2, [U]
    within: float  # variance of an outcome around its unit, unit^2
    between_units: float  # variance of units around their group, unit^2
    between_groups: float  # variance of groups, unit^2


def pooled_means(
    count: FloatArray, total: FloatArray, squares: float, group: IntArray
) -> PooledMeans:
    """Fit the variances and shrink.

        mean of u = b_u total_u / count_u + (1 - b_u) mean of its group,
        b_u = between_units / (between_units + within / count_u)

    and alike for groups. A unit without outcomes takes its group's mean, a group without outcomes
    the overall one.

    Args:
        count: outcomes of each unit, >= 0, [U].
        total: their sum, [U].
        squares: sum of all squared outcomes.
        group: of each unit, 0 .. G-1, [U].

    Raises:
        ShapeError: the arrays are not all [U].
        FitError: no unit has two outcomes, or outcomes never vary inside a unit.
    """
    if not count.ndim == 1 or not count.shape == total.shape == group.shape:
        raise ShapeError(
            f"count, total and group must all be [U], got {count.shape}, {total.shape} and "
            f"{group.shape}"
        )
    seen, n_groups = count > 0, int(group.max()) + 1
    mean = np.where(seen, total / np.where(seen, count, 1.0), 0.0)
    free = float(count.sum()) - int(seen.sum())
    inside = squares - float(total @ mean)
    if free <= 0.0 or inside <= 1e-12 * squares:
        raise FitError(
            "expected outcomes that vary inside a unit, got none; give units of two outcomes or "
            "more, or do not pool"
        )
    within = inside / free
    units = _between_units(count, mean, within, group, n_groups)
    precision = np.where(seen, 1.0 / (units + within / np.where(seen, count, 1.0)), 0.0)
    known = _sums(group, precision, n_groups)  # [G]
    full = known > 0.0
    rough = _sums(group, precision * mean, n_groups)
    rough = np.where(full, rough / np.where(full, known, 1.0), 0.0)
    groups = _between_groups(known[full], rough[full])
    weight = known / (1.0 + groups * known)
    overall = float(weight @ rough / weight.sum())
    kept = groups * known / (1.0 + groups * known)  # of each group's own mean
    group_mean = kept * rough + (1.0 - kept) * overall
    group_variance = groups * (1.0 - kept) + (1.0 - kept) ** 2 / weight.sum()
    own = units * count / (units * count + within)
    return PooledMeans(
        overall=overall,
        group=group_mean,
        group_variance=group_variance,
        unit=own * mean + (1.0 - own) * group_mean[group],
        unit_variance=units * (1.0 - own) + (1.0 - own) ** 2 * group_variance[group],
        within=within,
        between_units=units,
        between_groups=groups,
    )


def _between_units(
    count: FloatArray, mean: FloatArray, within: float, group: IntArray, n_groups: int
) -> float:
    """Variance of units around their group, by the moments of their spread; 0 if too small."""
    size = _sums(group, count, n_groups)
    full = size > 0.0
    centre = _sums(group, count * mean, n_groups)
    centre = np.where(full, centre / np.where(full, size, 1.0), 0.0)
    spread = float(count @ (mean - centre[group]) ** 2)
    free = int((count > 0).sum()) - int(full.sum())
    squared = _sums(group, count**2, n_groups)[full] / size[full]
    scale = float(count.sum() - squared.sum())
    return max((spread - free * within) / scale, 0.0) if scale > 0.0 else 0.0


def _between_groups(known: FloatArray, rough: FloatArray) -> float:
    """Variance of groups, by the moments of their spread; 0 if too small.

    Args:
        known: precision of each group's mean, [G].
        rough: the means, [G].
    """
    centre = known @ rough / known.sum()
    spread = float(known @ (rough - centre) ** 2)
    scale = float(known.sum() - (known**2).sum() / known.sum())
    return max((spread - (known.size - 1)) / scale, 0.0) if known.size > 1 else 0.0


def _sums(group: IntArray, values: FloatArray, n_groups: int) -> FloatArray:
    """Sum of the values of each group's units, [G]."""
    return np.bincount(group, weights=values, minlength=n_groups).astype(np.float64)
