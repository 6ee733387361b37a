"""What a policy is told that mails, escalations and harms cost beyond what the reward says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from nurture_envs.fields import hint
from nurture_envs.journey import Journey
from nurture_rl.errors import ConfigError

FloatArray = NDArray[np.float64]
SEND = "send"  # every mail, whatever its topic


def channels_of(journey: Journey, name: str, where: str) -> tuple[str, ...]:
    """The channels that a limit or a price names.

    Args:
        journey: knows them.
        name: a signal, or `send` for all mails.
        where: the setting, for the error.

    Raises:
        ConfigError: the journey has no such signal, or sees no mail of its own.
    """
    mails = tuple(one.name for one in journey.signals if one.type == "sent" and one.by_action)
    if name == SEND and mails:
        return mails
    if name in journey.channels:
        return (name,)
    known = [SEND, *journey.channels] if mails else list(journey.channels)
    near = hint(name, known) or f"; known are {', '.join(known)}"
    raise ConfigError(f"{where}.{name}: the journey {journey.name} has no such signal{near}")


def price_weights(journey: Journey, prices: Mapping[str, float]) -> FloatArray:
    """What each channel costs per event, the reward's unit, [c].

    Raises:
        ConfigError: no such signal, or a price that is not finite.
    """
    weights = np.zeros(len(journey.channels))
    for name, price in prices.items():
        if not isfinite(price):
            raise ConfigError(f"prices.{name}: expected a finite price, got {price}")
        for channel in channels_of(journey, name, "prices"):
            weights[journey.channel_index(channel)] += price
    return weights


def with_prices(journey: Journey, prices: Mapping[str, float]) -> Journey:
    """The journey whose reward has the prices taken off; itself without any.

    Policies are learned under it and judged under the journey as it is.

    Raises:
        ConfigError: as `price_weights`.
    """
    if not prices:
        return journey
    cost = price_weights(journey, prices)
    weights = dict(journey.reward.weights)
    for channel, price in zip(journey.channels, cost.tolist(), strict=True):
        if price:
            weights[channel] = weights.get(channel, 0.0) - price
    return replace(journey, reward=replace(journey.reward, weights=tuple(weights.items())))
