"""Decisions as landmarks: from each one on, which outcome came when, and how long it was watched.

Windows begin with the bin of a decision and are counted in days of 24 hours of the contact's own
clock. A window is watched until the log ends, less the time by which an outcome may be recorded
late, or until the contact's episode ends where the log tells nothing of what came after.

Source: van Houwelingen (2007), Dynamic Prediction by Landmarking in Event History Analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US, HOUR_US, Clock
from nurture_envs.journey import Journey
from nurture_rl.features.bins import BinnedLog
from nurture_rl.features.contact_times import NONE, contact_times
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NEVER = np.inf  # days until an outcome that the log does not show
_PARTS = 30
_AFTER = (7.0, 30.0, 90.0)  # days after an episode's end
_BEYOND = 0.002  # share of contacts with an event after their episode, from which the log goes on


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Decisions, what they knew, and what came after; all [n] unless said otherwise."""

    features: NDArray[np.float32]  # [n, d], known before the decision
    decided_us: IntArray  # UTC
    contact: IntArray  # code
    cluster: NDArray[np.object_]  # account or contact: what is independent
    days_until: FloatArray  # [n, outcomes], days from the bin's start to the first event
    known_us: IntArray  # [n, outcomes], UTC instant from which the log knows of that event
    had: BoolArray  # [n, outcomes], it happened in the episode before the decision
    age: FloatArray  # [n], days from the episode's begin to the decision's bin
    begins_us: IntArray  # UTC start of the decision's bin, as wall time runs at the log's end
    longest: FloatArray  # [n], days after which nothing is told any more, whatever the log's end

    def take(self, rows: IntArray | BoolArray) -> Landmarks:
        """Some of the decisions."""
        return Landmarks(*(getattr(self, name)[rows] for name in Landmarks.__slots__))

    def watched(self, as_of_us: int, late_days: float) -> FloatArray:
        """Days for which each window is known whole when the log is read, >= 0, [n].

        Args:
            as_of_us: UTC instant of the reading.
            late_days: by which the outcome may be recorded late.
        """
        passed = (as_of_us - self.begins_us) / DAY_US - late_days
        return np.clip(np.minimum(passed, self.longest), 0.0, None)


def landmarks_of(
    log: BinnedLog,
    features: NDArray[np.float32],
    cluster: NDArray[np.object_],
    journey: Journey,
    outcomes: Sequence[PredictedOutcome],
    goes_on: bool | None = None,
) -> tuple[Landmarks, bool]:
    """What came after each decision of a log.

    Args:
        log: decisions and events on one clock, signals as in `journey`.
        features: of the decisions, [n, d].
        cluster: account or contact of each decision, [n].
        journey: whose signals the events are.
        outcomes: to look for.
        goes_on: whether the log tells what contacts do after their episode; None: it is looked at.

    Returns:
        The landmarks, and whether the log goes on after episodes.
    """
    times, clock = log.times, journey.clock
    begins = times.anchor_us + clock.start_us(times.step)
    n = len(times.step)
    until = np.full((n, len(outcomes)), NEVER)
    known = np.full((n, len(outcomes)), np.iinfo(np.int64).max)
    had = np.zeros((n, len(outcomes)), bool)
    for place, outcome in enumerate(outcomes):
        first = _first_after(log, _signals(journey, outcome))
        found = first.event != NONE
        at = first.event[found]
        until[found, place] = (log.events.local_us[at] - begins[found]) / DAY_US
        known[found, place] = log.events.known_us[at]
        had[:, place] = first.had
    if goes_on is None:
        goes_on = _goes_on(log, journey)
    ends = times.anchor_us + episode_us(clock)
    longest = np.full(n, np.inf) if goes_on else (ends - begins) / DAY_US
    ahead = times.decided_local_us - begins  # of the bin's start on the contact's clock
    made = Landmarks(
        features=features,
        decided_us=times.decided_us,
        contact=times.contact,
        cluster=cluster,
        days_until=np.maximum(until, 1e-6),
        known_us=known,
        had=had,
        age=(begins - times.anchor_us) / DAY_US,
        begins_us=times.decided_us - ahead,
        longest=longest,
    )
    return made, goes_on


def episode_us(clock: Clock) -> int:
    """From the beginning of an episode to its end, microseconds."""
    return clock.periods * round(clock.period_hours * HOUR_US)


def parts_of_episodes(journey: Journey) -> FloatArray:
    """Edges of the parts of an episode in which rates may differ, days, from 0 to infinity.

    Programmes mail by the day of the episode, so that each of its days has a rate, or where it is
    long, each of `_PARTS` equal parts; what comes after it has a few.
    """
    clock = journey.clock
    period = clock.period_hours / 24.0
    width = period * max(1, -(-clock.periods // _PARTS))
    inside = np.arange(0.0, clock.periods * period, width)
    end = clock.periods * period
    return np.array([*inside, *(end + days for days in (0.0, *_AFTER)), np.inf])


def late_days(journey: Journey, outcome: PredictedOutcome) -> float:
    """Days by which an outcome may be recorded late, as the journey declares."""
    clock = journey.clock
    bin_days = clock.period_hours / 24.0 / len(clock.slots_hours)
    bins = max(
        (one.delay_bins for one in journey.signals if one.name in outcome.signals), default=0
    )
    return bins * bin_days


@dataclass(frozen=True, slots=True)
class _First:
    event: IntArray  # the first event after each decision, NONE where there is none
    had: BoolArray  # one came in the episode before it


def _signals(journey: Journey, outcome: PredictedOutcome) -> IntArray:
    wanted = [i for i, one in enumerate(journey.signals) if one.name in outcome.signals]
    return np.array(wanted, np.int64)


def _first_after(log: BinnedLog, signals: IntArray) -> _First:
    times, events = log.times, log.events
    rows = np.flatnonzero(np.isin(events.signal, signals))
    nobody = np.full(len(times.step), NONE, np.int64)
    if not rows.size:
        return _First(nobody, np.zeros(len(times.step), bool))
    sorted_ = contact_times(events.contact[rows], events.local_us[rows])
    # An event at the very moment of a decision is part of what the decision reacted to.
    after = sorted_.since(times.contact, times.decided_local_us + 1)
    before = sorted_.before(times.contact, times.decided_local_us + 1)
    last = events.local_us[rows][np.maximum(before, 0)]
    return _First(
        event=np.where(after == NONE, NONE, rows[np.maximum(after, 0)]),
        had=(before != NONE) & (last >= times.anchor_us),
    )


def _goes_on(log: BinnedLog, journey: Journey) -> bool:
    """Whether the log shows what contacts do after their last episode."""
    times, events, clock = log.times, log.events, journey.clock
    ends = times.anchor_us + episode_us(clock)
    last = np.full(len(log.contacts.ids), np.iinfo(np.int64).min)
    np.maximum.at(last, times.contact, ends)
    act = np.array([not one.by_action for one in journey.signals])
    late = act[events.signal] & (events.local_us >= last[events.contact])
    return len(np.unique(events.contact[late])) > _BEYOND * max(len(last), 1)
