"""What a few paired differences say of their mean: every way in which chance could have dealt."""

from __future__ import annotations

import numpy as np

from nurture_rl.lift.contrast import FloatArray

_EXACT = 13  # differences up to which every flip is looked at
_DRAWN = 2**_EXACT - 1  # flips drawn where there are more
_SEED = 20_261_130
_ROUNDING = 1e-9


def flipped_interval(differences: FloatArray, level: float) -> tuple[float, float]:
    """The interval of a constant effect from differences within pairs that chance ordered.

        d_r = theta + s_r e_r,      s_r = +1 or -1, each with 1/2, independently
        lower = the k-th smallest, upper = the k-th largest  mean of a subset of the d_r
        k = the whole part of (1 - level) / 2 * 2^m

    A theta is inside where flipping signs of d_r - theta at random makes their sum as far from 0 in
    at least (1 - level) / 2 of all flips, on each side. That is exact whatever the e_r are: trends,
    serial dependence and heavy tails do no harm, for only the order within the pairs is random.
    Where effects differ from pair to pair the interval is for their mean, and approximate. Beyond
    13 differences 8,191 flips are drawn, always the same, with the observed one beside them, so
    that it stays exact.

    Args:
        differences: one a pair, [m].
        level: stated coverage, in (0, 1).

    Returns:
        Both ends; infinite where m is too small for the level.

    Source: Fisher (1935), The Design of Experiments, on randomisation; Hartigan (1969), Using
        subsample values as typical values.
    """
    m = differences.size
    if m == 0:
        return -np.inf, np.inf
    chosen = _subsets(m)
    sizes = chosen.sum(axis=1)
    k = int((1.0 - level) / 2.0 * (len(chosen) + 1) + _ROUNDING)
    if k < 1:
        return -np.inf, np.inf
    sums = chosen @ differences
    # A drawn subset may be empty: then nothing is flipped, as in what was observed.
    low = np.divide(sums, sizes, out=np.full(len(sums), -np.inf), where=sizes > 0.0)
    high = np.divide(sums, sizes, out=np.full(len(sums), np.inf), where=sizes > 0.0)
    return float(np.sort(low)[k - 1]), float(np.sort(high)[-k])


def _subsets(m: int) -> FloatArray:
    """Which differences are flipped, [flips, m]: all ways but none, or as many as are drawn."""
    if m > _EXACT:
        rng = np.random.default_rng(_SEED)
        return rng.integers(0, 2, (_DRAWN, m)).astype(np.float64)
    numbers = np.arange(1, 2**m)
    return ((numbers[:, None] >> np.arange(m)) & 1).astype(np.float64)
