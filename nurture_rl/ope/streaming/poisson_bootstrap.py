"""Poisson bootstrap of contacts from sums: a resample costs one row of a matrix product.

How often a bucket counts in a replicate is a hash of bucket, replicate and seed. Parts of a log
that are summed on different machines therefore draw the same resample, and so do two policies
evaluated on one log: their values differ in a replicate by what the policies differ in.
"""

from __future__ import annotations

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.bootstrap import BootstrapConfig, poisson_counts
from nurture_rl.ope.bounds.interval import Interval
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.estimates import PointValues, point_values
from nurture_rl.ope.streaming.moments import Moments


def bootstrap_values(moments: Moments, config: BootstrapConfig) -> PointValues:
    """Values of every estimator in resamples of the log's contacts, each field [R] or [R, k].

    Source: Chamandy, Muralidharan, Najmi & Naidu (2012), Estimating Uncertainty for Massive Data
        Streams (Poisson weights); contacts are resampled whole as in Cameron, Gelbach & Miller
        (2008), Bootstrap-Based Improvements for Inference with Clustered Errors.
    """
    counts = poisson_counts(np.arange(moments.config.n_buckets), config).T
    return point_values(counts.astype(np.float64) @ moments.sums, moments.config)


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
    return Interval(float(lower), float(upper), level, "poisson-percentile")
