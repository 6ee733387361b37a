"""What people did in each episode, in order, and when it ended well: the ground of mining."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.features.bins import BinnedLog
from nurture_rl.predictions.log_episodes import LogEpisodes
from nurture_rl.predictions.predicted_outcomes import made_by_people

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_NEVER_US = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeActs:
    """Acts of people by episode, in their order; times are days since the episode began."""

    names: tuple[str, ...]  # signals that people make, without the north star's
    starts: IntArray  # [e + 1]: episode i has the acts from starts[i] to starts[i + 1]
    act: IntArray  # place in `names`, [acts]
    day: FloatArray  # [acts]
    cluster: NDArray[np.object_]  # account or contact of each episode, [e]
    reached: FloatArray  # day of the first event of the north star, inf where none came, [e]
    watched: FloatArray  # days for which each episode is known whole, [e]
    first: FloatArray  # when each act first came, also before the episode; inf: never, [e, acts]
    known: FloatArray  # from when on the log knew of that, [e, acts]
    length: float  # days of an episode

    def __len__(self) -> int:
        """How many episodes there are."""
        return len(self.reached)

    def of(self, episode: int) -> tuple[IntArray, FloatArray]:
        """Acts and days of one episode."""
        here = slice(self.starts[episode], self.starts[episode + 1])
        return self.act[here], self.day[here]


def episode_acts(log: BinnedLog, episodes: LogEpisodes, journey: Journey) -> EpisodeActs:
    """The acts of each episode until it ended, the north star was reached, or the log did.

    Args:
        log: decisions and events on one clock.
        episodes: of the log.
        journey: whose signals the events are.
    """
    star = {name.removesuffix(".value") for name in journey.north_star.of}
    worked_out = {rule.type for rule in journey.derived}  # of acts, and no acts themselves
    signals = [
        one
        for one in journey.signals
        if made_by_people(one) and one.name not in star and one.type not in worked_out
    ]
    names = tuple(one.name for one in signals)
    every = [one.name for one in journey.signals]
    place = np.array([names.index(one) if one in names else -1 for one in every])
    wins = np.array([one in star for one in every])
    events, anchor, many = log.events, episodes.anchor_us, len(episodes.contact)
    at = episodes.of(events.contact, events.local_us)
    # What the log knows late is known by its end, which is all that counts here.
    here = (at >= 0) & ((place >= 0) | wins)[events.signal]
    at, signal = at[here], events.signal[here]
    day = (events.local_us[here] - anchor[at]) / DAY_US
    reached = np.full(many, np.inf)
    np.minimum.at(reached, at[wins[signal]], day[wins[signal]])
    keep = (place[signal] >= 0) & (day < reached[at])
    at, act, day = at[keep], place[signal[keep]], day[keep]
    order = np.lexsort((act, day, at))
    came, known = _firsts(log, place, len(names))
    return EpisodeActs(
        names=names,
        starts=np.concatenate([[0], np.cumsum(np.bincount(at, minlength=many))]),
        act=act[order],
        day=day[order],
        cluster=episodes.cluster,
        reached=reached,
        watched=episodes.watched,
        first=_days(came[episodes.contact], anchor),
        known=_days(known[episodes.contact], anchor - episodes.zone_us),
        length=episodes.length_us / DAY_US,
    )


def _firsts(log: BinnedLog, place: IntArray, acts: int) -> tuple[IntArray, IntArray]:
    """Local time, and UTC instant of knowing, of each contact's first event of each act.

    The first is the one that the log knew of first, as it is for a journey's `paths`; `_NEVER_US`
    where there is none, [contacts, acts] each.
    """
    events = log.events
    rows = np.flatnonzero(place[events.signal] >= 0)
    rows = rows[np.lexsort((events.local_us[rows], events.known_us[rows]))][::-1]
    first, known = np.full((2, len(log.contacts.ids), acts), _NEVER_US)
    at = events.contact[rows], place[events.signal[rows]]
    first[at], known[at] = (
        events.local_us[rows],
        events.known_us[rows],
    )  # the last one written stays
    return first, known


def _days(moments: IntArray, begins: IntArray) -> FloatArray:
    """Days since each episode began, inf for what never was, [e, acts]."""
    days = (moments - begins[:, None]) / DAY_US
    return np.where(moments == _NEVER_US, np.inf, days)
