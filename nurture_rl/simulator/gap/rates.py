"""How often things happen, in the log and in the world: overall, by arm, week and segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.gap.compare import Comparison, Estimate, log_ratio, ratios
from nurture_rl.simulator.gap.trajectories import (
    BoolArray,
    FloatArray,
    IntArray,
    Trajectories,
    episode_values,
    rewards,
)

_FEWEST = 10.0  # events in log and world together that a comparison needs


@dataclass(frozen=True, slots=True)
class Margins:
    """Gaps that do not matter in practice."""

    rate: float = 0.20  # log ratio of rates over all decisions, and of reward
    part: float = 0.35  # log ratio within an arm, week or segment
    response: float = 0.25  # log odds ratio of response curves
    share: float = 0.10  # difference of shares: what is recorded late
    lag: float = 0.25  # bins: of mean lateness
    auc: float = 0.62  # of the classifier that tells log and world apart


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """A division of all decisions; -1 is outside of it."""

    family: str
    names: tuple[str, ...]
    real: IntArray  # [N]
    simulated: IntArray  # [M]


def happened(played: Trajectories, journey: Journey) -> FloatArray:
    """Whether each head's signal happened in the bin, [N, H], 0 or 1."""
    channels = Heads.of(journey).count_channels(journey)
    return np.asarray(played.amounts[:, channels] > 0, np.float64)


def main_heads(journey: Journey) -> tuple[str, ...]:
    """Heads that carry money, end episodes or make a key figure."""
    paid = {channel.removesuffix(".value") for channel, weight in journey.reward.weights if weight}
    figures = {name for kpi in (journey.north_star, *journey.supporting) for name in kpi.of}
    wanted = paid | set(journey.terminals) | figures
    return tuple(name for name in Heads.of(journey).counts if name in wanted)


def read_signals(journey: Journey) -> frozenset[str]:
    """Signals that a feature, the reward, a guardrail, a key figure or an ending reads.

    The other signals cannot change a policy or its value, even if a world gets them wrong.
    """
    rails = journey.guardrails.simulated
    read = [channel for f in journey.features for channel in (*f.of, *f.over, *f.until)]
    read += [signal for f in journey.features for _, signal in f.stages]
    read += [channel for channel, _ in journey.reward.weights]
    read += [channel for kpi in (journey.north_star, *journey.supporting) for channel in kpi.of]
    read += [*journey.terminals, *rails.opt_out, *rails.hard_bounce, *rails.escalation_needs]
    read += [*rails.talks, *(name for one in rails.conversation_until for name in one.until)]
    return frozenset(channel.removesuffix(".value") for channel in read)


def overall(real: Trajectories, simulated: Trajectories) -> Groups:
    """Every decision in one group."""
    zeros = (np.zeros(len(one.action), np.int64) for one in (real, simulated))
    return Groups("rate", ("all",), *zeros)


def arms(real: Trajectories, simulated: Trajectories, journey: Journey) -> tuple[Groups, ...]:
    """Decisions by routing, and sends by message."""
    catalog = ActionCatalog.of(journey)
    kinds = tuple(dict.fromkeys(action.routing for action in catalog.actions))
    names = tuple(dict.fromkeys(a.message.id for a in catalog.actions if a.message))
    kind = np.array([kinds.index(action.routing) for action in catalog.actions])
    which = np.array([names.index(a.message.id) if a.message else -1 for a in catalog.actions])
    return (
        Groups("arm", kinds, kind[real.action], kind[simulated.action]),
        Groups("message", names, which[real.action], which[simulated.action]),
    )


def weeks(real: Trajectories, simulated: Trajectories, journey: Journey) -> tuple[Groups, ...]:
    """Decisions by week of the journey, and by calendar week where the log knows it."""
    per_week = max(1, round(7 * 24 / journey.clock.period_hours * len(journey.clock.slots_hours)))
    count = -(-journey.clock.horizon // per_week)
    groups = [
        Groups(
            "week",
            tuple(f"week {i + 1} of the journey" for i in range(count)),
            real.step // per_week,
            simulated.step // per_week,
        )
    ]
    if real.when is not None and simulated.when is not None:
        first = int(min(real.when.min(), simulated.when.min()))
        of_real, of_world = (real.when - first) // 7, (simulated.when - first) // 7
        shared = np.intersect1d(of_real, of_world)[:26]
        names = tuple(f"calendar week {week + 1}" for week in shared)
        groups.append(Groups("week", names, _place(of_real, shared), _place(of_world, shared)))
    return tuple(groups)


def segments(real: Trajectories, simulated: Trajectories, journey: Journey) -> tuple[Groups, ...]:
    """Decisions by each attribute: its levels, or below and above the log's median."""
    spec = FeatureSpec.of(journey)
    groups = []
    for feature in spec.features:
        if feature.kind != "attribute":
            continue
        columns = [spec.column(name) for name in spec.names(feature)]
        if feature.levels:
            parts = [_level(one.features[:, columns] > 0) for one in (real, simulated)]
            names = tuple(f"{feature.name} {level}" for level in feature.levels)
        else:
            middle = float(np.median(real.features[real.first, columns[0]]))
            parts = [
                (one.features[:, columns[0]] > middle).astype(np.int64) for one in (real, simulated)
            ]
            names = (f"{feature.name} up to {middle:.3g}", f"{feature.name} above {middle:.3g}")
        groups.append(Groups("segment", names, *parts))
    return tuple(groups)


def rate_comparisons(
    real: Trajectories, simulated: Trajectories, journey: Journey, groups: Groups, margin: float
) -> list[Comparison]:
    """Rate of every head per decision within each group, with contact-clustered errors."""
    heads = Heads.of(journey).counts
    y, z = happened(real, journey), happened(simulated, journey)
    comparisons = []
    for place, group in enumerate(groups.names):
        inside, outside = groups.real == place, groups.simulated == place
        if not (inside.any() and outside.any()):
            continue
        a, b = _rates(real, y, inside), _rates(simulated, z, outside)
        floor = 0.5 / min(inside.sum(), outside.sum())
        seen = y[inside].sum(axis=0) + z[outside].sum(axis=0)
        for h in np.flatnonzero(seen >= _FEWEST):
            gap, stderr = log_ratio(a[h], b[h], floor)
            comparisons.append(
                Comparison(
                    groups.family, heads[h], group, a[h], b[h], gap, stderr, margin, "log ratio"
                )
            )
    return comparisons


def funnel(
    real: Trajectories, simulated: Trajectories, journey: Journey, margin: float
) -> list[Comparison]:
    """Share of episodes in which each head's signal ever happened."""
    heads = Heads.of(journey).counts
    sides = [_reached(one, journey) for one in (real, simulated)]
    floor = 0.5 / min(real.episodes, simulated.episodes)
    comparisons = []
    for h, head in enumerate(heads):
        a, b = (side[h] for side in sides)
        if a.value * real.episodes + b.value * simulated.episodes < _FEWEST:
            continue
        gap, stderr = log_ratio(a, b, floor)
        comparisons.append(
            Comparison("funnel", head, "all", a, b, gap, stderr, margin, "log ratio")
        )
    return comparisons


def reward(
    real: Trajectories, simulated: Trajectories, journey: Journey, margin: float
) -> Comparison:
    """Return of an episode; the margin is a share of the gross flow of money in the log."""
    sides = []
    for one in (real, simulated):
        values = episode_values(one, journey)
        weight = one.weight[one.last]
        mean = float(values.sum() / weight.sum())
        spread = values - mean * weight
        sides.append(Estimate(mean, float(np.sqrt(spread @ spread) / weight.sum())))
    gross = real.by_episode(np.abs(rewards(real, journey)) * real.weight)
    flow = float(gross.sum() / real.weight[real.last].sum())
    a, b = sides
    stderr = float(np.hypot(a.stderr, b.stderr))
    return Comparison(
        "reward", "return", "all", a, b, b.value - a.value, stderr, margin * flow, "difference"
    )


def _rates(played: Trajectories, y: FloatArray, inside: BoolArray) -> list[Estimate]:
    value, stderr = ratios(played, y, np.ones(len(y)), inside)
    return [Estimate(float(v), float(s)) for v, s in zip(value, stderr, strict=True)]


def _reached(played: Trajectories, journey: Journey) -> list[Estimate]:
    """Share of episodes that ever reached each head.

    A first event counts with the weight it happened under, so that later decisions, which cannot
    change it, add no noise.
    """
    weighted = first_events(played, journey) * played.weight[:, None]
    per = played.by_episode(weighted)
    value = per.mean(axis=0)
    stderr = per.std(axis=0) / np.sqrt(len(per))
    return [Estimate(float(v), float(s)) for v, s in zip(value, stderr, strict=True)]


def first_events(played: Trajectories, journey: Journey) -> FloatArray:
    """1 in the bin of an episode's first event of each head, [N, H]."""
    y = happened(played, journey)
    total = np.cumsum(y, axis=0)
    before = total[played.first] - y[played.first]
    return np.asarray(y * (total - before[played.episode] == 1.0), np.float64)


def _place(values: IntArray, names: IntArray) -> IntArray:
    position = np.searchsorted(names, values).clip(max=len(names) - 1)
    return np.where(names[position] == values, position, -1)


def _level(columns: BoolArray) -> IntArray:
    return np.where(columns.any(axis=1), columns.argmax(axis=1), -1).astype(np.int64)
