"""The sums over logged decisions from which every one-step estimator is worked out.

Decisions are summed by a hash of their contact, so that independent contacts stay apart: a bucket
plays the part of a contact in every error and resample. Sums of parts of a log add up to those of
the whole, in any order, up to rounding. In the notation of `nurture_rl.ope.estimators`, with
c = w (r - q(x, a)) the correction of a decision and v its modelled value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.weighting.tuning import LARGEST_WEIGHTS, SHRINKAGES

# Columns of `Moments.sums`; behind them one per clip, per tau and per lam.
ROWS, WEIGHT, WEIGHT_SQUARED, GAIN, GAIN_SQUARED, VALUE, CORRECTION, SCORE_SQUARED = range(8)
HEAD = 8
# Rows of `Moments.bounds`.
OF_WEIGHT, OF_REWARD, OF_GAIN, OF_SCORE = range(4)


@dataclass(frozen=True, slots=True)
class MomentsConfig:
    """How sums are kept; only sums of one configuration add up."""

    n_buckets: int = 4096  # of contacts, a power of two
    clips: tuple[float, ...] = LARGEST_WEIGHTS  # > 0, least biased first
    taus: tuple[float, ...] = LARGEST_WEIGHTS
    lams: tuple[float, ...] = SHRINKAGES

    @property
    def n_columns(self) -> int:
        """Columns of the sums."""
        return HEAD + len(self.clips) + len(self.taus) + len(self.lams)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over logged decisions; a table's size depends on the configuration, not on the log."""

    config: MomentsConfig
    # By bucket: rows, w, w^2, w r, (w r)^2, v, c, (v + c)^2, then min(w, clip) r, c 1[w <= tau]
    # and c lam / (w^2 + lam), [B, columns]
    sums: FloatArray
    # Smallest and largest positive weight, reward other than 0, w r and v + c, [4, 2]; where there
    # is none: inf, -inf
    bounds: FloatArray
    matched: int  # decisions of positive weight and positive reward
    by: Mapping[str, FloatArray] = field(default_factory=dict)  # rows, w, w^2 by code, [G, 3]

    @property
    def n_rows(self) -> int:
        """Decisions, N."""
        return int(self.sums[:, ROWS].sum())


def no_moments(config: MomentsConfig) -> Moments:
    """The sums over no decision.

    Raises:
        ShapeError: the number of buckets is no power of two above 1, or a parameter not above 0.
    """
    b = config.n_buckets
    parameters = (*config.clips, *config.taus, *config.lams)
    if b < 2 or b & (b - 1) or not all(parameter > 0.0 for parameter in parameters):
        raise ShapeError(
            f"expected a power of two of buckets, at least 2, and parameters above 0, got {b} and "
            f"{parameters}; parameter 0 is the model alone, `dm`"
        )
    bounds = np.tile([np.inf, -np.inf], (4, 1))
    return Moments(config, np.zeros((b, config.n_columns)), bounds, 0)


def merged(*parts: Moments) -> Moments:
    """The sums over the decisions of all parts, at least one.

    Raises:
        ShapeError: the parts are of different configurations.
    """
    return reduce(_merge, parts)


def _merge(first: Moments, second: Moments) -> Moments:
    if first.config != second.config:
        raise ShapeError(
            f"sums add up only if kept alike, got {first.config} and {second.config}; "
            "stream both parts with one configuration"
        )
    low = np.minimum(first.bounds[:, 0], second.bounds[:, 0])
    high = np.maximum(first.bounds[:, 1], second.bounds[:, 1])
    names = sorted({*first.by, *second.by})
    return Moments(
        config=first.config,
        sums=first.sums + second.sums,
        bounds=np.column_stack([low, high]),
        matched=first.matched + second.matched,
        by={name: _longer(first.by.get(name), second.by.get(name)) for name in names},
    )


def _longer(first: FloatArray | None, second: FloatArray | None) -> FloatArray:
    """Sum of two tables by code; a code that one does not have counts as 0."""
    tables = [table for table in (first, second) if table is not None]
    total = np.zeros((max(len(table) for table in tables), 3))
    for table in tables:
        total[: len(table)] += table
    return total
