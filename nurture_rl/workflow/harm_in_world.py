"""Limits on harms held against what policies do when they are played in a world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

from nurture_envs.journey import HarmLimit, Journey
from nurture_rl.appraisal.risk.harm_limits import LimitKept

FloatArray = NDArray[np.float64]


def kept_in_world(
    journey: Journey,
    name: str,
    amounts: FloatArray,
    reference: tuple[str, FloatArray],
    level: float,
) -> dict[str, LimitKept]:
    """Hold a policy against each limit of the journey that play can judge.

    The upper bounds count the chance of playing alone, not what the world has wrong. A rate's is
    the exact Poisson one, so no event in play is not taken for no event at all. What is counted
    over decisions, or in a journey whose decisions are judged one by one, play does not count:
    such a limit is left out.

    Args:
        journey: limits and channels.
        name: of the policy.
        amounts: what each contact saw of each channel, [n, c], mean over members.
        reference: name and amounts of the policy that others are compared with, the same contacts.
        level: stated coverage of each bound.
    """
    if journey.estimand == "per_decision":
        return {}
    found = {}
    for limit in journey.limits:
        exposure = float(len(amounts))
        if limit.per == "send":
            sent = [one.name for one in journey.signals if one.type == "sent" and one.by_action]
            exposure = float(_total(journey, amounts, sent).sum())
        if limit.per != "decision":
            pair = (_total(journey, amounts, limit.of), _total(journey, reference[1], limit.of))
            found[limit.name] = _kept(limit, (name, reference[0]), pair, exposure, level)
    return found


def _kept(
    limit: HarmLimit,
    names: tuple[str, str],
    pair: tuple[FloatArray, FloatArray],
    exposure: float,
    level: float,
) -> LimitKept:
    events, base = pair
    rate = upper = 0.0  # where nothing is sent nothing bounces
    if exposure > 0.0:
        rate, upper = events.sum() / exposure, poisson_upper(float(events.sum()), level) / exposure
    kept, parts, added = True, [], None
    if limit.at_most is not None:
        kept = upper <= limit.at_most
        parts.append(f"at most {upper:.3g} per {limit.per}, {limit.at_most:g} is the limit")
    if limit.above_reference is not None and names[0] != names[1]:
        added = _more(events - base, level)
        kept &= added <= limit.above_reference
        parts.append(
            f"at most {added:.3g} per contact beyond {names[1]!r}, {limit.above_reference:g} is "
            "the limit"
        )
    sentence = f"{limit.name} of {names[0]!r} in the simulator: {'; '.join(parts)}"
    return LimitKept(float(rate), float(upper), added, bool(kept), sentence)


def _total(journey: Journey, amounts: FloatArray, channels: Sequence[str]) -> FloatArray:
    return np.asarray(amounts[:, [journey.channel_index(one) for one in channels]].sum(axis=1))


def poisson_upper(events: float, level: float) -> float:
    """Upper bound of an expected count.

    Args:
        events: that were counted, >= 0; a mean over members need not be whole.
        level: stated coverage.
    """
    return float(gammaincinv(events + 1.0, level))


def _more(gap: FloatArray, level: float) -> float:
    """Upper bound of the mean of what one policy does more than another, contact by contact."""
    if not gap.any():  # no event was seen that tells them apart; one may come
        return poisson_upper(0.0, level) / gap.size
    half = float(ndtri(0.5 + level / 2.0)) * float(gap.std(ddof=1)) / gap.size**0.5
    return float(gap.mean() + half)
