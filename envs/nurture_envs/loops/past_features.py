"""The features of contacts as loops, from the past that `past` carries along.

Equal bit for bit to `RunningFeatures`. A function works out one tile; see `past`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.loops.past import EVER, Floats, Past, Sets, Wholes

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

# What a feature column is worked out from; see `features_of`. Those from TREND on: `_of_windows`.
ATTRIBUTE, BIN, SLOT, WEEKDAY, SUM, RATIO, RECENCY, HAPPENED, STAGE, STREAK, DIFFERENCE = range(11)
TREND, DISTINCT, SHARE, SLOT_SHARE, DECAYED = range(11, 16)

_jit = jit()


class ColumnPlan(NamedTuple):
    """How each feature column is worked out."""

    columns: Wholes  # [d, 4]: kind, two numbers that say which, and a window
    listed: Wholes  # numbers of columns that need more than two
    weights: NDArray[np.float64]  # of the bins back, those of a feature together


@_jit
def _plain(
    kind: int, a: int, b: int, known: Floats, weekday: Floats, now: Floats, row: Floats
) -> None:
    """A column that is read or compared; `known`: the row it is read from."""
    size, number = row.shape[0], np.float32(a)
    if kind in (ATTRIBUTE, SUM):
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
            row[i] = _ONE if weekday[i] == number else _ZERO
    elif kind == HAPPENED:
        for i in range(size):
            row[i] = _ONE if known[i] > EVER else _ZERO


@_jit
def _streak(
    past: Past, clock: int, sets: Sets, plan: Any, now: Floats, row: Floats, first: int
) -> None:
    """Events in the bins after the last one that ends the streak."""
    _, a, b, window = plan
    size, width = row.shape[0], past.ring.shape[0]
    reach, inside = np.empty(size, np.float32), np.empty(size, np.float32)
    since, last = past.since[first : first + size], past.last[b, first : first + size]
    for i in range(size):
        row[i] = _ZERO
        span, lag = now[i] - since[i] + _ONE, now[i] - last[i]
        reach[i] = lag if lag < span else span
    for ago in range(1, window + 1):
        slot, far = (clock - ago) % width, np.float32(ago)
        for i in range(size):
            inside[i] = _ONE if reach[i] > far else _ZERO
        for at in range(sets.sum_from[a], sets.sum_from[a + 1]):
            known = past.ring[slot, sets.sum_rows[at], first : first + size]
            for i in range(size):
                row[i] += known[i] * inside[i]


@_jit
def _in_bin(
    past: Past, clock: int, sets: Sets, event: Any, now: Floats, inside: Floats, first: int
) -> None:
    """What a sum's channels hold of one bin back, 0 where another contact had it."""
    a, ago = event
    size, far = inside.shape[0], np.float32(ago)
    slot = (clock - ago) % past.ring.shape[0]
    since = past.since[first : first + size]
    for i in range(size):
        inside[i] = _ZERO
    for at in range(sets.sum_from[a], sets.sum_from[a + 1]):
        known = past.ring[slot, sets.sum_rows[at], first : first + size]
        for i in range(size):
            inside[i] += known[i] if now[i] - since[i] >= far else _ZERO


@_jit
def _decayed(
    past: Past, clock: int, sets: Sets, plan: ColumnPlan, column: int, now: Floats, row: Floats,
    first: int,
) -> None:  # fmt: skip
    """Events by their weight; added in 64 bits, exactly, and rounded once."""
    _, a, b, window = plan.columns[column]
    size = row.shape[0]
    total, inside = np.zeros(size, np.float64), np.empty(size, np.float32)
    for ago in range(1, window + 1):
        _in_bin(past, clock, sets, (a, ago), now, inside, first)
        weight = plan.weights[b + ago - 1]
        for i in range(size):
            total[i] += np.float64(inside[i]) * weight
    for i in range(size):
        row[i] = np.float32(total[i])


@_jit
def _slot_share(
    past: Past, clock: int, sets: Sets, plan: ColumnPlan, column: int, now: Floats, row: Floats,
    first: int,
) -> None:  # fmt: skip
    """The shrunken share of one slot."""
    _, at, _, window = plan.columns[column]
    a, own, slots, prior = plan.listed[at : at + 4]
    size = row.shape[0]
    inside = np.empty(size, np.float32)
    for i in range(size):
        row[i] = _ZERO
    for ago in range(1, window + 1):
        _in_bin(past, clock, sets, (a, ago), now, inside, first)
        for i in range(size):
            row[i] += inside[i] if (np.int64(now[i]) - ago) % slots == own else _ZERO
    whole, groups, more = past.sums[a, first : first + size], np.float32(slots), np.float32(prior)
    for i in range(size):
        row[i] = (row[i] * groups + more) / ((whole[i] + more) * groups)


@_jit
def _of_windows(
    past: Past, clock: int, sets: Sets, plan: ColumnPlan, column: int, now: Floats, row: Floats,
    first: int,
) -> None:  # fmt: skip
    """A column that is worked out from several sums, or from each bin of a window."""
    kind, a, b, _ = plan.columns[column]
    size, end = row.shape[0], first + row.shape[0]
    if kind == TREND:
        late, both = past.sums[a, first:end], past.sums[b, first:end]
        for i in range(size):
            row[i] = late[i] - (both[i] - late[i])
    elif kind == DISTINCT:
        for i in range(size):
            row[i] = _ZERO
        for at in range(a, a + b):
            some = past.sums[plan.listed[at], first:end]
            for i in range(size):
                row[i] += _ONE if some[i] != _ZERO else _ZERO
    elif kind == SHARE:
        own, whole = past.sums[plan.listed[a], first:end], past.sums[plan.listed[a + 1], first:end]
        groups, prior = np.float32(plan.listed[a + 2]), np.float32(plan.listed[a + 3])
        for i in range(size):
            row[i] = (own[i] * groups + prior) / ((whole[i] + prior) * groups)
    elif kind == SLOT_SHARE:
        _slot_share(past, clock, sets, plan, column, now, row, first)
    else:
        _decayed(past, clock, sets, plan, column, now, row, first)


@_jit
def features_of(
    past: Past, clock: int, sets: Sets, plan: ColumnPlan, attributes: Floats, now: Floats,
    weekday: Floats, first: int, out: Floats, stride: int,
) -> None:  # fmt: skip
    """The features of a tile at the start of a bin, as `RunningFeatures.evaluate` says them.

    Args:
        past: of all contacts.
        clock: bins closed before.
        sets: see `Sets`.
        plan: see `ColumnPlan`.
        attributes: encoded attribute columns of all contacts, [attribute columns, n].
        now: bins about to be decided, [tile].
        weekday: Monday = 0, [tile].
        first: contact of the tile.
        out: memory from the tile's first element of the first column on.
        stride: elements from one column to the next.
    """
    size = now.shape[0]
    end = first + size
    entered = np.empty(size, np.float32)
    for column in range(plan.columns.shape[0]):
        kind, a, b, window = plan.columns[column]
        row = out[column * stride : column * stride + size]
        if kind >= TREND:
            _of_windows(past, clock, sets, plan, column, now, row, first)
        elif kind == RATIO:
            top, below = past.sums[a, first:end], past.sums[b, first:end]
            for i in range(size):
                some = below[i] != _ZERO
                row[i] = top[i] / (below[i] if some else _ONE) if some else _ZERO
        elif kind == DIFFERENCE:
            more, less = past.sums[a, first:end], past.sums[b, first:end]
            for i in range(size):
                row[i] = more[i] - less[i]
        elif kind == RECENCY:
            known, most = past.last[a, first:end], np.float32(window)
            for i in range(size):
                lag = now[i] - known[i]
                row[i] = lag if lag < most else most
        elif kind == STAGE:
            if a == 0:
                _enter(plan.columns, column, b, past.last[:, first:end], now, entered)
            number = np.float32(a)
            for i in range(size):
                row[i] = _ONE if entered[i] == number else _ZERO
        elif kind == STREAK:
            _streak(past, clock, sets, plan.columns[column], now, row, first)
        elif kind == ATTRIBUTE:
            _plain(kind, a, b, attributes[a, first:end], weekday, now, row)
        elif kind == SUM:
            _plain(kind, a, b, past.sums[a, first:end], weekday, now, row)
        elif kind == HAPPENED:
            _plain(kind, a, b, past.last[a, first:end], weekday, now, row)
        else:
            _plain(kind, a, b, now, weekday, now, row)


@_jit
def _enter(plan: Wholes, column: int, stages: int, last: Any, now: Floats, entered: Floats) -> None:
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
