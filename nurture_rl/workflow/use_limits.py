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
from nurture_rl.workflow.prices_config import PricesConfig
from nurture_rl.workflow.simulated import Played

FloatArray = NDArray[np.float64]


SELLER_HOURS = "seller_hours"  # the budget of a week that hours of salespeople are taken from


def asked_limits(
    asked: PricesConfig, journey: Journey, reference: FloatArray
) -> tuple[UseLimit, ...]:
    """The limits of the settings, then those of the journey that play can judge.

    Args:
        asked: limits per contact and budgets of a week.
        journey: has limits of its own; those per decision are left to the gate.
        reference: what each contact saw of each channel under the reference policy, [n, c], beyond
            which a journey may allow so much.

    Raises:
        ConfigError: a limit is no number of 0 or more, or names no signal; a budget of a week
            without the contacts that enter, or of hours without what takes them.
    """
    found = []
    for name, value in asked.at_most.items():
        _require_amount(f"at_most.{name}", value)
        found.append(UseLimit(name, channels_of(journey, name, "at_most"), value))
    found += _weekly(asked, journey)
    names = {one.name for one in found}
    for limit in journey.limits:
        if limit.at_most is not None and limit.per in ("contact", SEND):
            name = f"{limit.name}, of the journey" if limit.name in names else limit.name
            found.append(UseLimit(name, limit.of, limit.at_most, limit.per))
        if limit.above_reference is not None:
            base = float(_sums(reference, journey, limit.of).mean())
            name = f"{limit.name}, beside the reference"
            found.append(UseLimit(name, limit.of, base + limit.above_reference))
    return tuple(found)


def _weekly(asked: PricesConfig, journey: Journey) -> list[UseLimit]:
    """Budgets of a week as limits per contact: as many contacts enter in each week."""
    if asked.seller_hours and SELLER_HOURS not in asked.per_week:
        raise ConfigError(
            f"seller_hours: expected a budget they are taken from, such as "
            f"+per_week.{SELLER_HOURS}=20, got none"
        )
    if not asked.per_week:
        if asked.entering is not None:
            raise ConfigError("entering: expected a budget of a week, +per_week.send=..., got none")
        return []
    entering = asked.entering
    if entering is None or not isfinite(entering) or entering <= 0.0:
        raise ConfigError(
            f"entering: expected the contacts that enter in a week, above 0, as per_week is given; "
            f"got {entering}"
        )
    found = []
    for name, value in asked.per_week.items():
        _require_amount(f"per_week.{name}", value)
        hours = asked.seller_hours if name == SELLER_HOURS else {}
        if name == SELLER_HOURS:
            of = _hourly(hours, journey)
        else:
            of = channels_of(journey, name, "per_week")
        share = value / entering
        found.append(
            UseLimit(f"{name}, a week", of, share, "contact", tuple(hours.values()), value)
        )
    return found


def _hourly(hours: Mapping[str, float], journey: Journey) -> tuple[str, ...]:
    """The signals that take time of salespeople."""
    if not hours:
        raise ConfigError(
            f"per_week.{SELLER_HOURS}: expected what takes the hours, such as "
            "+seller_hours.escalated=0.5, got nothing"
        )
    for name, took in hours.items():
        if name not in journey.channels:
            channels_of(journey, name, "seller_hours")
            raise ConfigError(f"seller_hours.{name}: expected one signal, got all mails")
        if not isfinite(took) or took <= 0.0:
            raise ConfigError(f"seller_hours.{name}: expected hours above 0, got {took}")
    return tuple(hours)


def _require_amount(where: str, value: float) -> None:
    if not isfinite(value) or value < 0.0:
        raise ConfigError(f"{where}: expected a number of 0 or more, got {value}")


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
    counted = [_sums(played.amounts, journey, one.of, one.hours) for one in limits]
    each = 1.0 - (1.0 - level) / max(len(limits), 1)

    def mean_of(name: str) -> float:
        return float(_sums(played.amounts, journey, channels_of(journey, name, "of")).mean())

    return Used(
        value=float(value.mean()),
        error=float(value.std(ddof=1)) / n**0.5,
        use=tuple(float(one.mean()) for one in counted),
        upper=tuple(
            _upper(one, each, max(limit.hours, default=1.0))
            for one, limit in zip(counted, limits, strict=True)
        ),
        sends=mean_of(SEND),
        mixed=mean_of(drawn),
    )


def _upper(amounts: FloatArray, level: float, most: float) -> float:
    """Upper bound of the mean of events, or hours, by contact.

    Args:
        amounts: of each contact, [n].
        level: of the bound.
        most: what one event counts at most. A sum varies most if each event counts so much, so it
            is bounded as if each did.
    """
    n = len(amounts)
    half = float(ndtri(level)) * float(amounts.std(ddof=1)) / n**0.5
    counted = most * poisson_upper(float(amounts.sum()) / most, level) / n
    return float(max(counted, amounts.mean() + half))


def _sums(
    amounts: FloatArray, journey: Journey, of: Sequence[str], weights: Sequence[float] = ()
) -> FloatArray:
    chosen = amounts[:, [journey.channel_index(one) for one in of]]
    return np.asarray(chosen @ np.array(weights) if weights else chosen.sum(axis=1))
