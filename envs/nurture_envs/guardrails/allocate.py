"""Limits of a whole population, settled in one place by priority."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, device

Array = Any  # numpy or torch


def allocate(wanted: Array, priority: Array, room: int) -> Array:
    """Who gets a scarce thing.

    Args:
        wanted: who asks for it, [n] bool.
        priority: higher goes first, [n] float; of equals the earlier row.
        room: how many can have it; below 0 counts as 0.

    Returns:
        Who gets it, [n] bool: everybody who asks when there is room, else the `room` first.
    """
    xp = array_namespace(priority)
    asking = xp.nonzero(wanted)[0]
    if asking.shape[0] <= room:
        return wanted
    order = xp.argsort(-priority[asking], stable=True)
    granted = xp.zeros(wanted.shape, dtype=xp.bool, device=device(wanted))
    granted[asking[order[: max(room, 0)]]] = True
    return granted
