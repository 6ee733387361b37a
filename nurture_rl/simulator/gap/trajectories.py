"""Whole episodes as arrays, whether they were logged or played."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.actions import ActionCatalog
from nurture_envs.journey import Journey
from nurture_rl.errors import FitError
from nurture_rl.simulator.data import WorldData

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Trajectories:
    """Decisions of whole episodes, sorted by contact, episode and step."""

    features: NDArray[np.float32]  # [N, d]
    mask: BoolArray  # [N, a], actions that were legal
    action: IntArray  # [N], position in the catalogue
    propensity: FloatArray  # [N], logging policy's chance of the action; NaN: unknown
    probabilities: FloatArray | None  # [N, a], the logging policy's; None: unknown
    amounts: FloatArray  # [N, c], channel sums of the bin, the action's own included
    event_delay: IntArray | None  # [N, c], bins until the event was known; -1: no event
    step: IntArray  # [N], bin of the episode
    episode: IntArray  # [N], from 0, without gaps
    contact: IntArray  # [N], from 0, without gaps: what intervals are clustered by, see `WorldData`
    when: IntArray | None  # [N], calendar day, days since 1970
    weight: FloatArray  # [N], of everything that happened until then; 1 unless reweighted

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return int(self.episode[-1]) + 1

    @property
    def contacts(self) -> int:
        """Number of contacts."""
        return int(self.contact[-1]) + 1

    @property
    def first(self) -> IntArray:
        """First row of each episode, [E]."""
        return _starts(self.episode)

    @property
    def last(self) -> IntArray:
        """Last row of each episode, [E]."""
        return np.append(self.first[1:], len(self.step)) - 1

    def by_episode(self, values: FloatArray) -> FloatArray:
        """Sums over the rows of each episode, [E, ...] of [N, ...]."""
        return np.asarray(np.add.reduceat(values, self.first, axis=0))

    def by_contact(self, values: FloatArray) -> FloatArray:
        """Sums over the rows of each contact, [contacts, ...] of [N, ...]."""
        return sums_of(values, self.contact)

    def reweighted(self, weight: FloatArray) -> Trajectories:
        """The same episodes under other weights [N]."""
        return replace(self, weight=weight)

    def without_propensities(self) -> Trajectories:
        """The same episodes as if nobody had logged how likely their actions were."""
        unknown = np.full(len(self.action), np.nan)
        return replace(self, propensity=unknown, probabilities=None)


def sums_of(values: FloatArray, groups: IntArray) -> FloatArray:
    """Sums over the rows of each group, [groups, ...] of [n, ...]; `groups` is sorted, [n]."""
    return np.asarray(np.add.reduceat(values, _starts(groups), axis=0))


def rewards(played: Trajectories, journey: Journey) -> FloatArray:
    """What every bin earned, [N], the journey's unit."""
    catalog, reward = ActionCatalog.of(journey), journey.reward
    weights = np.zeros(len(journey.channels))
    for channel, weight in reward.weights:
        weights[journey.channel_index(channel)] = weight
    cost = catalog.prices(reward)
    return np.asarray(played.amounts @ weights - cost[played.action])


def episode_values(played: Trajectories, journey: Journey) -> FloatArray:
    """Discounted and weighted return of each episode, [E], the journey's unit."""
    discounted = journey.reward.discount**played.step * rewards(played, journey) * played.weight
    return played.by_episode(discounted)


def whole_episodes(data: WorldData, journey: Journey) -> Trajectories:
    """The episodes of a log whose whole horizon was observed.

    Episodes whose horizon has not passed are left out whole, also those that ended early: a running
    log would else keep the successes.

    Args:
        data: logged decisions; those of one episode in the order of their steps.
        journey: names channels, actions, terminals and horizon.

    Raises:
        FitError: the log holds no decision, or no whole episode.
    """
    if not len(data.action):
        raise FitError(
            "a reality gap needs held-out decisions and the log has none; hold out more contacts, "
            "or check the filters that made the log"
        )
    order = np.argsort(data.cluster, kind="stable")
    episode = _episodes(data.take(order))
    kept = order[_whole(data, journey, order, episode)[episode]]
    if not kept.size:
        raise FitError(
            "no held-out episode was observed to its end; wait for the horizon to pass, or say "
            "until when the log is complete"
        )
    parts = data.take(kept)
    return Trajectories(
        features=parts.features,
        mask=parts.mask,
        action=parts.action,
        propensity=parts.propensity,
        probabilities=_known(parts.probabilities),
        amounts=parts.amounts,
        event_delay=parts.event_delay,
        step=parts.step,
        episode=_episodes(parts),
        contact=np.unique(parts.cluster, return_inverse=True)[1].astype(np.int64),
        when=parts.when,
        weight=np.ones(len(kept)),
    )


def _whole(data: WorldData, journey: Journey, order: IntArray, episode: IntArray) -> BoolArray:
    """Whether each episode was observed to its end, [E]."""
    horizon = journey.clock.horizon
    starts = _starts(episode)
    last = order[np.append(starts[1:], len(order)) - 1]
    ended = ActionCatalog.of(journey).routed("exit")[data.action[last]]
    for name in journey.terminals:
        ended = ended | (data.amounts[last, journey.channel_index(name)] > 0)
    over = ended | (data.step[last] >= horizon - 1)
    over = over & (data.age[last] >= horizon - 1 - data.step[last])
    observed = np.logical_and.reduceat(data.matured[order], starts)
    return np.asarray(over & observed)


def _known(probabilities: FloatArray) -> FloatArray | None:
    """Logged distributions, or None unless every decision has one."""
    return probabilities if (probabilities.sum(axis=1) > 0.0).all() else None


def _episodes(data: WorldData) -> IntArray:
    """The episodes of decisions in their order, numbered from 0, [N]."""
    return np.asarray(np.cumsum(np.append(True, np.diff(data.episode) != 0)) - 1)


def _starts(groups: IntArray) -> IntArray:
    return np.flatnonzero(np.append(True, np.diff(groups) != 0))
