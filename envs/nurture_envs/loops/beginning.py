"""Contacts at their first bin: where old episodes ended, or all of them at a reset."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.loops.deciding import decide
from nurture_envs.loops.loop_records import (
    KEY,
    WIDTH,
    Flags,
    Floats,
    LoopJourney,
    Model,
    Scratch,
    Shown,
    State,
    Wholes,
)
from nurture_envs.loops.past import NEVER

_jit = jit()
_inlined = jit(inline="always")  # compiled as part of those that call it, not once more by itself


@_jit
def copy(source: NDArray[Any], to: NDArray[Any]) -> None:
    for i in range(len(source)):  # a slice's assignment takes ten times as long
        to[i] = source[i]


@_jit
def remember(state: State, rows: Wholes, first: int, size: int, scratch: Scratch) -> None:
    """Take over the latents after a bin; `rows` of scratch by latent, -1 where one stays."""
    floats, wholes = state.floats.shape[0], state.wholes.shape[0]
    for row in range(floats):
        if rows[row] >= 0:
            at = rows[row] * WIDTH
            copy(scratch.floats[at : at + size], state.floats[row, first:])
    for row in range(wholes):
        if rows[floats + row] >= 0:
            at = rows[floats + row] * WIDTH
            copy(scratch.wholes[at : at + size], state.wholes[row, first:])
    for row in range(state.flags.shape[0]):
        if rows[floats + wholes + row] >= 0:
            at = rows[floats + wholes + row] * WIDTH
            copy(scratch.flags[at : at + size], state.flags[row, first:])


@_jit
def _begin(rows: Wholes, journey: LoopJourney, count: int, scratch: Scratch) -> None:
    """Work out `scratch.fresh` from `count` beginnings in rows of scratch."""
    f, q, b, fresh = scratch.floats, scratch.wholes, scratch.flags, scratch.fresh
    attributes, bins_known, amounts, last, anchor = rows[0], rows[1], rows[2], rows[3], rows[4]
    zone, consent, available, latents = rows[5], rows[6], rows[7], rows[8:]
    copy(q[KEY * WIDTH : KEY * WIDTH + count], fresh.keys)
    for i in range(count):
        fresh.bins[i], fresh.paused[i] = 0, 0
        fresh.anchor[i] = q[anchor * WIDTH + i]
        fresh.zone[i], fresh.consent[i] = b[zone * WIDTH + i], b[consent * WIDTH + i]
        fresh.available[i] = b[available * WIDTH + i]
        fresh.past.since[i] = -np.float32(bins_known)
    for row in range(fresh.attributes.shape[0]):
        at = (attributes + row) * WIDTH
        copy(f[at : at + count], fresh.attributes[row])
    remember(fresh, latents, np.int64(0), count, scratch)
    past, sets, kept = fresh.past, journey.sets, journey.sets.kept.shape[0]
    for ago in range(1, bins_known + 1):
        for row in range(kept):
            at = (amounts + (ago - 1) * kept + row) * WIDTH
            copy(f[at : at + count], past.ring[bins_known - ago, row])
    for s in range(sets.windows.shape[0]):
        total = past.sums[s]
        for i in range(count):
            total[i] = np.float32(0.0)
        for ago in range(1, min(bins_known, sets.windows[s]) + 1):
            for at in range(sets.sum_from[s], sets.sum_from[s + 1]):
                row = past.ring[bins_known - ago, sets.sum_rows[at]]
                for i in range(count):
                    total[i] += row[i]
    for time in range(past.last.shape[0]):
        known = past.last[time]
        for i in range(count):
            known[i] = NEVER
        for member in range(sets.last_from[time], sets.last_from[time + 1]):
            at = (last + sets.last_channels[member]) * WIDTH
            for i in range(count):
                value = np.float32(q[at + i])
                known[i] = max(known[i], value)


@_jit
def _place(
    state: State, clock: int, rows: Wholes, count: int, bins_known: int, fresh: State
) -> None:
    """Put fresh contacts where `rows` says."""
    for i in range(count):
        at = rows[i]
        state.keys[at], state.bins[at], state.paused[at] = fresh.keys[i], 0, 0
        state.anchor[at], state.zone[at] = fresh.anchor[i], fresh.zone[i]
        state.consent[at], state.available[at] = fresh.consent[i], fresh.available[i]
        state.past.since[at] = fresh.past.since[i]
        for k in range(state.sends.shape[0]):
            state.sends[k, at] = -np.inf
    _scatter(fresh.attributes, state.attributes, rows, count)
    _scatter(fresh.floats, state.floats, rows, count)
    _scatter(fresh.wholes, state.wholes, rows, count)
    _scatter(fresh.flags, state.flags, rows, count)
    _scatter(fresh.past.sums, state.past.sums, rows, count)
    _scatter(fresh.past.last, state.past.last, rows, count)
    width = state.past.ring.shape[0]
    for ago in range(1, bins_known + 1):
        _scatter(
            fresh.past.ring[bins_known - ago], state.past.ring[(clock - ago) % width], rows, count
        )


@_jit
def _scatter(source: NDArray[Any], to: NDArray[Any], rows: Wholes, count: int) -> None:
    for row in range(source.shape[0]):
        one, target = source[row], to[row]
        for i in range(count):
            target[rows[i]] = one[i]


@_jit
def _show(source: NDArray[Any], to: NDArray[Any], stride: int, columns: int, rows: Wholes,
          count: int, shift: int) -> None:  # fmt: skip
    """Put fresh contacts' columns, WIDTH apart, into what all contacts are shown."""
    for column in range(columns):
        one = source[column * WIDTH : column * WIDTH + count]
        for i in range(count):
            to[column * stride + shift + rows[i]] = one[i]


@_inlined
def restart(
    begins: Wholes, state: State, clock: int, journey: LoopJourney, rows: Wholes, count: int,
    scratch: Scratch, fresh_shown: Shown, shown: Shown, column: int,
) -> None:  # fmt: skip
    """Put beginnings that stand in rows `begins` of scratch at `rows`, and show their decision."""
    known, none = begins[1], np.int64(0)
    _begin(begins, journey, count, scratch)
    _place(state, clock, rows, count, known, scratch.fresh)
    decide(scratch.fresh, known, journey, none, count, scratch, fresh_shown, none)
    features, actions = journey.plan.columns.shape[0], journey.actions.sends.shape[0]
    _show(fresh_shown.features, shown.features, shown.stride, features, rows, count, column)
    _show(fresh_shown.mask, shown.mask, shown.stride, actions, rows, count, column)
    _show(fresh_shown.reasons, shown.reasons, shown.stride, actions, rows, count, column)


@_jit
def begin_all(
    run: Any, model: Model, state: State, journey: LoopJourney, n: int, scratch: Scratch,
    fresh_shown: Shown, shown: Shown, column: int,
) -> None:  # fmt: skip
    """Begin n contacts whose keys stand in `state`."""
    clock = np.int64(0)
    for first in range(0, n, WIDTH):
        count = min(WIDTH, n - first)
        for i in range(count):
            scratch.ended[i] = first + i
            scratch.wholes[KEY * WIDTH + i] = state.keys[first + i]
        play_beginnings(run, model, count, scratch)
        restart(model.rows, state, clock, journey, scratch.ended, count, scratch, fresh_shown,
                shown, column)  # fmt: skip


@_jit
def play_beginnings(run: Any, model: Model, count: int, scratch: Scratch) -> None:
    """Let a world's loop write `count` beginnings of the keys in scratch."""
    run(scratch.floats, scratch.wholes, scratch.flags, scratch.doubles, model.floats,
        model.doubles, model.float_table, model.whole_table, count)  # fmt: skip


@_jit
def begin_at(
    floats: Floats, wholes: Wholes, flags: Flags, begins: Wholes, state: State, clock: int,
    journey: LoopJourney, rows: Wholes, scratch: Scratch, fresh_shown: Shown, shown: Shown,
    column: int,
) -> None:  # fmt: skip
    """New episodes at `rows`, [k], and what they are shown.

    Args:
        floats, wholes, flags: beginnings, [.., k], in the order of `begins`.
        begins: rows of the parts, see `block`.
        state: of all contacts, changed.
        clock: bins closed before.
        journey: what is declared.
        rows: where the beginnings go.
        scratch, fresh_shown: room.
        shown: written.
        column: of the first contact of `state`.
    """
    for first in range(0, rows.shape[0], WIDTH):
        count = min(WIDTH, rows.shape[0] - first)
        _take(floats, first, count, scratch.floats)
        _take(wholes, first, count, scratch.wholes)
        _take(flags, first, count, scratch.flags)
        for i in range(count):
            scratch.ended[i] = rows[first + i]
        restart(begins, state, clock, journey, scratch.ended, count, scratch, fresh_shown, shown,
                column)  # fmt: skip


@_jit
def _take(source: NDArray[Any], first: int, count: int, to: NDArray[Any]) -> None:
    for row in range(source.shape[0]):
        copy(source[row, first : first + count], to[row * WIDTH :])
