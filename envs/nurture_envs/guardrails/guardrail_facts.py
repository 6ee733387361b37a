"""What guardrails need to know of contacts, and the part of it that follows from signals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from array_api_compat import array_namespace

from nurture_envs.guardrails.remembered import moments_watched
from nurture_envs.journey import GuardrailSettings, Journey
from nurture_envs.once import once

Array = Any  # numpy or torch; of the facts also a plain bool that holds for everybody
Lag = Callable[[tuple[str, ...]], Array]  # time since one of some signals last happened, [n]

_EVER = 500_000  # bins; the lag of what never happened lies beyond it


@dataclass(frozen=True, slots=True)
class GuardrailFacts:
    """What the guardrails need to know of each contact at this moment."""

    consent: Array  # [n] bool
    opted_out: Array  # [n] bool: unsubscribed or complained
    hard_bounced: Array  # [n] bool
    conversation: Array  # [n] bool: a salesperson is talking to them, or they wait for an answer
    intent: Array  # [n] bool: has shown what an escalation needs
    paused: Array  # [n] bool: inside a pause chosen before
    available: Array  # [n] bool
    zone_known: Array  # [n] bool
    # [n, k] f64: `now_hours` less the hours since the latest sends, -inf: none; for each of
    # `sends_kept` so many columns, in any order
    sends_hours: Array
    now_hours: Array  # [n] f64: the moment of the decision
    midnight_hours: Array  # [n] f64: local midnight before it, same scale
    today: Array  # [n] i64: local day, days since 1970
    slowed: Array = False  # [n] bool: inside a slower cadence chosen before
    # Where the journey asks for activity: [n] bins since the last, and [n] bool, the lot that lets
    # a probe through
    inactive: Array = None
    probed: Array = True
    # [n, 24] f64: hours by which clocks are set forward between now and each hour of today; None:
    # they are not
    set_forward: Array = None
    # Of each limited offer of the catalogue, [n, o]: who its conditions fit (None: nobody), and how
    # many sends of it are left to all contacts together (None: enough)
    eligible: Array = None
    left: Array = None
    # What contacts prefer, as servers know it; nobody in a simulation says so. [n, m] bool of each
    # message of the catalogue: its topic or channel was refused (None: nothing was); and [n] f64,
    # the hour before which mail would be more than was asked for, -inf: never (None: nobody asked)
    refused: Array = None
    wanted_from: Array = None
    # [n, w] f64: when signals of each of `moments_watched` last happened, on the scale of
    # `now_hours`, -inf: never; a simulation takes the end of their bin
    moments_hours: Array = None


def standing(settings: GuardrailSettings, lag: Lag, since: Lag | None = None) -> dict[str, Array]:
    """The facts that follow from which signals happened when.

    Args:
        settings: name the signals.
        lag: bins since one of some signals last happened, [n]; the current bin counts.
        since: the same in any finer unit of time, to tell which of two signals came first in a bin;
            None: `lag` has to do, and of what happened in one bin nothing came first.

    Returns:
        `opted_out`, `hard_bounced`, `conversation` and `intent`, each [n] bool; a plain bool where
        the journey names no such signal. `slowed` where the journey has a slower cadence, and
        `inactive` where it asks for activity.
    """
    since = since or lag

    def ever(names: tuple[str, ...], nobody: bool = False) -> Array:
        return lag(names) <= _EVER if names else nobody

    conversation: Array = False
    for name, bins_back in settings.conversation:
        conversation = conversation | (lag((name,)) <= bins_back)
    for opened in settings.conversation_until:
        goes_on = lag((opened.signal,)) <= (_EVER if opened.bins is None else opened.bins)
        if opened.until:
            goes_on = goes_on & (since((opened.signal,)) <= since(opened.until))
        conversation = conversation | goes_on
    facts = {
        "opted_out": ever(settings.opt_out),
        "hard_bounced": ever(settings.hard_bounce),
        "conversation": conversation,
        "intent": ever(settings.escalation_needs, nobody=True),
    }
    if settings.slow is not None:
        facts["slowed"] = lag((settings.slow.signal,)) < settings.slow.bins
    if settings.inactivity is not None:
        facts["inactive"] = lag(settings.inactivity.signals)
    return facts


def lags_of(journey: Journey, last: Array, now: Array) -> Lag:
    """Time since one of some signals last happened, from the last time of each channel.

    Args:
        journey: names the signals.
        last: last known time of each channel, then of each event that only guardrails name, [n, c],
            in bins or another whole unit.
        now: current time, [n], the same unit.
    """
    xp = array_namespace(last)
    lags = xp.astype(now, last.dtype)[:, None] - last
    places = _places(journey)

    def lag(names: tuple[str, ...]) -> Array:
        return reduce(xp.minimum, [lags[:, places[name]] for name in names])

    return lag


@once
def _places(journey: Journey) -> dict[str, int]:
    """Position of each channel, then of each event that only guardrails name."""
    names = (*journey.channels, *(event.name for event in journey.guardrails.events))
    return {name: place for place, name in enumerate(names)}


def watched(settings: GuardrailSettings) -> list[tuple[str, ...]]:
    """Sets of signals whose last time `standing` asks for."""
    sets = [settings.opt_out, settings.hard_bounce, settings.escalation_needs]
    single = [name for name, _ in settings.conversation]
    single += [settings.slow.signal] if settings.slow is not None else []
    single += [opened.signal for opened in settings.conversation_until]
    sets += [(name,) for name in single] + [one.until for one in settings.conversation_until]
    sets += [settings.inactivity.signals] if settings.inactivity is not None else []
    return [names for names in (*sets, *moments_watched(settings)) if names]
