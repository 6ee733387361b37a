"""How late a log knows of what happened, from a log that has not yet seen everything."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.decisions import FloatArray, IntArray
from nurture_rl.errors import FitError, ShapeError
from nurture_rl.simulator.data import WorldData

# Events, below which one of them decides the whole distribution: the declared delay is believed.
_FEWEST_AT_RISK = 20


class NoDelaySeen(FitError):
    """No delay was open to enough events to say how often it happens."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordingDelays:
    """Chance that an event of a channel becomes known d bins after its own."""

    chance: FloatArray  # [D + 1, c], columns sum to 1
    estimated: NDArray[np.bool_]  # [c]; False: as the journey declares, for want of events
    events: IntArray  # [c], events that the estimate is made of
    longest_age: int  # bins; a delay beyond it cannot be seen in this log

    def known_within(self, age: IntArray) -> FloatArray:
        """Chance that an event of each channel is known when its bin is `age` bins old, [n, c]."""
        seen = np.concatenate([np.zeros((1, self.chance.shape[1])), self.chance.cumsum(axis=0)])
        # Sums of the last row may miss 1 by rounding, which would pass for censoring.
        seen[-1] = 1.0
        return np.asarray(np.minimum(seen[np.clip(age + 1, 0, len(seen) - 1)], 1.0))


def reverse_product_limit(
    delay: IntArray, age: IntArray, fewest_at_risk: int = _FEWEST_AT_RISK
) -> FloatArray:
    """Distribution of delays under right truncation: a delay is seen only if <= the age, [D + 1].

        F(d) = prod_{j > d} (1 - n(j) / r(j)),   n(j) = #{delay = j},   r(j) = #{delay <= j <= age}

    The product-limit estimator with reversed time. Take the events whose bin is old enough to show
    a delay of j and that were not later than j: the share with a delay of exactly j is free of
    truncation. If r(j) has fewer than `fewest_at_risk` events, j and all longer delays are left
    out; otherwise one late event there would take all the mass. No log shows a delay longer than
    the age of its oldest bin, so F is the distribution given a delay within that age.

    Args:
        delay: bins until each event was known, [m], at most `age`.
        age: bins that each event's bin is old when the log is read, [m].
        fewest_at_risk: events needed to estimate a delay's share.

    Raises:
        ShapeError: the arrays are not [m].
        FitError: an event is known later than the log was read.
        NoDelaySeen: none is left.

    Source: Lynden-Bell (1971), A Method of Allowing for Known Observational Selection; Kalbfleisch
        & Lawless (1989), Inference Based on Retrospective Ascertainment.
    """
    if delay.ndim != 1 or delay.shape != age.shape:
        raise ShapeError(f"delay and age must both be [m], got {delay.shape} and {age.shape}")
    if ((delay < 0) | (delay > age)).any():
        raise FitError(
            "an event was known later than the log was read; leave out what lies beyond the age"
        )
    longest = int(delay.max()) if delay.size else 0
    exactly = np.bincount(delay, minlength=longest + 1)
    no_later = exactly.cumsum()
    # A bin whose age is below j cannot show j; its delay is below j, too.
    too_young = np.bincount(np.minimum(age, longest), minlength=longest + 1).cumsum()
    at_risk = no_later - np.concatenate([[0], too_young[:-1]])
    firm = np.flatnonzero((at_risk >= fewest_at_risk) & (exactly > 0))
    if not firm.size:
        raise NoDelaySeen(
            f"no delay was open to {fewest_at_risk} events, of {delay.size}; log more, or believe "
            "the declared delays"
        )
    last = int(firm[-1])
    share = exactly[: last + 1] / np.maximum(at_risk[: last + 1], 1)
    # F(d) for d < last is the product over j > d; F(last) is 1.
    within = np.append(np.cumprod(1.0 - share[:0:-1])[::-1], 1.0)
    return np.diff(within, prepend=0.0)


def declared(journey: Journey) -> RecordingDelays:
    """Every event known as late as its signal declares: the latest that it can be."""
    late = np.array(journey.delays)
    chance = (np.arange(late.max() + 1)[:, None] == late).astype(np.float64)
    nothing = np.zeros(len(late), np.int64)
    return RecordingDelays(chance, nothing > 0, nothing, int(late.max()))


def estimate_delays(data: WorldData, journey: Journey, tail: float = 1e-3) -> RecordingDelays:
    """The recording delays of every channel that contacts make, from the events seen so far.

    Args:
        data: logged decisions with `event_delay`.
        journey: its declared delays hold for what actions make, and for channels in which no delay
            was open to 20 events.
        tail: largest share of events that are counted at the last delay although they were later;
            it limits the number of delays that a world must carry.

    Raises:
        FitError: the log does not say when its events became known.
    """
    if data.event_delay is None:
        raise FitError(
            "recording delays need the time each event was recorded; make the decision table "
            "anew, or believe the declared delays"
        )
    age = data.age
    delays = declared(journey)
    columns = list(delays.chance.T)
    events = np.zeros(len(columns), np.int64)
    made = {signal.name for signal in journey.signals if signal.by_action}
    for channel, name in enumerate(journey.channels):
        delay = data.event_delay[:, journey.channel_index(name.removesuffix(".value"))]
        seen = (delay >= 0) & (delay <= age)
        if name in made:
            continue
        try:
            found = reverse_product_limit(delay[seen], age[seen])
        except NoDelaySeen:
            continue
        columns[channel] = _trimmed(found, tail)
        events[channel] = seen.sum()
    longest = max(len(column) for column in columns)
    chance = np.stack([np.pad(column, (0, longest - len(column))) for column in columns], axis=1)
    return RecordingDelays(chance, events > 0, events, int(age.max(initial=0)))


def observed(data: WorldData, delays: RecordingDelays) -> WorldData:
    """The log as it was when read, every row with the chance that its events were known by then.

    With these weights the latest bins can be used, and an event that is not known yet does not
    count as one that did not happen. Rows of bins that are still open are not usable.
    """
    if data.event_delay is None:
        return replace(data, delays=delays.chance)
    known = data.event_delay <= data.age[:, None]
    return replace(
        data,
        amounts=np.where(known, data.amounts, 0.0),
        event_delay=np.where(known, data.event_delay, -1),
        exposure=delays.known_within(data.age),
        delays=delays.chance,
    )


def _trimmed(chance: FloatArray, tail: float) -> FloatArray:
    last = int(np.flatnonzero(chance.cumsum() >= 1.0 - tail)[0])
    return np.append(chance[:last], chance[last:].sum())
