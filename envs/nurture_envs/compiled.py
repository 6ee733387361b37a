"""What numba makes of the hot loops, for simulations on a CPU; equal to the torch code bit for bit.

Loops run along contacts, in tiles that stay in cache, without the interpreter's lock. Nothing
imports this module unless numba is installed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TILE = 1024
NEVER = np.float32(-1_000_000.0)
EVER = np.float32(-500_000.0)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64((1 << 24) - 1)
_STEP = np.float32(2.0**-24)

# What a feature column is worked out from; see `features_of`.
ATTRIBUTE, BIN, SLOT, WEEKDAY, SUM, RATIO, RECENCY, HAPPENED, STAGE, STREAK = range(10)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def _mixed(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@_jit
def _pair(base: Any, pair: Any) -> Any:
    x = base + np.uint64(pair + 1) * _GOLDEN
    x = (x ^ (x >> np.uint64(32))) * _MIX_1
    return x ^ (x >> np.uint64(29))


@_jit
def _base(key: Any, bin_: Any, stream: Any) -> Any:
    x = np.uint64(key) + np.uint64(bin_ + 2) * _GOLDEN
    return _mixed(x) + np.uint64(stream) * _MIX_2


@_jit
def fill_uniforms(keys: Array, bins: Array, stream: int, out: Array) -> None:
    """`draws.uniforms` into `out` [count, n] f32; keys and bins [n] i64."""
    base = np.empty(TILE, np.uint64)
    for first in range(0, keys.shape[0], TILE):
        size = min(TILE, keys.shape[0] - first)
        for i in range(size):
            base[i] = _base(keys[first + i], bins[first + i], stream)
        for pair in range((out.shape[0] + 1) // 2):
            high = out[2 * pair, first : first + size]
            for i in range(size):
                high[i] = np.float32(np.int64(_pair(base[i], pair) >> np.uint64(40))) * _STEP
            if 2 * pair + 1 < out.shape[0]:
                low = out[2 * pair + 1, first : first + size]
                for i in range(size):
                    low[i] = np.float32(np.int64(_pair(base[i], pair) & _LOW)) * _STEP


@_jit
def _draw(key: Any, bin_: Any, stream: Any, index: Any) -> Any:
    """One of the uniforms of (key, bin, stream)."""
    bits = _pair(_base(key, bin_, stream), index // 2)
    chosen = bits >> np.uint64(40) if index % 2 == 0 else bits & _LOW
    return np.float32(np.int64(chosen)) * _STEP


@_jit
def _delay(late: Any, position: int, key: int, bin_: int) -> int:
    """Bins until an event of a late channel is known."""
    _, _, draws, chances, stream = late
    luck, delay = _draw(key, bin_, stream, draws[position]), 0
    for bins_late in range(chances.shape[0]):
        delay += luck >= chances[bins_late, position]
    return delay


@_jit
def _add_up(past: Any, sets: Any, known: Array, now: Array, gone: Array, first: int) -> None:
    """Let a tile's bin enter the windows of the sums, and the ring; `known` [c, tile]."""
    ring, sums, _, since, _, _, clock = past
    kept, windows, sum_from, sum_rows, _, _ = sets
    width, size = ring.shape[0], now.shape[0]
    for s in range(windows.shape[0]):
        old = (clock - windows[s]) % width
        total = sums[s, first : first + size]
        if s == 0 or windows[s] != windows[s - 1]:
            reach = np.float32(windows[s])
            for i in range(size):
                gone[i] = _ONE if since[first + i] + reach <= now[i] else _ZERO
        for at in range(sum_from[s], sum_from[s + 1]):
            row = sum_rows[at]
            leaving, entering = ring[old, row, first : first + size], known[kept[row]]
            for i in range(size):
                total[i] += entering[i] - leaving[i] * gone[i]
    for row in range(kept.shape[0]):
        source, target = known[kept[row]], ring[clock % width, row, first : first + size]
        for i in range(size):
            target[i] = source[i]


@_jit
def _see(past: Any, sets: Any, known: Array, now: Array, hit: Array, first: int) -> None:
    """Note for a tile what happened in its bin; `known` [c, tile]."""
    last, size = past[2], now.shape[0]
    last_from, last_channels = sets[4], sets[5]
    for at in range(last.shape[0]):
        for i in range(size):
            hit[i] = _ZERO
        for member in range(last_from[at], last_from[at + 1]):
            source = known[last_channels[member]]
            for i in range(size):
                hit[i] += source[i]
        row = last[at, first : first + size]
        for i in range(size):
            row[i] = now[i] if hit[i] != _ZERO else row[i]


@_jit
def _tell(past: Any, sets: Any, row: int, channel: int, amount: float, ago: int, at: Any) -> None:
    """Put one late record where it happened: `at` says the contact and the closing bin.

    The closing bin has not entered the windows yet, so one more bin is still in them.
    """
    ring, sums, last, _, _, _, clock = past
    _, windows, sum_from, sum_rows, last_from, last_channels = sets
    contact, bin_ = at
    if row >= 0 and ago <= ring.shape[0]:
        ring[(clock - ago) % ring.shape[0], row, contact] += amount
        for s in range(windows.shape[0]):
            for member in range(sum_from[s], sum_from[s + 1]):
                if sum_rows[member] == row and ago <= windows[s]:
                    sums[s, contact] += amount
    for time in range(last.shape[0]):
        for member in range(last_from[time], last_from[time + 1]):
            if last_channels[member] == channel:
                last[time, contact] = max(last[time, contact], np.float32(bin_ - ago))


@_jit
def _tell_late(past: Any, sets: Any, late: Any, bins: Array) -> None:
    """Put what becomes known now of earlier bins where it happened."""
    _, _, _, _, waiting, due, clock = past
    channels, rows, _, _, _ = late
    for ago in range(1, due.shape[0] + 1):
        before = (clock - ago) % due.shape[0]
        for position in range(channels.shape[0]):
            here = due[before, position]
            for i in range(here.shape[0]):
                if here[i] == ago:
                    amount = waiting[before, position, i]
                    place = (i, bins[i])
                    _tell(past, sets, rows[position], channels[position], amount, ago, place)


@_jit
def close_bin(past: Any, sets: Any, late: Any, amounts: Array, keys: Array, bins: Array) -> None:
    """Close a bin in place, as `Running.close` does after the draws of recording delays.

    Args:
        past: ring [W, q, n], sums [S, n], last [L, n], since [n], late amounts and dues [D, e, n],
            and bins closed before.
        sets: channels kept; of each sum its window, and its ring rows from and to; of each last
            time its channels from and to.
        late: late channels, their ring rows (-1: none), draws, chances [D, e], and the stream.
        amounts: channel sums of the bin, [c, n].
        keys: of the contacts, [n].
        bins: that closes, [n] i64.
    """
    _, _, _, _, waiting, due, clock = past
    channels, n, slot = late[0], keys.shape[0], clock % due.shape[0]
    known = np.empty((amounts.shape[0], TILE), np.float32)
    now, spare = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    _tell_late(past, sets, late, bins)
    for first in range(0, n, TILE):
        size = min(TILE, n - first)
        for i in range(size):
            now[i] = np.float32(bins[first + i])
        for channel in range(amounts.shape[0]):
            source, target = amounts[channel, first : first + size], known[channel]
            for i in range(size):
                target[i] = source[i]
        for position in range(channels.shape[0]):
            row = known[channels[position]]
            for i in range(size):
                at, delay = first + i, 0
                if row[i] != _ZERO:
                    delay = _delay(late, position, keys[at], bins[at])
                waiting[slot, position, at], due[slot, position, at] = row[i], delay
                row[i] = row[i] if delay == 0 else _ZERO
        _add_up(past, sets, known[:, :size], now[:size], spare[:size], first)
        _see(past, sets, known[:, :size], now[:size], spare[:size], first)


@_jit
def _plain(kind: int, a: int, b: int, source: Any, now: Array, row: Array, first: int) -> None:
    """A column that is read or compared; `source`: attributes, sums, last times and weekdays."""
    attributes, sums, last, weekday = source
    size, number = row.shape[0], np.float32(a)
    if kind in (ATTRIBUTE, SUM):
        known = (attributes if kind == ATTRIBUTE else sums)[a, first : first + size]
        for i in range(size):
            row[i] = known[i]
    elif kind == BIN:
        for i in range(size):
            row[i] = now[i]
    elif kind == SLOT:
        for i in range(size):
            row[i] = np.int64(now[i]) % b == a
    elif kind == WEEKDAY:
        for i in range(size):
            row[i] = _ONE if weekday[first + i] == number else _ZERO
    elif kind == HAPPENED:
        known = last[a, first : first + size]
        for i in range(size):
            row[i] = _ONE if known[i] > EVER else _ZERO


@_jit
def _streak(past: Any, sets: Any, plan: Any, now: Array, row: Array, first: int) -> None:
    """Events in the bins after the last one that ends the streak."""
    ring, _, last, since, _, _, clock = past
    _, a, b, window = plan
    size = row.shape[0]
    reach = np.empty(size, np.float32)
    for i in range(size):
        row[i] = _ZERO
        lag, span = now[i] - last[b, first + i], now[i] - since[first + i] + _ONE
        reach[i] = lag if lag < span else span
    for ago in range(1, window + 1):
        bin_, far = ring[(clock - ago) % ring.shape[0]], np.float32(ago)
        for at in range(sets[2][a], sets[2][a + 1]):
            inside = bin_[sets[3][at], first : first + size]
            for i in range(size):
                row[i] += inside[i] if reach[i] > far else _ZERO


@_jit
def features_of(
    past: Any, sets: Any, plan: Array, attributes: Array, bins: Array, weekday: Array, out: Array
) -> None:
    """The features at the start of a bin into `out` [d, n], as `Running.evaluate` does.

    Args:
        past: see `close_bin`.
        sets: see `close_bin`.
        plan: one row per feature column: kind, two numbers that say which, and a window.
        attributes: encoded attribute columns, [attribute columns, n].
        bins: about to be decided, [n] i64.
        weekday: Monday = 0, [n] f32.
        out: any distance between its rows.
    """
    sums, last, n = past[1], past[2], bins.shape[0]
    source = (attributes, sums, last, weekday)
    tile, entered = np.empty(TILE, np.float32), np.empty(TILE, np.float32)
    for first in range(0, n, TILE):
        end = min(first + TILE, n)
        size = end - first
        now = tile[:size]
        for i in range(size):
            now[i] = np.float32(bins[first + i])
        for column in range(plan.shape[0]):
            kind, a, b, window = plan[column]
            row = out[column, first:end]
            if kind == RATIO:
                for i in range(size):
                    below = sums[b, first + i]
                    some = below != _ZERO
                    row[i] = sums[a, first + i] / (below if some else _ONE) if some else _ZERO
            elif kind == RECENCY:
                known, most = last[a, first:end], np.float32(window)
                for i in range(size):
                    lag = now[i] - known[i]
                    row[i] = lag if lag < most else most
            elif kind == STAGE:
                if a == 0:
                    _enter(plan, column, b, last[:, first:end], now, entered[:size])
                number = np.float32(a)
                for i in range(size):
                    row[i] = _ONE if entered[i] == number else _ZERO
            elif kind == STREAK:
                _streak(past, sets, plan[column], now, row, first)
            else:
                _plain(kind, a, b, source, now, row, first)


@_jit
def _enter(plan: Array, column: int, stages: int, last: Array, now: Array, entered: Array) -> None:
    """The stage each contact of a tile entered last, -1 for none; the later of equals.

    The rows of the stages' last times, of all contacts of the tile, stand in the windows of the
    feature's columns.
    """
    best = np.empty(entered.shape[0], np.float32)
    for i in range(entered.shape[0]):
        best[i], entered[i] = -EVER, -_ONE
    for position in range(stages):
        known, number = last[plan[column + position, 3]], np.float32(position)
        for i in range(entered.shape[0]):
            lag = now[i] - known[i]
            newer = lag <= best[i]
            entered[i] = number if newer else entered[i]
            best[i] = lag if newer else best[i]
