"""How long each contact waited in each stage of its journey, and what it went into from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.features.bins import BinnedLog
from nurture_rl.predictions.incidence import NOTHING
from nurture_rl.predictions.log_episodes import LogEpisodes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BEGIN = "the beginning"
LEFT = 0  # what came first: the contact left for good; next stages count from 1


@dataclass(frozen=True, slots=True, eq=False)
class StageWait:
    """Those who were in a stage, from when they entered it."""

    stage: str
    next: tuple[str, ...]  # what they may go into
    episode: IntArray  # [n]
    cluster: IntArray  # code of the account, [n]
    days: FloatArray  # until something came, or as long as they were watched, [n]
    came: IntArray  # `LEFT`, the place in `next` plus one, or `NOTHING`, [n]

    def take(self, rows: NDArray[np.bool_]) -> StageWait:
        """Some of them."""
        return StageWait(
            stage=self.stage,
            next=self.next,
            episode=self.episode[rows],
            cluster=self.cluster[rows],
            days=self.days[rows],
            came=self.came[rows],
        )


def stage_waits(
    log: BinnedLog, episodes: LogEpisodes, journey: Journey, from_day: float = 0.0
) -> list[StageWait]:
    """The waits in each stage of a journey, from the beginning of its episodes on.

    A stage ends when another one, or the north star, comes for the first time in the episode, or
    the contact leaves: by a terminal signal that is none of these.

    Args:
        log: decisions and events on one clock.
        episodes: of the log.
        journey: its stages.
        from_day: day of the episode before which nothing counts: what is known then decides who is
            held against whom. Who is in a stage by then waits from that day on.
    """
    star = {name.removesuffix(".value") for name in journey.north_star.of}
    places: list[tuple[str, set[str]]] = [(name, {by}) for name, by in journey.stages]
    own = {by for _, by in journey.stages}
    if not star <= own:
        places.append((journey.north_star.name, star))
    entered = np.stack([_first(log, episodes, journey, by) for _, by in places], axis=1)
    left = _first(log, episodes, journey, set(journey.terminals) - star - own)
    names = tuple(name for name, _ in places)
    _, cluster = np.unique(episodes.cluster.astype(str), return_inverse=True)
    stages = len(journey.stages)
    waits = []
    for place in range(-1, stages):
        since = entered[:, place] if place >= 0 else np.zeros(len(left))
        # What comes at the same moment is next where it stands later in the journey.
        later = entered > since[:, None]
        later[:, place + 1 :] |= entered[:, place + 1 :] == since[:, None]
        if place >= 0:
            later[:, place] = False
        moves = np.where(later, entered, np.inf)
        into, moved = moves.argmin(axis=1), moves.min(axis=1)
        ends = np.minimum(moved, left)
        start = np.maximum(since, from_day)
        there = (
            (start < episodes.watched) & (left >= since) & ((since >= from_day) | (ends > start))
        )
        seen = ends <= episodes.watched
        came = np.where(seen, np.where(moved <= left, into + 1, LEFT), NOTHING)
        days = np.minimum(ends, episodes.watched) - start
        rows = np.flatnonzero(there)
        name = names[place] if place >= 0 else BEGIN
        waits.append(StageWait(name, names, rows, cluster[rows], days[rows], came[rows]))
    return waits


def _first(log: BinnedLog, episodes: LogEpisodes, journey: Journey, names: set[str]) -> FloatArray:
    """Day of the first of some signals in each episode, inf where none came, [e]."""
    events, first = log.events, np.full(len(episodes.contact), np.inf)
    wanted = np.array([one.name in names for one in journey.signals])[events.signal]
    at = episodes.of(events.contact[wanted], events.local_us[wanted])
    inside = at >= 0
    day = (events.local_us[wanted][inside] - episodes.anchor_us[at[inside]]) / DAY_US
    np.minimum.at(first, at[inside], day)
    return first
