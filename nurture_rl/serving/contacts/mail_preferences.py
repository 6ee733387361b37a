"""What contacts prefer, as guardrails ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import HOUR_US
from nurture_envs.journey import Journey
from nurture_rl.serving.contacts.sends import sends_of
from nurture_rl.serving.records import ContactView, Preferences

WEEK_HOURS = 168.0
_NOTHING = Preferences()


def refused_messages(journey: Journey, views: Sequence[ContactView]) -> NDArray[np.bool_] | None:
    """Of each message of the journey whether its topic or channel is refused, [n, m].

    None where nobody refuses any.
    """
    if all(view.preferences == _NOTHING for view in views):
        return None
    rows = [
        [view.preferences.refuse(one.topic, one.channel) for one in journey.messages]
        for view in views
    ]
    return np.array(rows, np.bool_).reshape(len(views), -1)


def wanted_from(
    views: Sequence[ContactView], shift_us: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Hours before which mail would be more than was asked for, [n]; -inf where any is welcome.

    None where nobody asked for less. Sends count whether they were made or are planned, of
    whatever system and channel.

    Args:
        views: the contacts, [n].
        shift_us: how far the wall clock of each is ahead of UTC, [n].
    """
    if all(view.preferences.per_week is None for view in views):
        return None
    hours = np.full(len(views), -np.inf)
    for row, view in enumerate(views):
        most = view.preferences.per_week
        if most is not None and len(sends := _sends_us(view)) >= most:
            hours[row] = (sends[-most] + shift_us[row]) / HOUR_US + WEEK_HOURS
    return hours


def _sends_us(view: ContactView) -> list[int]:
    """All sends to a contact that limits can see, made or planned, in order."""
    return sorted(at_us for at_us, _ in sends_of(view))
