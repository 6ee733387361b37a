"""One bin of many contacts, tile by tile: answers, what is known of them, decision, restarts.

A tile goes through the whole bin while its rows lie in cache. Only the shared limits of a
population look at all contacts at once; they are settled before (`settle`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nurture_envs.loops.draws import next_key
from nurture_envs.loops.past import Late, Past, Sets, close_bin, features_of
from nurture_envs.loops.rules import Contacts, Tables, write_rules

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]
Flags = NDArray[np.bool_]

WIDTH = 512  # contacts of a tile, and of a row of scratch
LANES = 32  # contacts that loops of worlds take at a time
_HOUR_US, _DAY_US = 3.6e9, 8.64e10
_EVER = np.float32(500_000.0)  # bins; the lag of what never happened lies beyond it

# Rows of scratch that a world's loops are handed; its latents follow.
KEY, ACTION, BINS, ANCHOR = range(4)  # of whole numbers
SENDS, TALKS, SHARE = range(3)  # of floats

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


class State(NamedTuple):
    """n contacts at the start of a bin; see `SimulationState`."""

    keys: Wholes  # [n]
    bins: Wholes  # [n]
    anchor: Wholes  # [n] microseconds
    paused: Wholes  # [n] first bin after the pause
    zone: Flags  # [n]
    consent: Flags  # [n]
    available: Flags  # [n]
    sends: NDArray[np.float64]  # [k, n] local hours, newest first
    attributes: Floats  # [columns, n]
    floats: Floats  # [.., n] latents by type
    wholes: Wholes
    flags: Flags
    colleague_sends: Floats  # [n]
    colleague_talks: Floats  # [n]
    past: Past


class Actions(NamedTuple):
    """What each of a actions is."""

    wait: int
    sends: Flags  # [a]
    calls: Flags
    leaves: Flags
    pauses: Wholes  # bins of a long pause, else 0
    slots: NDArray[np.float64]  # microseconds after midnight; below 0: at once
    made: Wholes  # channels that actions make, [m]
    effects: Floats  # [m, a]


class Worth(NamedTuple):
    """What a bin earns, and which channels end or begin something."""

    channels: Wholes
    weights: Floats
    send_cost: float
    call_cost: float
    terminals: Wholes
    talks: Wholes


class Journey(NamedTuple):
    """Everything of a journey that loops read."""

    actions: Actions
    worth: Worth
    sets: Sets
    late: Late
    columns: Wholes  # see `features_of`
    rules: Tables
    standing: Wholes  # [.., 3]: fact (see `_facts`), last time, most bins since (-1: ever)
    intent: bool  # of everybody, where the journey asks for no signal
    offsets: NDArray[np.float64]  # microseconds from a period's start to each slot
    period: float  # microseconds
    horizon: int


class Model(NamedTuple):
    """A world's loops: a function of `emitting.SIGNATURE`, what it is handed, and its rows."""

    floats: Floats  # constants
    doubles: NDArray[np.float64]
    float_table: Floats
    whole_table: Wholes
    rows: Wholes  # see `Answers` and `Beginnings` in `binding`


class Shown(NamedTuple):
    """Memory of a decision: element i of row k at k * stride + i."""

    features: Floats
    mask: Flags
    reasons: NDArray[np.int16]
    stride: int


class Final(NamedTuple):
    """Last observations of episodes that ended, one row per contact; 0 where none did."""

    features: Floats  # [N, d]
    mask: Flags  # [N, a]
    reasons: NDArray[np.int16]  # [N, a]
    written: Flags  # [N]: rows that are not 0


class Result(NamedTuple):
    """What a bin brought, [n]."""

    action: Wholes
    refused: NDArray[np.int32]
    reward: NDArray[np.float64]
    terminated: Flags
    truncated: Flags
    sent: Flags
    talked: Flags
    totals: NDArray[np.float64]  # [c]: channel sums of all contacts


class Scratch(NamedTuple):
    """Room for a tile."""

    floats: Floats
    wholes: Wholes
    flags: Flags
    doubles: NDArray[np.float64]
    facts: Contacts
    weekday: Floats  # [WIDTH]
    spare: Floats  # [2, WIDTH]
    ended: Wholes  # [WIDTH]: contacts whose episode is over
    fresh: State  # contacts at their first bin, [.., WIDTH]


@_jit
def _facts(
    state: State, clock: int, journey: Journey, first: int, size: int, scratch: Scratch
) -> None:
    """What guardrails need to know of a tile, and its weekdays; see `Simulation.facts`."""
    facts, slots = scratch.facts, journey.offsets.shape[0]
    for i in range(size):
        at = first + i
        whole = np.floor(np.float64(state.bins[at]) / slots)
        slot = state.bins[at] - np.int64(whole) * slots
        now = np.float64(state.anchor[at]) + whole * journey.period + journey.offsets[slot]
        today = np.floor(now / _DAY_US)
        facts.now_hours[i] = now / _HOUR_US
        facts.midnight_hours[i] = today * 24.0
        facts.today[i] = np.int64(today)
        day = np.int64(today) + 3
        scratch.weekday[i] = np.float32(day - 7 * (day // 7))
    for i in range(size):
        at = first + i
        facts.consent[i] = state.consent[at]
        facts.available[i] = state.available[at]
        facts.zone_known[i] = state.zone[at]
        facts.paused[i] = state.bins[at] < state.paused[at]
        facts.opted_out[i], facts.hard_bounced[i] = 0, 0
        facts.conversation[i], facts.intent[i] = 0, journey.intent
    for row in range(journey.standing.shape[0]):
        kind, time, most = journey.standing[row]
        last = state.past.last[time, first : first + size]
        reach = _EVER if most < 0 else np.float32(most)
        target = facts.intent
        if kind == 0:
            target = facts.opted_out
        elif kind == 1:
            target = facts.hard_bounced
        elif kind == 2:
            target = facts.conversation
        for i in range(size):
            lag = np.float32(state.bins[first + i]) - last[i]
            target[i] |= np.uint8(lag <= reach)


@_jit
def _decide(
    state: State, clock: int, journey: Journey, first: int, size: int, scratch: Scratch,
    shown: Shown, column: int,
) -> None:  # fmt: skip
    """Write what a tile is shown, from `column` of `shown` on."""
    _facts(state, clock, journey, first, size, scratch)
    now, facts = scratch.spare[0, :size], scratch.facts
    for i in range(size):
        now[i] = np.float32(state.bins[first + i])
    features_of(
        state.past, clock, journey.sets, journey.columns, state.attributes, now,
        scratch.weekday[:size], first, shown.features[column:], shown.stride,
    )  # fmt: skip
    tile = Contacts(
        facts.consent[:size], facts.opted_out[:size], facts.hard_bounced[:size],
        facts.conversation[:size], facts.intent[:size], facts.paused[:size],
        facts.available[:size], facts.zone_known[:size], facts.now_hours[:size],
        facts.midnight_hours[:size], facts.today[:size],
    )  # fmt: skip
    sends = state.sends.reshape(-1)[first:]
    latest = (sends, state.sends.shape[1], state.sends.shape[0])
    mask, reasons = (shown.mask[column:], shown.stride), (shown.reasons[column:], shown.stride)
    write_rules(tile, latest, journey.rules, mask, reasons)


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
        _copy(state.floats[row, first : first + size], f[(SHARE + 1 + row) * WIDTH :])
    for row in range(state.wholes.shape[0]):
        _copy(state.wholes[row, first : first + size], q[(ANCHOR + 1 + row) * WIDTH :])
    for row in range(state.flags.shape[0]):
        _copy(state.flags[row, first : first + size], b[row * WIDTH :])


@_jit
def _copy(source: NDArray[Any], to: NDArray[Any]) -> None:
    for i in range(len(source)):  # a slice's assignment takes ten times as long
        to[i] = source[i]


@_jit
def _remember(state: State, rows: Wholes, first: int, size: int, scratch: Scratch) -> None:
    """Take over the latents after a bin; `rows` of scratch by latent, -1 where one stays."""
    floats, wholes = state.floats.shape[0], state.wholes.shape[0]
    for row in range(floats):
        if rows[row] >= 0:
            at = rows[row] * WIDTH
            _copy(scratch.floats[at : at + size], state.floats[row, first:])
    for row in range(wholes):
        if rows[floats + row] >= 0:
            at = rows[floats + row] * WIDTH
            _copy(scratch.wholes[at : at + size], state.wholes[row, first:])
    for row in range(state.flags.shape[0]):
        if rows[floats + wholes + row] >= 0:
            at = rows[floats + wholes + row] * WIDTH
            _copy(scratch.flags[at : at + size], state.flags[row, first:])


@_jit
def _count(
    state: State, journey: Journey, amounts: Floats, first: int, size: int, result: Result
) -> None:
    """Effects of the actions, rewards, ends and totals of a tile; `amounts` [c, tile]."""
    actions, worth = journey.actions, journey.worth
    chosen = result.action[first : first + size]
    for m in range(actions.made.shape[0]):
        row, effect = amounts[actions.made[m]], actions.effects[m]
        for i in range(size):
            row[i] += effect[chosen[i]]
    send, call = np.float32(worth.send_cost), np.float32(worth.call_cost)
    earned = np.empty(size, np.float32)
    ended, talked = result.terminated[first : first + size], result.talked[first : first + size]
    for i in range(size):
        sends, calls = actions.sends[chosen[i]], actions.calls[chosen[i]]
        result.sent[first + i] = sends
        ended[i], talked[i] = actions.leaves[chosen[i]], False
        earned[i] = (-send if sends else np.float32(0.0)) - (call if calls else np.float32(0.0))
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
        total, row = np.float32(0.0), amounts[channel]
        for i in range(size):
            total += row[i]
        result.totals[channel] += total


@_jit
def _act(state: State, journey: Journey, first: int, size: int, result: Result) -> None:
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
            moment = now if slot < 0 else np.floor(now / _DAY_US) * _DAY_US + slot
            for k in range(sends.shape[0] - 1, 0, -1):
                sends[k, at] = sends[k - 1, at]
            sends[0, at] = moment / _HOUR_US
        if actions.pauses[action] > 0:
            state.paused[at] = bins + actions.pauses[action]
        state.bins[at] = bins + 1


@_jit
def _begin(run: Any, model: Model, clock: int, journey: Journey, count: int, scratch: Scratch) -> Any:
    """Play `count` beginnings of the keys in scratch into `scratch.fresh`."""
    f, q, b, fresh, rows = (
        scratch.floats, scratch.wholes, scratch.flags, scratch.fresh, model.rows
    )  # fmt: skip
    run(f, q, b, scratch.doubles, model.floats, model.doubles, model.float_table,
        model.whole_table, count)  # fmt: skip
    attributes, bins_known, amounts, last, anchor = rows[0], rows[1], rows[2], rows[3], rows[4]
    zone, consent, available, latents = rows[5], rows[6], rows[7], rows[8:]
    _copy(q[KEY * WIDTH : KEY * WIDTH + count], fresh.keys)
    for i in range(count):
        fresh.bins[i], fresh.paused[i] = 0, 0
        fresh.anchor[i] = q[anchor * WIDTH + i]
        fresh.zone[i], fresh.consent[i] = b[zone * WIDTH + i], b[consent * WIDTH + i]
        fresh.available[i] = b[available * WIDTH + i]
        fresh.past.since[i] = -np.float32(bins_known)
    for row in range(fresh.attributes.shape[0]):
        at = (attributes + row) * WIDTH
        _copy(f[at : at + count], fresh.attributes[row])
    _remember(fresh, latents, 0, count, scratch)
    past, sets, kept = fresh.past, journey.sets, journey.sets.kept.shape[0]
    for ago in range(1, bins_known + 1):
        for row in range(kept):
            at = (amounts + (ago - 1) * kept + row) * WIDTH
            _copy(f[at : at + count], past.ring[bins_known - ago, row])
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
        for member in range(sets.last_from[time], sets.last_from[time + 1]):
            at = (last + sets.last_channels[member]) * WIDTH
            for i in range(count):
                value = np.float32(q[at + i])
                if member == sets.last_from[time] or value > known[i]:
                    known[i] = value


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


@_jit
def _keep_last(shown: Shown, column: int, rows: Wholes, count: int, final: Final) -> None:
    """Copy what contacts were shown at their end."""
    for i in range(count):
        at = column + rows[i]
        features, mask, reasons = final.features[at], final.mask[at], final.reasons[at]
        for k in range(features.shape[0]):
            features[k] = shown.features[k * shown.stride + at]
        for k in range(mask.shape[0]):
            mask[k] = shown.mask[k * shown.stride + at]
            reasons[k] = shown.reasons[k * shown.stride + at]
        final.written[at] = True


@_jit
def _forget_last(final: Final, first: int, size: int) -> None:
    """Set rows to 0 that an earlier bin wrote."""
    for at in range(first, first + size):
        if final.written[at]:
            final.features[at, :] = 0.0
            final.mask[at, :] = False
            final.reasons[at, :] = 0
            final.written[at] = False


@_jit
def _restart(
    run: Any, model: Model, state: State, clock: int, journey: Journey, rows: Wholes, count: int,
    scratch: Scratch, fresh_shown: Shown, shown: Shown, column: int,
) -> None:  # fmt: skip
    """New episodes of the keys in scratch at `rows`, and what they are shown."""
    known = model.rows[1]
    _begin(run, model, known, journey, count, scratch)
    _place(state, clock, rows, count, known, scratch.fresh)
    _decide(scratch.fresh, known, journey, 0, count, scratch, fresh_shown, 0)
    features, actions = journey.columns.shape[0], journey.actions.sends.shape[0]
    _show(fresh_shown.features, shown.features, shown.stride, features, rows, count, column)
    _show(fresh_shown.mask, shown.mask, shown.stride, actions, rows, count, column)
    _show(fresh_shown.reasons, shown.reasons, shown.stride, actions, rows, count, column)


@_jit
def begin_all(
    run: Any, model: Model, state: State, journey: Journey, n: int, scratch: Scratch,
    fresh_shown: Shown, shown: Shown, column: int,
) -> None:  # fmt: skip
    """Begin n contacts whose keys stand in `state`."""
    for first in range(0, n, WIDTH):
        count = min(WIDTH, n - first)
        for i in range(count):
            scratch.ended[i] = first + i
            scratch.wholes[KEY * WIDTH + i] = state.keys[first + i]
        _restart(run, model, state, 0, journey, scratch.ended, count, scratch, fresh_shown,
                 shown, column)  # fmt: skip


@_jit
def play(
    answer: Any, answers: Model, start: Any, starts: Model, state: State, clock: int,
    journey: Journey, n: int, share: float, scratch: Scratch, fresh_shown: Shown, before: Shown,
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
    rows, over = answers.rows, 0
    reads, amounts_at, available, latents = rows[0], rows[1], rows[2], rows[3:]
    channels = result.totals.shape[0]
    f = scratch.floats
    amounts = f[amounts_at * WIDTH : (amounts_at + channels) * WIDTH].reshape(channels, WIDTH)
    for first in range(0, n, WIDTH):
        size = min(WIDTH, n - first)
        _ask(state, share, result.action, first, size, scratch)
        if reads >= 0:
            for k in range(journey.columns.shape[0]):
                at = k * before.stride + column + first
                _copy(before.features[at : at + size], f[(reads + k) * WIDTH :])
        answer(f, scratch.wholes, scratch.flags, scratch.doubles, answers.floats,
               answers.doubles, answers.float_table, answers.whole_table, size)  # fmt: skip
        _remember(state, latents, first, size, scratch)
        at = available * WIDTH
        _copy(scratch.flags[at : at + size], state.available[first:])
        _count(state, journey, amounts, first, size, result)
        close_bin(state.past, clock, journey.sets, journey.late, amounts, state.keys, state.bins,
                  first, size, scratch.spare)  # fmt: skip
        _act(state, journey, first, size, result)
        _decide(state, clock + 1, journey, first, size, scratch, shown, column + first)
        count = 0
        for i in range(first, first + size):
            if result.terminated[i] | result.truncated[i]:
                scratch.ended[count] = i
                count += 1
        over += count
        if autoreset:
            _forget_last(final, column + first, size)
            if count > 0:
                _keep_last(shown, column, scratch.ended, count, final)
                for i in range(count):
                    key = next_key(state.keys[scratch.ended[i]])
                    scratch.wholes[KEY * WIDTH + i] = key
                _restart(start, starts, state, clock + 1, journey, scratch.ended, count, scratch,
                         fresh_shown, shown, column)  # fmt: skip
    return over
