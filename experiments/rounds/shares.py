"""What each round truly reached, as a share of what is attainable in its world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from experiments.learners.oracle import standards_in
from experiments.learners.shares import share
from experiments.learners.study import LearnerRecord
from nurture_rl.codec import read_record
from nurture_rl.report.rounds_source import RoundsRecord, ValueBand

LEARNERS = Path(__file__).parents[1] / "learners" / "records"


@dataclass(frozen=True, slots=True)
class Attainable:
    """What counts as nothing and as everything in a world, its unit per contact."""

    drip: float
    oracle: float

    def of(self, value: float) -> float:
        """A value's share of the lift."""
        return share(value, self.drip, self.oracle)


@lru_cache(maxsize=1)
def attainable() -> Mapping[str, Attainable]:
    """By the data of the config group; worlds without a recorded oracle are not in it."""
    found = {}
    for data, standard in standards_in(LEARNERS).items():
        drip = read_record(LEARNERS / f"{data}-programme-drip.json", LearnerRecord).programme
        if drip is not None:
            found[data] = Attainable(drip.value, standard.oracle.truth.value)
    return found


def reached(record: RoundsRecord) -> list[ValueBand]:
    """The true value of what ran in each round, and last of what runs after them."""
    truths = [one.truth for one in record.rounds if one.truth is not None]
    return [*(one.programme for one in truths), truths[-1].next_programme]


def losing(record: RoundsRecord) -> int:
    """Rounds that let something through that is truly worth less, beyond its interval."""
    return sum(one.truth is not None and one.truth.change.upper < 0.0 for one in record.rounds)
