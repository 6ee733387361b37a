"""What a report says of an experiment that deals time, beside the figures of its arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One planned block."""

    block: int
    arm: str  # empty: its decisions name more than one, or none
    begins_us: int  # UTC
    ends_us: int
    at_risk: float  # contacts at risk on a day of it, after the washout, on average
    means: Mapping[str, float]  # by key figure, for a contact's window as in the counted days
    compared: bool  # its whole round is
    fault: str  # why not; empty: there is nothing against it


@dataclass(frozen=True, slots=True)
class CarryOver:
    """The north star of one arm less the usual one, early and late in its blocks."""

    by_day: tuple[float, ...]  # on each day of a block, washout included, [block_days]
    early: float  # in the first half of the days that count
    late: float  # in the other half
    lower: float  # of late less early, at 90 %
    upper: float

    @property
    def differs(self) -> bool:
        """Whether late days differ from early ones by more than chance would have it."""
        return self.lower > 0.0 or self.upper < 0.0


@dataclass(frozen=True, slots=True)
class BlocksRead:
    """The blocks of an experiment that deals time, as far as they are known."""

    ends_us: int  # when the answer is due, UTC
    over: bool  # that day has come
    rounds: int  # planned
    compared: int  # rounds of which each block is over and was as planned
    possible: int  # before the end: rounds that may be; then those that are compared
    least: int  # rounds below which nothing can be told
    rows: tuple[BlockRow, ...]
    carry_over: Mapping[str, CarryOver]  # by arm that is compared; empty before the end
    spread: Mapping[str, float]  # standard deviation of the north star's differences, by arm
