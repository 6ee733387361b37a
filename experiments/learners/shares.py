"""What of a journey's attainable lift a policy takes, and whether that may be said at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.learners.study import LearnerRecord
from experiments.learners.truth import Measured

LIFT, EXPERT = "drip", "expert"  # programmes at which the two shares are 0


def share(value: float, nothing: float, everything: float) -> float:
    """Where a value lies between what counts as nothing and as everything; 0 and 1 there.

        (J - J_0) / (J_1 - J_0),   not a number unless J_1 > J_0

    Args:
        value: J.
        nothing: J_0, such as the drip's value.
        everything: J_1, the oracle's value.
    """
    if not everything > nothing:
        return float("nan")
    return (value - nothing) / (everything - nothing)


def true_values(record: LearnerRecord) -> dict[str, Measured]:
    """All policies of a cell by the name under which the record has them."""
    found = {"programme": record.programme, "let_loose": record.let_loose}
    found |= {
        name: None if one is None else one.truth
        for name, one in (("released", record.released), ("alone", record.alone))
    }
    return {name: one for name, one in found.items() if one is not None}


def voiding(records: Sequence[LearnerRecord]) -> tuple[str, ...]:
    """Policies that the oracle is not above in truth: with one of them a journey's cells are void.

    An oracle that is beaten does not say what is attainable, so no share of it means anything.

    Args:
        records: of the journey.
    """
    return tuple(
        f"{record.learner} {name} ({record.contacts:,} contacts, seed {record.seed})"
        for record in records
        for name, one in true_values(record).items()
        if not one.under_oracle > 0.0
    )


def programmes(records: Sequence[LearnerRecord]) -> Mapping[str, float]:
    """What each programme of a journey is truly worth."""
    return {one.learner: one.programme.value for one in records if one.programme is not None}
