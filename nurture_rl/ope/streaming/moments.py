"""The sums over logged decisions from which every one-step estimator is worked out.

Decisions are summed by a hash of their contact, so that independent contacts stay apart: a bucket
plays the part of a contact in every error. Sums of parts of a log add up to those of the whole, in
any order, up to rounding. In the notation of `nurture_rl.ope.estimators`, with c = w (r - q(x, a))
the correction of a decision and v its modelled value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.weighting.tuning import LARGEST_WEIGHTS, SHRINKAGES

# Columns of `Moments.sums`; behind them one per clip, per tau and per lam.
ROWS, WEIGHT, WEIGHT_SQUARED, GAIN, VALUE, CORRECTION = range(6)
HEAD = 6


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
    # By bucket: rows, w, w^2, w r, v, c, then min(w, clip) r, c 1[w <= tau] and
    # c lam / (w^2 + lam), [B, columns]
    sums: FloatArray
    largest: FloatArray  # weight, 0 where there is none, []


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
    return Moments(config, np.zeros((b, config.n_columns)), np.zeros(()))


def merged(first: Moments, second: Moments) -> Moments:
    """The sums over the decisions of both parts.

    Raises:
        ShapeError: the parts are of different configurations.
    """
    if first.config != second.config:
        raise ShapeError(
            f"sums add up only if kept alike, got {first.config} and {second.config}; "
            "stream both parts with one configuration"
        )
    largest = np.asarray(np.maximum(first.largest, second.largest))
    return Moments(first.config, first.sums + second.sums, largest)
