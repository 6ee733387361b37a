"""When a contact is to be decided for again: at the next bin, or at the one after a pause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import Clock, utc_microseconds
from nurture_envs.journey import Journey
from nurture_rl.serving.records import Decision


def next_moments(
    clock: Clock,
    actions: Sequence[str],
    steps: NDArray[np.int64],
    anchors_us: NDArray[np.int64],
    zones: NDArray[np.str_],
) -> list[int | None]:
    """Microseconds since 1970 UTC of the next decisions, [n]; None: it was the episode's last.

    Args:
        clock: of the journey.
        actions: ids of the actions taken, [n].
        steps: bins in which they were decided, [n].
        anchors_us: beginnings of the episodes, local wall time, [n].
        zones: IANA names of the contacts' zones, [n].
    """
    later = steps + np.array([_bins(action) for action in actions], np.int64)
    moments = utc_microseconds(anchors_us + clock.start_us(later), zones).tolist()
    cells = zip(actions, later.tolist(), moments, strict=True)
    return [
        None if action == "exit" or bin_ >= clock.horizon else at_us
        for action, bin_, at_us in cells
    ]


def with_next(decision: Decision, journey: Journey, zone: str) -> Decision:
    """A stored decision with the moment at which its contact is to be decided for again.

    Args:
        decision: of the journey.
        journey: of its clock.
        zone: of the contact, IANA name.
    """
    steps, anchors_us = (np.array([of], np.int64) for of in (decision.step, decision.anchor_us))
    (next_us,) = next_moments(journey.clock, [decision.action], steps, anchors_us, np.array([zone]))
    return replace(decision, next_us=next_us)


@lru_cache(maxsize=4096)
def _bins(action: str) -> int:
    """How many bins later the next decision is."""
    routing, _, length = action.partition(":")
    return int(length) if routing == "pause" and length.isdigit() else 1
