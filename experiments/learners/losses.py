"""Where the attainable lift goes that a chosen policy does not take."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.learners.chooser import Chosen
from experiments.learners.oracle import Standard
from experiments.learners.study import Outcome


@dataclass(frozen=True, slots=True)
class Losses:
    """The attainable lift of a journey in parts that add up, the journey's unit per episode.

        lift = taken + by_region + by_choice + by_learning

    A part may be negative: the region can help a policy that went wrong by itself, and who is
    taken for release need not be behind the best alone.
    """

    lift: float  # oracle less drip
    taken: float  # by the released policy, over the drip
    by_region: float  # the same learner without the trust region, less with it
    by_choice: float  # the best learner without the region, less this one
    by_learning: (
        float  # the oracle less the best learner: hidden state, log, world and optimisation
    )
    world_error: float  # lift that the fitted world promises the released policy, less the true one
    world_error_alone: float  # the same of the policy without the region
    region_ceiling: float | None  # lift of an oracle in the region; None: not worked out


def losses(chosen: Chosen, best_alone: float, standard: Standard) -> Losses:
    """What one choice of a released policy leaves, and at which point.

    Args:
        chosen: for release.
        best_alone: true value of the best learner without the region on the same log.
        standard: of the journey.
    """
    released, alone = chosen.record.released, chosen.record.alone
    assert released is not None, "who failed is not chosen"
    assert alone is not None, "who failed is not chosen"
    held = standard.held
    return Losses(
        lift=standard.oracle.truth.over_drip,
        taken=released.truth.over_drip,
        by_region=alone.truth.value - released.truth.value,
        by_choice=best_alone - alone.truth.value,
        by_learning=standard.oracle.truth.value - best_alone,
        world_error=_error(released),
        world_error_alone=_error(alone),
        region_ceiling=None if held is None else held.truth.over_drip,
    )


def _error(one: Outcome) -> float:
    return one.world.over_drip - one.truth.over_drip
