"""A log of an experiment that deals time, written by hand: one contact a day, events on days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from nurture_envs.switchback import Switchback, block_arm
from nurture_rl.lift.enrolled import LogTables
from nurture_rl.lift.written_plan import Plan
from tests.unit.lift.small_programme import contact, decision, event, log, plan

FIRST = date(2026, 4, 6)  # a Monday; the small programme begins at nine of it
BLOCKS = Switchback(FIRST, "UTC", 7, 1, 12)
ARMS = ("policy", "usual")


def block_plan(**changed: object) -> Plan:
    """Twelve weeks of two arms."""
    said = {
        "unit": "time",
        "velocity": None,
        "window_days": 7,
        "units": 12,
        "switchback": BLOCKS,
        "salt": "s",
    }
    return plan(**(said | changed))


def arm_on(day: float, salt: str = "s") -> str:
    """The arm of a day since the first one."""
    return block_arm(salt, ARMS, int(day // 7))


def programme(
    meetings: Callable[[int, str], int],
    days: int = 84,
    arm: Callable[[float], str] = arm_on,
    more: Sequence[dict[str, object]] = (),
    end: float = 120.0,
) -> LogTables:
    """One contact begins each day at nine and is decided for once; so many meetings at eleven.

    Args:
        meetings: how many there are on a day of an arm, all of that day's contact.
        days: that have contacts.
        arm: of a day.
        more: events.
        end: day up to which the log is complete.
    """
    names = [f"c{day:03d}" for day in range(days)]
    booked = [
        event(name, "meeting_booked", day + 0.05 + 0.001 * k)
        for day, name in enumerate(names)
        for k in range(meetings(day, arm(day)))
    ]
    return log(
        [contact(name) for name in names],
        [decision(name, arm(day), day) for day, name in enumerate(names)],
        [*booked, *more],
        end=datetime(2026, 4, 6, tzinfo=UTC) + timedelta(days=end),
    )
