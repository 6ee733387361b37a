"""Whether an interval holds a value that is itself measured."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

LEVEL = 0.95  # of every interval of the experiments


def half_width(stderr: float) -> float:
    """Half width of the normal interval of level `LEVEL`."""
    return float(ndtri(0.5 + LEVEL / 2.0)) * stderr


def holds(value: float, lower: float, upper: float, truth: float, stderr: float) -> bool:
    """Whether the interval of an estimate holds a truth that is known up to its noise.

    The end on the truth's side is moved out so far that its distance d from the estimate becomes
    sqrt(d^2 + (z s)^2), with s the standard error of the truth and z the normal quantile.

    Args:
        value: the estimate.
        lower: lower end of its interval.
        upper: upper end.
        truth: what is held against it.
        stderr: standard error of the truth.
    """
    reach = upper - value if truth > value else value - lower
    return abs(truth - value) <= float(np.hypot(reach, half_width(stderr)))
