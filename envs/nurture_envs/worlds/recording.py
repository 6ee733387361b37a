"""How late a CRM records what happened: random delays per channel, cut at a last bin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, lgamma, log

import torch
from torch import Tensor

from nurture_envs.errors import WorldError
from nurture_envs.journey import Journey


@dataclass(frozen=True, slots=True)
class Lateness:
    """Bins from an event to its record: negative binomial, cut at `latest`; mean 0 is at once."""

    mean: float = 0.0  # bins, before the cut
    shape: float = 1.0  # 1 is geometric; larger bunches around the mean
    latest: int = 6  # bins; no record comes later

    @property
    def last(self) -> int:
        """The longest delay that has a chance, bins."""
        return self.latest if self.mean > 0.0 else 0

    def chances(self) -> list[float]:
        """Chance of each delay 0 .. latest, [latest + 1], given that it is at most `latest`."""
        if self.mean == 0.0:
            return [1.0] + [0.0] * self.latest
        q = self.mean / (self.mean + self.shape)
        weights = [
            exp(lgamma(d + self.shape) - lgamma(self.shape) - lgamma(d + 1.0) + d * log(q))
            for d in range(self.latest + 1)
        ]
        return [weight / sum(weights) for weight in weights]


def recorded_late(journey: Journey, lateness: Mapping[str, Lateness]) -> Tensor:
    """Chance that an event of a channel is known d bins after it happened, [D + 1, c].

    Channels that are not named are known as late as the journey declares.

    Raises:
        WorldError: the journey has no such channel, or declares a shorter delay for one: its log
            would pass for complete before it is.
    """
    unknown = sorted(set(lateness) - set(journey.channels))
    if unknown:
        raise WorldError(
            f"expected channels of journey {journey.name!r}, got {unknown}; "
            "name the signals whose records come late"
        )
    for channel, late in lateness.items():
        declared, known = journey.delays[journey.channel_index(channel)], late.last
        if known > declared:
            raise WorldError(
                f"journey {journey.name!r} declares that {channel!r} is known at most {declared} "
                f"bins late, this world records it up to {known} bins late; declare "
                f"`delay_bins: {known}`, or a world that is sooner"
            )
    last = max([*journey.delays, *(late.latest for late in lateness.values())])
    delays = torch.zeros(last + 1, len(journey.channels))
    for column, (channel, declared) in enumerate(
        zip(journey.channels, journey.delays, strict=True)
    ):
        if channel in lateness:
            chances = lateness[channel].chances()
            delays[: len(chances), column] = torch.tensor(chances)
        else:
            delays[declared, column] = 1.0
    return delays
