"""Shrinking and marginalised estimators whose parameter is chosen on the log at hand.

Every call chooses anew and returns what it chose: a parameter that fitted one log is no guide to
the next.
"""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.mips import coarsenings, mips
from nurture_rl.ope.weighting.shrinking import clipped_ips, dros, switch_dr
from nurture_rl.ope.weighting.slope import Tuned, tuned

# Weights are 1 on average whatever the log, so one grid serves all; infinity leaves them alone.
LARGEST_WEIGHTS = (np.inf, 1000.0, 100.0, 25.0, 10.0, 5.0, 2.0, 1.0)
SHRINKAGES = tuple(weight**2 for weight in LARGEST_WEIGHTS)


def tuned_clipped_ips(
    log: EvaluationLog, taken: FloatArray, clips: tuple[float, ...] = LARGEST_WEIGHTS
) -> Tuned:
    """`clipped_ips` with the best of several clips, largest first.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `clipped_ips`.
    """
    return tuned({clip: clipped_ips(log, taken, clip) for clip in clips})


def tuned_switch_dr(
    log: EvaluationLog,
    taken: FloatArray,
    predictions: ValuePredictions,
    taus: tuple[float, ...] = LARGEST_WEIGHTS,
) -> Tuned:
    """`switch_dr` with the best of several thresholds, largest first.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `switch_dr`.
    """
    return tuned({tau: switch_dr(log, taken, predictions, tau) for tau in taus})


def tuned_dros(
    log: EvaluationLog,
    taken: FloatArray,
    predictions: ValuePredictions,
    lams: tuple[float, ...] = SHRINKAGES,
) -> Tuned:
    """`dros` with the best of several shrinkages, weakest first.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `dros`.
    """
    return tuned({lam: dros(log, taken, predictions, lam) for lam in lams})


def tuned_mips(log: EvaluationLog, target: FloatArray, most: int = len(LARGEST_WEIGHTS)) -> Tuned:
    """`mips` with the best of several groupings by the catalogue's factors, finest first.

    The parameter is the number of groups.

    Raises:
        ShapeError, ProbabilityError, OverlapError: as `mips`.

    Source: Saito & Joachims (2022), sec. 3.4, choose embedding dimensions by SLOPE.
    """
    groupings = coarsenings(log.action_factors, most)
    return tuned({float(groups.max() + 1): mips(log, target, groups) for groups in groupings})
