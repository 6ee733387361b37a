"""Limits of all contacts of a server together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SellerCapacity:
    """How many escalations salespeople can take; None: any number."""

    per_day: int | None  # in any 24 hours
    open: int | None  # at once
    closed_by: tuple[
        str, ...
    ] = ()  # event types after which a contact's escalation is no more open
    open_days: int = 14  # after which it is not open either


@dataclass(frozen=True, slots=True)
class SlowDown:
    """When less mail goes to a family of recipient domains: a share of its mails went wrong."""

    complaints: tuple[float, float]  # shares from which mail is slowed down, and from which stopped
    bounces: tuple[float, float]
    days: int = 7  # over which they are counted, today included
    minimum: int = 200  # mails, below which no share says anything
    factor: float = 0.5  # of the fullest of the days before, while mail is slowed down


@dataclass(frozen=True, slots=True)
class VolumeRamp:
    """How many mails a UTC day go to one family of recipient domains.

    On its first, second, .. day with mail as many as `warm_up` says. Later `growth` times the mean
    of the days before, at least the last of `warm_up`.
    """

    warm_up: tuple[int, ...]
    growth: float | None = None  # None: any number after the warm-up
    trailing_days: int = 7  # over which the mean is taken
    carry_over: float = 0.0  # share of yesterday's room that was left, and may be used today
    idle_days: int = 30  # without mail, after which a family warms up again
    families: tuple[tuple[str, str], ...] = ()  # domain and family, before the shipped table
    slow_down: SlowDown | None = None
