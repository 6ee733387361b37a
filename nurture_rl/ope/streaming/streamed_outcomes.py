"""The rare outcomes behind a streamed value, as `rare_outcomes` tells them of a log in memory."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.bounds.rare_outcomes import (
    RARE_FACTOR,
    RARE_SHARE,
    RARE_VARIATION,
    RareOutcomes,
)
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.policy_sums import LogSums, OutcomeSums

__all__ = ["RARE_FACTOR", "summed_outcomes"]


def summed_outcomes(sums: LogSums, outcomes: OutcomeSums) -> RareOutcomes | None:
    """The outcomes of a policy or a difference, None where rewards are not ruled by rare ones.

    An exact share is never told: sums by bucket do not say how often a contact decided.

    Args:
        sums: of the log.
        outcomes: of the policy, or of its difference to another.
    """
    n, (everything, within, count) = sums.n_rows, sums.squares
    if count == 0.0 or count > RARE_SHARE * n or within < RARE_VARIATION * everything:
        return None
    held = sums.rows > 0.0
    up, down = outcomes.weights[:2], outcomes.weights[2:]
    gains, losses = sums.amounts[:2], sums.amounts[2:]
    return RareOutcomes(
        gained=outcomes.gained[held] / n,
        lost=outcomes.lost[held] / n,
        further_gain=max(_further(up, gains), _further(down, losses)) / n,
        further_loss=max(_further(up, losses), _further(down, gains)) / n,
        episodes=sums.rows[held] / n,
        matched=int(outcomes.matched),
        sparse=True,
        share=None,
    )


def _further(weights: FloatArray, amounts: FloatArray) -> float:
    """What one more outcome would weigh, from sums of numbers and of their cubes, [2] each."""
    if weights[0] <= 0.0 or amounts[0] <= 0.0:
        return 0.0
    return float(np.sqrt(weights[1] / weights[0] * amounts[1] / amounts[0]))
