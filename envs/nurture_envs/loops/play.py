"""One bin of many contacts, tile by tile: answers, what is known of them, decision, restarts.

A tile goes through the whole bin while its rows lie in cache. Only the shared limits of a
population look at all contacts at once; they are settled before (`shared_limits.settle`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.loops.beginning import copy, play_beginnings, remember, restart
from nurture_envs.loops.deciding import decide
from nurture_envs.loops.loop_records import (
    ACTION,
    ANCHOR,
    BINS,
    DAY_US,
    HOUR_US,
    KEY,
    LANES,
    SENDS,
    SHARE,
    TALKS,
    WIDTH,
    Final,
    Flags,
    Floats,
    LoopJourney,
    Model,
    Result,
    Scratch,
    Shown,
    State,
    Wholes,
)
from nurture_envs.loops.past import close_bin
from nurture_envs.worlds.draw_loops import next_key

_jit = jit()


@_jit
def _ask(
    state: State, share: float, action: Wholes, first: int, size: int, scratch: Scratch
) -> None:
    """Fill the rows of scratch that a world's answers are worked out from."""
    f, q, b = scratch.floats, scratch.wholes, scratch.flags
    for i in range(size):
        at = first + i
        q[KEY * WIDTH + i], q[ACTION * WIDTH + i] = state.keys[at], action[at]
        q[BINS * WIDTH + i], q[ANCHOR * WIDTH + i] = state.bins[at], state.anchor[at]
        f[SENDS * WIDTH + i] = state.colleague_sends[at]
        f[TALKS * WIDTH + i] = state.colleague_talks[at]
        f[SHARE * WIDTH + i] = share
    for row in range(state.floats.shape[0]):
        copy(state.floats[row, first : first + size], f[(SHARE + 1 + row) * WIDTH :])
    for row in range(state.wholes.shape[0]):
        copy(state.wholes[row, first : first + size], q[(ANCHOR + 1 + row) * WIDTH :])
    for row in range(state.flags.shape[0]):
        copy(state.flags[row, first : first + size], b[row * WIDTH :])
    _fill(f, SHARE + 1 + state.floats.shape[0], size)
    _fill(q, ANCHOR + 1 + state.wholes.shape[0], size)
    _fill(b, state.flags.shape[0], size)


@_jit
def _fill(rows: NDArray[Any], count: int, size: int) -> None:
    """Repeat a tile's last contact up to whole lanes: look-ups must find what they look for."""
    end = min(WIDTH, (size + LANES - 1) // LANES * LANES)
    for row in range(count):
        for i in range(size, end):
            rows[row * WIDTH + i] = rows[row * WIDTH + size - 1]


@jit(fastmath={"reassoc", "nsz"})
def _total(row: Floats) -> Any:
    """The sum of a row of counts or of values on their grid: exact in any order."""
    total = np.float32(0.0)
    for i in range(len(row)):
        total += row[i]
    return total


@_jit
def _count(
    state: State, journey: LoopJourney, amounts: Floats, first: int, size: int, result: Result
) -> None:
    """Effects of the actions, rewards, ends and totals of a tile; `amounts` [c, tile]."""
    actions, worth = journey.actions, journey.worth
    chosen = result.action[first : first + size]
    for m in range(actions.made.shape[0]):
        row, effect = amounts[actions.made[m]], actions.effects[m]
        for i in range(size):
            row[i] += effect[chosen[i]]
    earned = np.empty(size, np.float32)
    ended, talked = result.terminated[first : first + size], result.talked[first : first + size]
    for i in range(size):
        result.sent[first + i] = actions.sends[chosen[i]]
        ended[i], talked[i] = actions.leaves[chosen[i]], False
        earned[i] = -worth.prices[chosen[i]]
    for k in range(worth.channels.shape[0]):
        row, weight = amounts[worth.channels[k]], worth.weights[k]
        for i in range(size):
            earned[i] += weight * row[i]
    for k in range(worth.terminals.shape[0]):
        row = amounts[worth.terminals[k]]
        for i in range(size):
            ended[i] |= row[i] > 0
    for k in range(worth.talks.shape[0]):
        row = amounts[worth.talks[k]]
        for i in range(size):
            talked[i] |= row[i] > 0
    for i in range(size):
        result.reward[first + i] = earned[i]
        over = state.bins[first + i] + 1 >= journey.horizon
        result.truncated[first + i] = over & (not ended[i])
    for channel in range(amounts.shape[0]):
        result.totals[channel] += _total(amounts[channel, :size])


@_jit
def _keep_send(
    sends: NDArray[np.float64], kept_from: Wholes, kept: int, at: int, hours: float
) -> None:
    """Put a contact's send first among the latest of all, or of a group."""
    first = kept_from[kept]
    for k in range(kept_from[kept + 1] - 1, first, -1):
        sends[k, at] = sends[k - 1, at]
    sends[first, at] = hours


@_jit
def _act(state: State, journey: LoopJourney, first: int, size: int, result: Result) -> None:
    """Sends and pauses of a tile enter its memory, and its next bin begins."""
    actions, slots, sends = journey.actions, journey.offsets.shape[0], state.sends
    for i in range(size):
        at = first + i
        action, bins = result.action[at], state.bins[at]
        if actions.sends[action]:
            whole = np.floor(np.float64(bins) / slots)
            offset = journey.offsets[bins - np.int64(whole) * slots]
            now = np.float64(state.anchor[at]) + whole * journey.period + offset
            slot = actions.slots[action]
            moment = now if slot < 0 else np.floor(now / DAY_US) * DAY_US + slot
            _keep_send(sends, journey.rules.kept_from, np.int64(0), at, moment / HOUR_US)
            for group in range(actions.kept.shape[1]):
                kept = actions.kept[action, group]
                if kept > 0:
                    _keep_send(sends, journey.rules.kept_from, kept, at, moment / HOUR_US)
        if actions.pauses[action] > 0:
            state.paused[at] = bins + actions.pauses[action]
        state.bins[at] = bins + 1


@_jit
def keep_last(shown: Shown, column: int, rows: Wholes, count: int, final: Final) -> None:
    """Copy what contacts were shown at their end."""
    for i in range(count):
        at = column + rows[i]
        features, mask, reasons = final.features[at], final.mask[at], final.reasons[at]
        for k in range(features.shape[0]):
            features[k] = shown.features[k * shown.stride + at]
        for k in range(mask.shape[0]):
            mask[k] = shown.mask[k * shown.stride + at]
            reasons[k] = shown.reasons[k * shown.stride + at]


@_jit
def _read(before: Shown, column: int, columns: int, rows: Floats, size: int) -> None:
    """Copy what a tile was shown into rows of scratch."""
    for k in range(columns):
        at = k * before.stride + column
        copy(before.features[at : at + size], rows[k * WIDTH :])
    _fill(rows, columns, size)


@_jit
def _ended(result: Result, first: int, size: int, ended: Wholes) -> int:
    """Write which contacts' episodes are over; says how many are."""
    count = np.int64(0)
    for i in range(first, first + size):
        if result.terminated[i] | result.truncated[i]:
            ended[count] = i
            count += 1
    return count


@_jit
def play(
    answer: Any, answers: Model, start: Any, starts: Model, state: State, clock: int,
    journey: LoopJourney, n: int, share: float, scratch: Scratch, fresh_shown: Shown, before: Shown,
    shown: Shown, column: int, final: Final, autoreset: bool, result: Result,
) -> int:  # fmt: skip
    """Play a bin of n contacts whose actions stand in `result`; says how many episodes ended.

    Args:
        answer, answers: the world's answers.
        start, starts: the world's beginnings.
        state: the contacts, changed in place.
        clock: bins closed before.
        journey: what is declared.
        n: contacts.
        share: the sender's inbox share.
        scratch, fresh_shown: room.
        before: what the contacts were shown.
        shown: what they are shown next, written.
        column: of their first in `before`, `shown` and `final`.
        final: what those were shown whose episode ended, written where `autoreset`.
        autoreset: whether new episodes begin where old ones ended.
        result: what the bin brought, written.
    """
    rows, over = answers.rows, np.int64(0)  # no literals: callees would be compiled twice
    reads, amounts_at, available, latents = rows[0], rows[1], rows[2], rows[3:]
    channels = result.totals.shape[0]
    f = scratch.floats
    amounts = f[amounts_at * WIDTH : (amounts_at + channels) * WIDTH].reshape(channels, WIDTH)
    for first in range(0, n, WIDTH):
        size = min(WIDTH, n - first)
        _ask(state, share, result.action, first, size, scratch)
        if reads >= 0:
            _read(before, column + first, journey.plan.columns.shape[0], f[reads * WIDTH :], size)
        answer(f, scratch.wholes, scratch.flags, scratch.doubles, answers.floats,
               answers.doubles, answers.float_table, answers.whole_table, size)  # fmt: skip
        remember(state, latents, first, size, scratch)
        at = available * WIDTH
        copy(scratch.flags[at : at + size], state.available[first:])
        _count(state, journey, amounts, first, size, result)
        close_bin(state.past, clock, journey.sets, journey.late, amounts, state.keys, state.bins,
                  first, size, scratch.spare)  # fmt: skip
        _act(state, journey, first, size, result)
        decide(state, clock + 1, journey, first, size, scratch, shown, column + first)
        count = _ended(result, first, size, scratch.ended)
        over += count
        if autoreset and count > 0:
            keep_last(shown, column, scratch.ended, count, final)
            for i in range(count):
                scratch.wholes[KEY * WIDTH + i] = next_key(state.keys[scratch.ended[i]])
            play_beginnings(start, starts, count, scratch)
            restart(starts.rows, state, clock + 1, journey, scratch.ended, count, scratch,
                    fresh_shown, shown, column)  # fmt: skip
    return over


@_jit
def close(
    state: State, clock: int, journey: LoopJourney, amounts: Floats, available: Flags, n: int,
    scratch: Scratch, shown: Shown, column: int, result: Result, ended: Wholes,
) -> int:  # fmt: skip
    """Close a bin of n contacts who have answered; says how many episodes ended.

    Args:
        state: the contacts, changed in place.
        clock: bins closed before.
        journey: what is declared.
        amounts: the answers, [c, n]; the actions' own effects are added.
        available: who can be reached in the next bin, [n].
        n: contacts.
        scratch: room.
        shown: what the contacts are shown next, written.
        column: of their first in `shown`.
        result: the actions; what the bin brought is written.
        ended: whose episodes ended, written, [n].
    """
    channels, over, made = amounts.shape[0], np.int64(0), journey.actions.made
    tile = scratch.floats[: channels * WIDTH].reshape(channels, WIDTH)
    for first in range(0, n, WIDTH):
        size = min(WIDTH, n - first)
        for row in range(channels):
            copy(amounts[row, first : first + size], tile[row])
        copy(available[first : first + size], state.available[first:])
        _count(state, journey, tile, first, size, result)
        for m in range(made.shape[0]):
            copy(tile[made[m], :size], amounts[made[m], first:])
        close_bin(state.past, clock, journey.sets, journey.late, tile, state.keys, state.bins,
                  first, size, scratch.spare)  # fmt: skip
        _act(state, journey, first, size, result)
        decide(state, clock + 1, journey, first, size, scratch, shown, column + first)
        over += _ended(result, first, size, ended[over:])
    return over
