"""How late events become known, by the log and by the world."""

from __future__ import annotations

import numpy as np

from nurture_envs.journey import Journey
from nurture_envs.worlds.world import World
from nurture_rl.simulator.gap.compare import Comparison, Estimate, ratios
from nurture_rl.simulator.gap.rates import Margins
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories

_FEWEST = 20  # recorded events that a channel needs


def late_records(
    real: Trajectories, world: World, journey: Journey, margins: Margins
) -> list[Comparison]:
    """Share of events known one or more bins late, and mean lateness in bins, by signal.

    Empty where the log cannot say.
    """
    if real.event_delay is None:
        return []
    table = delay_table(world)
    comparisons = []
    for signal in journey.signals:
        channel = journey.channel_index(signal.name)
        known = real.event_delay[:, channel] >= 0
        if signal.by_action or known.sum() < _FEWEST:
            continue
        lag = np.where(known, real.event_delay[:, channel], 0).astype(np.float64)
        parts = np.stack([np.minimum(lag, 1.0), lag], axis=1)
        value, stderr = ratios(real, parts, known.astype(np.float64))
        told = (table[1:, channel].sum(), np.arange(len(table)) @ table[:, channel])
        # An all-or-nothing share still leaves about 3/n open at 95 %.
        floor = 1.0 / float(known.sum())
        groups = (("known late", margins.share), ("bins late", margins.lag))
        for place, (group, margin) in enumerate(groups):
            a = Estimate(float(value[place]), max(float(stderr[place]), floor))
            b = Estimate(float(told[place]), 0.0)
            apart = b.value - a.value
            comparisons.append(
                Comparison("delay", signal.name, group, a, b, apart, a.stderr, margin, "difference")
            )
    return comparisons


def delay_table(world: World) -> FloatArray:
    """Chance that an event of a channel is known d bins late, [D + 1, c]."""
    return np.asarray(world.delays.cpu().numpy(), np.float64)


def logged_delays(real: Trajectories, longest: int) -> FloatArray:
    """Share of each channel's events known d bins late, [longest + 1, c]; NaN without events."""
    shares = np.full((longest + 1, real.amounts.shape[1]), np.nan)
    if real.event_delay is None:
        return shares
    for channel, column in enumerate(real.event_delay.T):
        seen = column[column >= 0]
        if seen.size:
            counts = np.bincount(np.minimum(seen, longest), minlength=longest + 1)
            shares[:, channel] = counts / seen.size
    return shares
