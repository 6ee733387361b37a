"""What of the past guardrails need to know: latest sends, and last moments of signals."""

from __future__ import annotations

from datetime import date

from nurture_envs.journey import ALL, Group, GuardrailSettings
from nurture_envs.once import once


@once
def moments_watched(settings: GuardrailSettings) -> list[tuple[str, ...]]:
    """Sets of signals whose last moment mail waits for, or waits after."""
    answers = [] if settings.unanswered is None else [settings.unanswered.until]
    return [*answers, *(visit.after for visit in settings.cool_off)]


@once
def days_of(settings: GuardrailSettings) -> list[tuple[int, int]]:
    """First and last day of each time without mail, days since 1970."""
    epoch = date(1970, 1, 1)
    return [((first - epoch).days, (last - epoch).days) for first, last in settings.blackout]


@once
def jobs_kept(settings: GuardrailSettings) -> list[Group]:
    """The groups whose mail waits for answers."""
    jobs = () if settings.unanswered is None else settings.unanswered.jobs
    return [("job", job) for job in jobs]


@once
def sends_kept(settings: GuardrailSettings) -> dict[Group, int]:
    """How many latest sends the rules need to see: of all, then by group of messages.

    A message that waits after visits is a group of its own, too.

    The columns of `GuardrailFacts.sends_hours` stand in this order.
    """
    kept = {ALL: 1}
    for cap in settings.caps:
        kept[cap.group] = max(kept.get(cap.group, 1), cap.maximum)
    for tier in settings.inactivity.tiers if settings.inactivity is not None else ():
        kept[ALL] = max(kept[ALL], tier.maximum)
    for group in (*jobs_kept(settings), *(("message", one.message) for one in settings.cool_off)):
        kept[group] = kept.get(group, 1)
    return kept


def sends_remembered(settings: GuardrailSettings) -> int:
    """How many sends these are together."""
    return sum(sends_kept(settings).values())
