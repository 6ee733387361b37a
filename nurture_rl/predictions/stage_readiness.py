"""How ready contacts are: how soon those in a stage enter the next one, by kind of contact.

Readiness is the hazard of the next stage. Whoever is still in the stage counts by the days that
were watched, and whoever leaves for good leaves the others fewer to come (Aalen and Johansen 1978).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.predictions.clustered_log_rank import clustered_log_rank
from nurture_rl.predictions.contact_groups import NOBODY, ContactGroups
from nurture_rl.predictions.incidence import NOTHING, clustered_error, incidence, interval
from nurture_rl.predictions.stage_waits import LEFT, StageWait

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_FEWEST = 30  # contacts of a segment in a stage
_AT_RISK = 10  # accounts still watched, up to which a curve is told
_POINTS = 28  # of a curve


@dataclass(frozen=True, slots=True)
class ReadinessPoint:
    """A chance by some day."""

    day: float
    chance: float
    lower: float  # of the 95 % interval
    upper: float


@dataclass(frozen=True, slots=True)
class SegmentReadiness:
    """How soon the contacts of a segment leave a stage for the next."""

    segment: str
    episodes: int  # that were in the stage
    weekly: float  # hazard: next stages entered per week in the stage
    curve: tuple[ReadinessPoint, ...]  # chance to have entered a next stage, by day
    into: dict[str, float]  # what comes first, by the curve's end: next stages, and leaving

    def by(self, day: float) -> ReadinessPoint | None:
        """The last point up to a day; None where nothing is told so early."""
        return next((one for one in reversed(self.curve) if one.day <= day + 1e-9), None)


@dataclass(frozen=True, slots=True)
class StageReadiness:
    """A stage, and how soon each segment goes on from it."""

    stage: str
    segments: tuple[SegmentReadiness, ...]
    p: float  # that all segments are alike ready; 1 where there is one
    told: bool = False  # among the findings: they are not


def stage_readiness(
    waits: Sequence[StageWait], groups: ContactGroups, days: float
) -> list[StageReadiness]:
    """Readiness of each stage that enough contacts were in.

    Args:
        waits: of each stage, from the day on which groups are known.
        groups: of the contacts.
        days: a point of each curve, which is told in words.
    """
    found = []
    for wait in waits:
        of = groups.group[wait.episode]
        many = np.bincount(of[of != NOBODY], minlength=len(groups.names))
        large = np.flatnonzero(many >= _FEWEST)
        if not large.size:
            continue
        parts = [
            _of_segment(wait.take(of == one), groups.names[one], days) for one in large.tolist()
        ]
        rows = wait.take(np.isin(of, large))
        group = np.searchsorted(large, groups.group[rows.episode])
        moved = (rows.came != NOTHING) & (rows.came != LEFT)
        since = (np.full(len(group), -1.0), rows.days)
        p = clustered_log_rank(since, moved, group, rows.cluster).p
        found.append(StageReadiness(wait.stage, tuple(parts), p))
    return found


def _of_segment(wait: StageWait, name: str, days: float) -> SegmentReadiness:
    moved = (wait.came != NOTHING) & (wait.came != LEFT)
    kind = np.where(moved, 0, np.where(wait.came == LEFT, 1, NOTHING))
    curve = tuple(_curve(wait.days, kind, wait.cluster, days))
    end = curve[-1].day if curve else 0.0
    kinds = {to: place for place, to in enumerate(wait.next, 1)} | {"leaves": LEFT}
    into = {to: incidence(wait.days, wait.came, one, end).chance for to, one in kinds.items()}
    weeks = float(wait.days.sum()) / 7.0
    weekly = float(moved.sum()) / weeks if weeks > 0.0 else 0.0
    return SegmentReadiness(name, len(wait.days), weekly, curve, into)


def _curve(
    days: FloatArray, kind: IntArray, cluster: IntArray, told: float
) -> Iterator[ReadinessPoint]:
    """Points while enough accounts are watched: evenly, and at one day that is asked for."""
    last = float(days.max(initial=0.0))
    for day in sorted({*np.linspace(0.0, last, _POINTS + 1)[1:].tolist(), told}):
        at_risk = len(np.unique(cluster[days >= day]))
        if at_risk < _AT_RISK or day > last:
            return
        found = incidence(days, kind, 0, day)
        error, _ = clustered_error(found.influence, cluster)
        low, high = interval(found.chance, error, len(np.unique(cluster[found.known])))
        yield ReadinessPoint(day, found.chance, low, high)
