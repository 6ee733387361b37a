"""Limits that forbid mail for some hours after a send or a visit: caps, gap, tiers and waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import device
from numpy.typing import NDArray

from nurture_envs.guardrails.guardrail_facts import GuardrailFacts
from nurture_envs.guardrails.reasons import CAP_REASONS, Reason
from nurture_envs.guardrails.remembered import jobs_kept, moments_watched, sends_kept
from nurture_envs.journey import ALL, Group, GuardrailSettings
from nurture_envs.once import once

Array = Any  # numpy or torch

_SWAPPED = 8  # columns up to which swaps of neighbours are faster than a sort of each row


@dataclass(frozen=True, slots=True)
class Spacing:
    """The limits of a journey, l of them, by the moment that each counts from.

    Moments are the k latest sends, latest first within each group of `sends_kept`, and after them
    the w sets of `moments_watched`.
    """

    moment: NDArray[np.int64]  # [l] which of the k + w
    hours: NDArray[np.float64]  # [l, 1] how long after it mail is forbidden
    bits: NDArray[np.int32]  # [l, 1] the `Reason`
    of_group: dict[Group, tuple[int, ...]]  # the limits of each group's mail
    sorted_rows: tuple[tuple[int, int], ...]  # first and last + 1 of the sends to put in order
    gap: int  # the limit that a slower cadence makes longer
    tiers: slice  # limits that hold for who does nothing
    tier_bins: NDArray[np.int64]  # [t, 1] for so long
    unanswered: slice  # limits that an answer lifts
    answers: int  # the moment of the latest answer


@once
def spacing_of(settings: GuardrailSettings) -> Spacing:
    """The limits of a journey's settings."""
    found: list[tuple[Group, Reason, int, float]] = []
    first_of: dict[Group, int] = {}
    unordered, first = [], 0
    for group, count in sends_kept(settings).items():
        first_of[group] = first
        unordered += [(first, first + count)] if count > 1 else []
        for cap in settings.caps:
            if cap.group == group:
                found.append((group, CAP_REASONS[group[0]], first + cap.maximum - 1, cap.hours))
        first += count
    gap = len(found)
    found.append((ALL, Reason.MINIMUM_GAP, first_of[ALL], settings.min_gap_hours))
    tiers = settings.inactivity.tiers if settings.inactivity is not None else ()
    for tier in tiers:
        found.append((ALL, Reason.INACTIVE, first_of[ALL] + tier.maximum - 1, tier.hours))
    jobs = len(found)
    if settings.unanswered is not None:
        for job in jobs_kept(settings):
            found.append((job, Reason.UNANSWERED, first_of[job], settings.unanswered.hours))
    waits = len(found)
    after = first + (settings.unanswered is not None)
    for place, visit in enumerate(settings.cool_off, after):
        found.append((("message", visit.message), Reason.COOL_OFF, place, visit.hours))
    groups, reasons, moments, hours = zip(*found, strict=True)
    return Spacing(
        moment=np.array(moments, np.int64),
        hours=np.array(hours, np.float64)[:, None],
        bits=np.array([reason.value for reason in reasons], np.int32)[:, None],
        of_group={
            group: tuple(i for i, own in enumerate(groups) if own == group)
            for group in dict.fromkeys(groups)
        },
        sorted_rows=tuple(unordered),
        gap=gap,
        tiers=slice(gap + 1, jobs),
        tier_bins=np.array([tier.bins for tier in tiers], np.int64)[:, None],
        unanswered=slice(jobs, waits),
        answers=first,
    )


def forbidden_until(
    spacing: Spacing, settings: GuardrailSettings, facts: GuardrailFacts, xp: Any
) -> Array:
    """Hours after midnight before which each limit forbids mail, [l, n]; -inf where it does not.

    A cap of m sends in h hours is full until h hours after the m-th latest send. Hours are those
    that pass, whatever clocks show: see `GuardrailFacts.set_forward`.
    """
    midnight, here = facts.midnight_hours, device(facts.midnight_hours)
    since = facts.sends_hours.T - midnight  # negative: before today
    for first, end in spacing.sorted_rows:
        for row, hours in enumerate(_descending(since[first:end].T, xp), first):
            since[row] = hours
    if moments_watched(settings):
        since = xp.concat([since, facts.moments_hours.T - midnight])
    after = xp.take(since, xp.asarray(spacing.moment, device=here), axis=0)
    until = after + xp.asarray(spacing.hours, device=here)
    slow = settings.slow
    if slow is not None and facts.slowed is not False:
        longer = after[spacing.gap] + slow.gap_hours
        until[spacing.gap] = xp.where(facts.slowed, longer, until[spacing.gap])
    if len(spacing.tier_bins):
        idle = facts.inactive >= xp.asarray(spacing.tier_bins, device=here)
        until[spacing.tiers] = xp.where(idle, until[spacing.tiers], -xp.inf)
    if settings.unanswered is not None:
        waits = after[spacing.unanswered] >= since[spacing.answers]
        until[spacing.unanswered] = xp.where(waits, until[spacing.unanswered], -xp.inf)
    return until


def _descending(table: Array, xp: Any) -> list[Array]:
    """Columns of a table whose rows are put in descending order, [n] each."""
    ordered = [table[:, k] for k in range(table.shape[1])]
    if len(ordered) > _SWAPPED:
        table = xp.sort(table, axis=1, descending=True)
        return [table[:, k] for k in range(table.shape[1])]
    for end in range(len(ordered) - 1, 0, -1):
        for at in range(end):
            first, second = ordered[at], ordered[at + 1]
            ordered[at], ordered[at + 1] = xp.maximum(first, second), xp.minimum(first, second)
    return ordered
