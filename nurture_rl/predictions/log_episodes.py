"""The episodes of a log: whose they are, when they began, and how long each is known whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.features.bins import BinnedLog
from nurture_rl.predictions.landmarks import episode_us, late_days
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LogEpisodes:
    """Episodes in the order of their first decisions; all [e] unless said otherwise."""

    contact: IntArray  # code
    anchor_us: IntArray  # local wall time of the beginning
    zone_us: IntArray  # local wall time less UTC, at the first decision
    cluster: NDArray[np.object_]  # account or contact
    watched: FloatArray  # days for which each is known whole
    length_us: int  # of every episode

    def of(self, who: IntArray, local_us: IntArray) -> IntArray:
        """The episode in which each event lies, -1 where it lies in none, [m].

        Args:
            who: contact of each event, [m].
            local_us: when it was there, [m].
        """
        order = np.lexsort((self.anchor_us, self.contact))
        sorted_, anchor = self.contact[order], self.anchor_us
        place = np.searchsorted(sorted_, who, "right") - 1  # the last episode of each contact
        first = np.searchsorted(sorted_, who, "left")
        while (early := (place > first) & (local_us < anchor[order[np.maximum(place, 0)]])).any():
            place = place - early
        found = order[np.maximum(place, 0)]
        ours = (place >= first) & (self.contact[found] == who)
        inside = (local_us >= anchor[found]) & (local_us < anchor[found] + self.length_us)
        return np.where(ours & inside, found, -1)


def episodes_of(
    log: BinnedLog, clusters: NDArray[np.object_], journey: Journey, as_of_us: int
) -> LogEpisodes:
    """The episodes of a log.

    They are watched until they end, or the log does, less what may yet be recorded late.

    Args:
        log: decisions and events on one clock.
        clusters: account or contact of each decision, [n].
        journey: whose signals the events are.
        as_of_us: UTC instant at which the log is read.
    """
    times, length = log.times, episode_us(journey.clock)
    _, first = np.unique(times.episode, return_index=True)
    anchor = times.anchor_us[first]
    zone_us = times.decided_local_us[first] - times.decided_us[first]
    anything = PredictedOutcome("any", "anything", tuple(one.name for one in journey.signals))
    open_days = (as_of_us + zone_us - anchor) / DAY_US - late_days(journey, anything)
    watched = np.clip(np.minimum(open_days, length / DAY_US), 0.0, None)
    return LogEpisodes(times.contact[first], anchor, zone_us, clusters[first], watched, length)
