"""What a policy may use up per contact, and what it does use up when it is played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from nurture_envs.journey import Journey
from nurture_rl.appraisal.price_findings import Used, UseLimit
from nurture_rl.errors import ConfigError
from nurture_rl.learned.priced_reward import SEND, channels_of
from nurture_rl.workflow.harm_in_world import poisson_upper
from nurture_rl.workflow.simulated import Played

FloatArray = NDArray[np.float64]


def asked_limits(
    at_most: Mapping[str, float], journey: Journey, reference: FloatArray
) -> tuple[UseLimit, ...]:
    """The limits of the settings, then those of the journey that play can judge.

    Args:
        at_most: events per contact by `send` or signal.
        journey: has limits of its own; those per decision are left to the gate.
        reference: what each contact saw of each channel under the reference policy, [n, c], beyond
            which a journey may allow so much.

    Raises:
        ConfigError: a limit is no number of 0 or more, or names no signal.
    """
    found = []
    for name, value in at_most.items():
        if not isfinite(value) or value < 0.0:
            raise ConfigError(f"at_most.{name}: expected a number of 0 or more, got {value}")
        found.append(UseLimit(name, channels_of(journey, name, "at_most"), value))
    for limit in journey.limits:
        if limit.at_most is not None and limit.per in ("contact", SEND):
            found.append(UseLimit(limit.name, limit.of, limit.at_most, limit.per))
        if limit.above_reference is not None:
            base = float(_sums(reference, journey, limit.of).mean())
            name = f"{limit.name}, beside the reference"
            found.append(UseLimit(name, limit.of, base + limit.above_reference))
    return tuple(found)


def used(
    played: Played, journey: Journey, limits: Sequence[UseLimit], drawn: str, level: float
) -> Used:
    """What a policy earned and used up when it was played.

    Upper bounds are those of a count (Poisson) or of a mean (normal), whichever is higher, at a
    level that all limits share. They count the chance of play alone.

    Args:
        played: in every member of the learned world.
        journey: names the channels.
        limits: what is counted.
        drawn: what the frontier is drawn over, `send` or a signal.
        level: of all bounds together.
    """
    n = len(played.amounts)
    value = played.value.mean(axis=0)
    counted = [_sums(played.amounts, journey, one.of) for one in limits]
    each = 1.0 - (1.0 - level) / max(len(limits), 1)

    def mean_of(name: str) -> float:
        return float(_sums(played.amounts, journey, channels_of(journey, name, "of")).mean())

    return Used(
        value=float(value.mean()),
        error=float(value.std(ddof=1)) / n**0.5,
        use=tuple(float(one.mean()) for one in counted),
        upper=tuple(_upper(one, each) for one in counted),
        sends=mean_of(SEND),
        mixed=mean_of(drawn),
    )


def _upper(events: FloatArray, level: float) -> float:
    """Upper bound of the mean of events by contact."""
    n = len(events)
    half = float(ndtri(level)) * float(events.std(ddof=1)) / n**0.5
    return float(max(poisson_upper(float(events.sum()), level) / n, events.mean() + half))


def _sums(amounts: FloatArray, journey: Journey, of: Sequence[str]) -> FloatArray:
    return np.asarray(amounts[:, [journey.channel_index(one) for one in of]].sum(axis=1))
