"""Which learner would have been taken, by somebody who does not know the true world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from experiments.learners.study import LearnerRecord


@dataclass(frozen=True, slots=True)
class Chosen:
    """The learner taken on one log, and the one that knowing the truth would have taken."""

    record: LearnerRecord  # of the learner taken
    merit: float  # what it was taken for, the journey's unit
    best: LearnerRecord
    regret: float  # true value of the best less that of the one taken, the journey's unit


def chosen_for_release(records: Sequence[LearnerRecord]) -> Chosen | None:
    """The learner whose released policy has the highest lower bound above the drip.

    The bound is that of the paired difference on the held-out contacts.

    Args:
        records: of the learners on one log; who failed cannot be taken.

    Returns:
        None where nobody can be taken.
    """
    merits = {
        one.learner: one.released.judged.lower
        for one in records
        if one.released is not None and one.released.judged is not None
    }
    truths = {one.learner: one.released.truth.value for one in records if one.released is not None}
    return _taken(records, merits, truths)


def chosen_alone(records: Sequence[LearnerRecord]) -> Chosen | None:
    """The learner whose policy without the region has the highest mean in the fitted world.

    Args:
        records: as in `chosen_for_release`.
    """
    merits = {one.learner: one.alone.world.value for one in records if one.alone is not None}
    truths = {one.learner: one.alone.truth.value for one in records if one.alone is not None}
    return _taken(records, merits, truths)


def _taken(
    records: Sequence[LearnerRecord], merits: dict[str, float], truths: dict[str, float]
) -> Chosen | None:
    """The first of the highest merit; what has no merit is not taken."""
    known = {name: merit for name, merit in merits.items() if not isnan(merit)}
    if not known:
        return None
    by_name = {one.learner: one for one in records}
    taken, best = (
        max(known, key=lambda name: known[name]),
        max(truths, key=lambda name: truths[name]),
    )
    return Chosen(by_name[taken], known[taken], by_name[best], truths[best] - truths[taken])
