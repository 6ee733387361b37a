"""Records of one journey and size put together: seeds by learner, shares, what was chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.learners.chooser import Chosen, chosen_alone, chosen_for_release
from experiments.learners.losses import Losses, losses
from experiments.learners.oracle import Standard
from experiments.learners.seeds import Summary, summary
from experiments.learners.shares import share, voiding
from experiments.learners.study import LearnerRecord
from experiments.learners.truth import Measured

RELEASED, ALONE = "released", "alone"


@dataclass(frozen=True, slots=True)
class Choices:
    """What would have been taken on one log, and what became of it."""

    seed: int
    released: Chosen | None
    alone: Chosen | None
    losses: Losses | None  # of the released


@dataclass(frozen=True)
class Panel:
    """One journey at one size of the log."""

    data: str
    contacts: int
    standard: Standard
    programmes: Mapping[str, Measured]
    cells: Sequence[LearnerRecord]  # of learners, failed ones included
    void: tuple[str, ...]  # policies that beat the oracle; with any there is no share

    @property
    def learners(self) -> tuple[str, ...]:
        """Those with a result, in alphabetical order."""
        return tuple(sorted({one.learner for one in self.cells if one.failed is None}))

    @property
    def failures(self) -> tuple[LearnerRecord, ...]:
        """Cells without a result."""
        return tuple(one for one in self.cells if one.failed is not None)

    def of(self, learner: str, row: str) -> list[Measured]:
        """A learner's true values, by seed."""
        mine = sorted((one for one in self.cells if one.learner == learner), key=lambda c: c.seed)
        found = [one.released if row == RELEASED else one.alone for one in mine]
        return [one.truth for one in found if one is not None]

    def share(self, one: Measured, above: str = "drip") -> float:
        """Share of what the oracle earns above a programme; not a number in a void journey."""
        if self.void or above not in self.programmes:
            return float("nan")
        return share(one.value, self.programmes[above].value, self.standard.oracle.truth.value)

    def shares(self, learner: str, row: str, above: str = "drip") -> list[float]:
        """Shares of a learner, by seed."""
        return [self.share(one, above) for one in self.of(learner, row)]

    def choices(self) -> list[Choices]:
        """What is taken on each log without the truth."""
        found = []
        for seed in sorted({one.seed for one in self.cells}):
            cells = [one for one in self.cells if one.seed == seed]
            released, alone = chosen_for_release(cells), chosen_alone(cells)
            lost = None
            if released is not None and alone is not None and not self.void:
                best = max(one.alone.truth.value for one in cells if one.alone is not None)
                lost = losses(released, best, self.standard)
            found.append(Choices(seed, released, alone, lost))
        return found


def panels(records: Sequence[LearnerRecord], standards: Mapping[str, Standard]) -> list[Panel]:
    """Every journey and size that has records, by size.

    Records that were held against another oracle are left out: they are to be made again.
    """
    valid = [
        one
        for one in records
        if one.data in standards and one.oracle == standards[one.data].oracle.digest
    ]
    cells = [one for one in valid if one.programme is None and one.contacts]
    keys = sorted({(one.contacts, one.data) for one in cells})
    order = list(dict.fromkeys(one for one in standards))
    return [
        _panel(data, contacts, valid, standards[data])
        for contacts, data in sorted(keys, key=lambda key: (key[0], order.index(key[1])))
    ]


def _panel(data: str, contacts: int, records: Sequence[LearnerRecord], standard: Standard) -> Panel:
    of_data = [one for one in records if one.data == data]
    return Panel(
        data=data,
        contacts=contacts,
        standard=standard,
        programmes={one.learner: one.programme for one in of_data if one.programme is not None},
        cells=[one for one in of_data if one.contacts == contacts],
        void=voiding(of_data),
    )


def over_journeys(
    some: Iterable[Panel], learner: str, row: str, rng: np.random.Generator
) -> Summary:
    """A learner's share over all journeys that are not void, seeds drawn inside each journey."""
    strata = [panel.shares(learner, row) for panel in some if not panel.void]
    return summary(strata, rng)
