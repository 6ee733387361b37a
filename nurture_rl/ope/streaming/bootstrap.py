"""Poisson bootstrap of contacts from sums: a resample costs one row of a matrix product.

How often a bucket counts in a replicate is a hash of bucket, replicate and seed. Parts of a log
that are summed on different machines therefore draw the same resample, and so do two policies
evaluated on one log: their values differ in a replicate by what the policies differ in.
"""

from __future__ import annotations

from math import exp, factorial

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.contact_hash import GOLDEN, mixed
from nurture_rl.ope.intervals import Interval
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.estimates import PointValues, point_values
from nurture_rl.ope.streaming.moments import Moments

# Chance of at most k, k = 0 .. 19; beyond lies less than 1e-18.
_AT_MOST = np.cumsum([exp(-1.0) / factorial(k) for k in range(20)])


def replicate_counts(n_buckets: int, replicates: int, seed: int) -> FloatArray:
    """How often each bucket counts in each replicate, Poisson of mean 1, [R, B].

    Args:
        n_buckets: B.
        replicates: R.
        seed: another seed, other counts; >= 0.
    """
    own = mixed(np.array([seed], dtype=np.uint64))
    replicate = mixed(np.arange(replicates, dtype=np.uint64) * GOLDEN + own)
    bits = mixed(np.arange(n_buckets, dtype=np.uint64) + replicate[:, None])
    luck = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_AT_MOST, luck, side="right").astype(np.float64)


def bootstrap_values(moments: Moments, replicates: int, seed: int) -> PointValues:
    """Values of every estimator in resamples of the log's contacts, each field [R] or [R, k].

    Source: Chamandy, Muralidharan, Najmi & Naidu (2012), Estimating Uncertainty for Massive Data
        Streams (Poisson weights); contacts are resampled whole as in Cameron, Gelbach & Miller
        (2008), Bootstrap-Based Improvements for Inference with Clustered Errors.
    """
    counts = replicate_counts(moments.config.n_buckets, replicates, seed)
    return point_values(counts @ moments.sums, moments.config)


def percentile_interval(values: FloatArray, level: float) -> Interval:
    """The middle `level` of a statistic's resampled values, [R].

    Raises:
        ShapeError: a level outside (0, 1), or too few values to have such tails.

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    if not 0.0 < level < 1.0 or values.size * (1.0 - level) < 2.0:
        raise ShapeError(
            f"expected a level in (0, 1) and at least two resamples beyond it, got {level} with "
            f"{values.size}; draw more resamples"
        )
    tail = (1.0 - level) / 2.0
    lower, upper = np.quantile(values, [tail, 1.0 - tail])
    return Interval(float(lower), float(upper), level, "poisson-bootstrap")
