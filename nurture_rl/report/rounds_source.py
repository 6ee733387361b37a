"""What is known of a programme that is run in rounds: its record, and that of each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any


@dataclass(frozen=True, slots=True)
class ValueBand:
    """A value with its interval, the journey's unit per contact."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class RoundTruth:
    """True values in a world that knows them; differences on the same contacts and luck."""

    programme: ValueBand  # that ran, as if it had not explored
    explored: ValueBand  # that ran, with its exploration
    exploration_cost: ValueBand  # the first less the second
    challenger: ValueBand | None
    next_programme: ValueBand
    change: ValueBand  # the next programme less this one


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round: what ran and what it brought, what was learned, and what the gate said."""

    number: int  # from 1
    programme: str  # that ran
    exploration: float  # share of its decisions that were left to chance
    contacts: int  # new ones
    earned: ValueBand  # by those contacts, exploration included
    amounts: Mapping[str, float]  # sends and harms per contact of the round
    pooled: int  # contacts of all rounds that were learned from and judged by
    held_out: int  # of those, contacts that judged
    programme_value: ValueBand | None  # as it ran, by the log of all rounds; None: not carried
    challenger: str | None
    challenger_value: ValueBand | None  # by the log, with the exploration of the round
    gain: ValueBand | None  # the second less the first, by the log
    level: float  # of the gain's interval
    effective_sample: float | None  # episodes of the log that speak of the challenger
    verdict: str  # of the gate: `released`, `rules_are_enough` or `refused`
    reasons: tuple[str, ...]  # why nothing that was learned is released; empty where it is
    drift: tuple[str, ...]  # what is not as it was in other rounds
    next_programme: str
    truth: RoundTruth | None  # None: nobody knows it
    tried: str | None = None  # the challenger that took a share of the exploration

    @property
    def next_gain(self) -> float | None:
        """The smallest gain that would be shown if as many contacts came once more."""
        if self.gain is None:
            return None
        half = (self.gain.upper - self.gain.lower) / 2.0
        return half * sqrt(self.pooled / (self.pooled + self.contacts))


@dataclass(frozen=True, slots=True)
class PlayedFit:
    """A world that was fitted to a log, and how far it may be trusted."""

    log: str  # where that lies, or its name
    trust: str  # verdict of the reality gap on contacts held out
    sentence: str
    causes: tuple[str, ...]  # against more trust


@dataclass(frozen=True, slots=True)
class RoundsRecord:
    """All rounds of a programme."""

    journey: str
    title: str
    unit: str
    level: float  # of all rounds' gates together
    earlier: str  # what earlier rounds counted for
    start: Mapping[str, Any]  # the policy that logged the first round
    rounds: tuple[RoundRecord, ...]
    challenger_share: float = 0.0  # of the exploration, for a challenger that is tried
    world: PlayedFit | None = None  # that was played; None: the reference world
