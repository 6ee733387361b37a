"""The JSON of the console, beside what the figures themselves say."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nurture_rl.serving.watching.decision_days import DecisionDays
from nurture_rl.serving.watching.lift_reports import LiftLook
from nurture_rl.serving.watching.mail_days import MailDays
from nurture_rl.serving.watching.reach import Reach
from nurture_rl.serving.watching.timeline import Timeline


class ConsoleOut(msgspec.Struct, frozen=True):
    """What the key that asks may do, and what is served."""

    scopes: Sequence[str]
    journeys: Sequence[str]  # the first one first
    now: str | None
    needs_key: bool


class HealthFigures(msgspec.Struct, frozen=True):
    """One figure of the verb `monitor`."""

    name: str
    before: float | None
    now: float
    limit: float
    alert: bool
    says: str


class HealthOut(msgspec.Struct, frozen=True):
    """Whether the server still sees and does what it did; alerts first."""

    journey: str
    missing: str  # why there are no figures; empty: there are
    figures: Sequence[HealthFigures]
    days: int  # the latest ones
    before: int  # days before them


STRUCTS = (ConsoleOut, DecisionDays, MailDays, Reach, HealthOut, LiftLook, Timeline)  # of bodies
