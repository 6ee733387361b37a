"""The known past of contacts as loops: sums that a bin enters and leaves, last times.

Equal bit for bit to `RunningFeatures`. A function plays one tile: neighbouring contacts, few enough
that their rows stay in the cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.worlds.draw_loops import draw

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]

NEVER = np.float32(-1_000_000.0)
EVER = np.float32(-500_000.0)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

_jit = jit()


class Past(NamedTuple):
    """What is known of contacts; the bin closed last stands at (clock - 1) % W."""

    ring: Floats  # [W, q, n]
    sums: Floats  # [S, n]
    last: Floats  # [L, n]
    since: Floats  # [n]: first bin the ring knows
    waiting: Floats  # [D, e, n]: late channels' sums of earlier bins
    due: NDArray[np.int8]  # [D, e, n]: bins from happening to being known; 0 at once


class Sets(NamedTuple):
    """Which channels each sum and last time is about."""

    kept: Wholes  # [q] channels of the ring
    windows: Wholes  # [S]
    sum_from: Wholes  # [S + 1] into `sum_rows`
    sum_rows: Wholes  # rows of the ring
    last_from: Wholes  # [L + 1] into `last_channels`
    last_channels: Wholes


class Late(NamedTuple):
    """Channels that may be recorded after their bin."""

    channels: Wholes  # [e]
    rows: Wholes  # [e] of the ring; -1: not in it
    draws: Wholes  # [e]
    chances: Floats  # [D, e]: known within d bins
    stream: int


@_jit
def _tell(past: Past, clock: int, sets: Sets, event: Any, amount: float, at: Any) -> None:
    """Put one late record where it happened: `at` says the contact and the closing bin.

    The closing bin has not entered the windows yet, so one more bin is still in them.
    """
    (row, channel, ago), (contact, bin_) = event, at
    width = past.ring.shape[0]
    if row >= 0 and ago <= width:
        past.ring[(clock - ago) % width, row, contact] += amount
        for s in range(sets.windows.shape[0]):
            for member in range(sets.sum_from[s], sets.sum_from[s + 1]):
                if sets.sum_rows[member] == row and ago <= sets.windows[s]:
                    past.sums[s, contact] += amount
    for time in range(past.last.shape[0]):
        for member in range(sets.last_from[time], sets.last_from[time + 1]):
            if sets.last_channels[member] == channel:
                happened = np.float32(bin_ - ago)
                past.last[time, contact] = max(past.last[time, contact], happened)


@_jit
def _tell_late(
    past: Past, clock: int, sets: Sets, late: Late, bins: Wholes, first: int, size: int
) -> None:
    """Put what becomes known now of earlier bins of the same episode where it happened."""
    depth = past.due.shape[0]
    for ago in range(1, depth + 1):
        before = (clock - ago) % depth
        for position in range(late.channels.shape[0]):
            here = past.due[before, position, first : first + size]
            some = np.int8(0)
            for i in range(size):
                some |= np.int8(here[i] == ago)
            if some == 0:
                continue
            event = (late.rows[position], late.channels[position], ago)
            for i in range(size):
                if here[i] == ago and ago <= bins[first + i]:
                    amount = past.waiting[before, position, first + i]
                    _tell(past, clock, sets, event, amount, (first + i, bins[first + i]))


@_jit
def _hold_back(
    past: Past, clock: int, late: Late, amounts: Floats, keys: Wholes, bins: Wholes, first: int,
    size: int,
) -> None:  # fmt: skip
    """Let late records wait: they leave `amounts` [c, tile]."""
    slot = clock % past.due.shape[0]
    for position in range(late.channels.shape[0]):
        row = amounts[late.channels[position]]
        due = past.due[slot, position, first : first + size]
        for i in range(size):
            due[i] = 0
        for i in range(size):
            if row[i] == _ZERO:
                continue
            at, delay = first + i, 0
            luck = draw(keys[at], bins[at], late.stream, late.draws[position])
            for bins_late in range(late.chances.shape[0]):
                delay += luck >= late.chances[bins_late, position]
            if delay > 0:
                past.waiting[slot, position, at], due[i] = row[i], delay
                row[i] = _ZERO


@_jit
def _add_up(
    past: Past, clock: int, sets: Sets, known: Floats, now: Floats, gone: Floats, first: int
) -> None:
    """Let a tile's bin enter the windows of the sums, and the ring; `known` [c, tile]."""
    width, size = past.ring.shape[0], now.shape[0]
    for s in range(sets.windows.shape[0]):
        old = (clock - sets.windows[s]) % width
        total = past.sums[s, first : first + size]
        if s == 0 or sets.windows[s] != sets.windows[s - 1]:
            reach = np.float32(sets.windows[s])
            for i in range(size):
                gone[i] = _ONE if past.since[first + i] + reach <= now[i] else _ZERO
        for at in range(sets.sum_from[s], sets.sum_from[s + 1]):
            row = sets.sum_rows[at]
            leaving, entering = past.ring[old, row, first : first + size], known[sets.kept[row]]
            for i in range(size):
                total[i] += entering[i] - leaving[i] * gone[i]
    for row in range(sets.kept.shape[0]):
        source, target = known[sets.kept[row]], past.ring[clock % width, row, first : first + size]
        for i in range(size):
            target[i] = source[i]


@_jit
def _see(past: Past, sets: Sets, known: Floats, now: Floats, hit: Floats, first: int) -> None:
    """Note for a tile what happened in its bin; `known` [c, tile]."""
    size = now.shape[0]
    for at in range(past.last.shape[0]):
        row = past.last[at, first : first + size]
        begin, end = sets.last_from[at], sets.last_from[at + 1]
        if end == begin + 1:
            source = known[sets.last_channels[begin]]
            for i in range(size):
                row[i] = now[i] if source[i] != _ZERO else row[i]
            continue
        for i in range(size):
            hit[i] = _ZERO
        for member in range(begin, end):
            source = known[sets.last_channels[member]]
            for i in range(size):
                hit[i] += source[i]
        for i in range(size):
            row[i] = now[i] if hit[i] != _ZERO else row[i]


@_jit
def close_bin(
    past: Past, clock: int, sets: Sets, late: Late, amounts: Floats, keys: Wholes, bins: Wholes,
    first: int, size: int, spare: Floats,
) -> None:  # fmt: skip
    """Close a bin of a tile in place, as `RunningFeatures.close` does after the draws of delays.

    Args:
        past: of all contacts.
        clock: bins closed before.
        sets: see `Sets`.
        late: see `Late`.
        amounts: channel sums of the bin, [c, tile]; late records leave them.
        keys: of all contacts, [n].
        bins: that closes, of all contacts, [n].
        first: contact of the tile.
        size: contacts of the tile.
        spare: room, [2, tile].
    """
    now, room = spare[0, :size], spare[1, :size]
    for i in range(size):
        now[i] = np.float32(bins[first + i])
    _tell_late(past, clock, sets, late, bins, first, size)
    _hold_back(past, clock, late, amounts, keys, bins, first, size)
    _add_up(past, clock, sets, amounts, now, room, first)
    _see(past, sets, amounts, now, room, first)
