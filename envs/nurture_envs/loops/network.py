"""A learned world's answers as loops: contacts grouped by member, networks, and the heads in order.

Columns are played in lanes of a fixed count, whose products are added in one order, so that a
contact's outcome does not depend on the contacts beside it. What a contact's numbers are read from
are two tables that `networks.py` lays out: every float, and a header of sizes and places.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit
from nurture_envs.loops.loop_records import ACTION, BINS, KEY, WIDTH
from nurture_envs.loops.maths import exp, sigmoid
from nurture_envs.loops.signature import SIGNATURE
from nurture_envs.worlds.draw_loops import begin_draws, draw, draw_pair

Floats = NDArray[np.float32]
Wholes = NDArray[np.int64]

GROUP = 32  # columns; every member's contacts fill whole groups
START, WHO, MEMBER, BIN = -1, 11, 12, 13  # step, and streams of luck
_GRID = np.float32(1024.0)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_NEVER = np.float32(-1.0e30)  # logits below mean: impossible

_jit = jit()


class Sizes(NamedTuple):
    """The header of a learned world's answers; places are of the table of floats."""

    features: int  # rounded up to fours, as all widths that products add over
    actions: int
    members: int
    trunk: int  # units of the first layer
    deeper: int  # layers after it, all `trunk` wide
    outputs: int  # H + V, rounded up to fours
    rank: int
    counts: int
    values: int
    repeating: int
    reach: int  # 1: contacts are sometimes out of reach
    quantiles: int
    slots: int
    reads: int  # row of scratch of the first feature
    read: int  # features
    amounts: int  # row of the first channel
    channels: int
    available: int  # row of flags
    latent: int  # row of whole numbers: the member
    room: int  # row of floats from which on there is room
    whole_room: int
    mean: int  # place of [features]
    over: int
    into: int  # [members, trunk + outputs + rank, features]
    table: int  # [members, trunk + outputs + rank, actions]
    layers: int  # [deeper, members, trunk, trunk + 1], the bias last
    last: int  # [members, outputs, trunk + rank]
    links: int  # [links]: weight of an earlier head
    link_count: int
    again: int  # [repeating]: logarithm of the chance of one more
    most: int  # [repeating]
    of_values: int  # [values, 6]: mean, scale, low, high, listed, logarithmic
    residuals: int  # [values, quantiles]
    prices: int  # [actions, values, quantiles]
    reachable: int  # [slots]
    # Places of the table of whole numbers behind the header:
    count_channels: int
    value_channels: int
    sources: int  # [values]: count head of each
    repeats: int  # [repeating]: head of each
    link_heads: int  # [links]: head that looks
    link_seen: int  # [links]: head that is looked at
    need_heads: int
    need_seen: int
    need_count: int


HEADER = len(Sizes._fields)


@_jit
def _sizes(t: Wholes) -> Sizes:
    return Sizes(
        t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9], t[10], t[11], t[12], t[13],
        t[14], t[15], t[16], t[17], t[18], t[19], t[20], t[21], t[22], t[23], t[24], t[25], t[26],
        t[27], t[28], t[29], t[30], t[31], t[32], t[33], t[34], t[35], t[36], t[37], t[38], t[39],
        t[40], t[41], t[42], t[43],
    )  # fmt: skip


@jit(fastmath={"contract"})
def _product(
    table: Floats, weights: int, rows: int, inner: int, step: int, x: Floats, out: Floats,
    stride: int, column: int,
) -> None:  # fmt: skip
    """out += weights @ x for one group of columns.

    Args:
        table: holds the weights, [rows, inner] from `weights` on, `step` from row to row.
        rows, inner: multiples of four.
        x, out: rows `stride` apart; their columns from `column` on.
    """
    for r in range(0, rows, 4):
        w0 = weights + r * step
        w1, w2, w3 = w0 + step, w0 + 2 * step, w0 + 3 * step
        o0 = out[r * stride + column : r * stride + column + GROUP]
        o1 = out[(r + 1) * stride + column : (r + 1) * stride + column + GROUP]
        o2 = out[(r + 2) * stride + column : (r + 2) * stride + column + GROUP]
        o3 = out[(r + 3) * stride + column : (r + 3) * stride + column + GROUP]
        for k in range(0, inner, 4):
            x0 = x[k * stride + column : k * stride + column + GROUP]
            x1 = x[(k + 1) * stride + column : (k + 1) * stride + column + GROUP]
            x2 = x[(k + 2) * stride + column : (k + 2) * stride + column + GROUP]
            x3 = x[(k + 3) * stride + column : (k + 3) * stride + column + GROUP]
            a0, a1, a2, a3 = table[w0 + k], table[w0 + k + 1], table[w0 + k + 2], table[w0 + k + 3]
            b0, b1, b2, b3 = table[w1 + k], table[w1 + k + 1], table[w1 + k + 2], table[w1 + k + 3]
            c0, c1, c2, c3 = table[w2 + k], table[w2 + k + 1], table[w2 + k + 2], table[w2 + k + 3]
            d0, d1, d2, d3 = table[w3 + k], table[w3 + k + 1], table[w3 + k + 2], table[w3 + k + 3]
            for i in range(GROUP):
                p, q, u, v = x0[i], x1[i], x2[i], x3[i]
                o0[i] += a0 * p + a1 * q + a2 * u + a3 * v
                o1[i] += b0 * p + b1 * q + b2 * u + b3 * v
                o2[i] += c0 * p + c1 * q + c2 * u + c3 * v
                o3[i] += d0 * p + d1 * q + d2 * u + d3 * v


@_jit
def _grouped(member: Wholes, size: int, members: int, source: Wholes, bounds: Wholes) -> int:
    """Group contacts by member, each group filled up; says how many columns there are.

    Args:
        member: of each contact.
        size: contacts.
        members: there are.
        source: written: the contact of each column, 0 where one fills up.
        bounds: written, [members + 1]: where each member's columns begin and end.
    """
    bounds[:] = 0
    for i in range(size):
        bounds[member[i] + 1] += 1
    for k in range(members):
        bounds[k + 1] = bounds[k] + -(-bounds[k + 1] // GROUP) * GROUP
    total = bounds[members]
    for j in range(total):
        source[j] = -1
    at = bounds[:-1].copy()
    for i in range(size):
        source[at[member[i]]] = i
        at[member[i]] += 1
    return total


@_jit
def _network(
    s: Sizes, table: Floats, k: int, action: Wholes, x: Floats, across: Floats, hidden: Floats,
    stride: int, column: int,
) -> None:  # fmt: skip
    """Member k's outputs for one group: logits and value means stand in the middle of `across`."""
    units = s.trunk + s.outputs + s.rank
    for u in range(units):
        row = across[u * stride + column : u * stride + column + GROUP]
        moved = table[s.table + (k * units + u) * s.actions :]
        if u < s.trunk + s.outputs:
            for i in range(GROUP):
                row[i] = moved[action[column + i]]
        else:
            for i in range(GROUP):
                row[i] = _ZERO
    weights = s.into + k * units * s.features
    _product(table, weights, units, s.features, s.features, x, across, stride, column)
    for u in range(s.trunk + s.outputs, units):
        row = across[u * stride + column : u * stride + column + GROUP]
        moved = table[s.table + (k * units + u) * s.actions :]
        for i in range(GROUP):
            row[i] *= moved[action[column + i]]
    _relu(across, s.trunk, stride, column)
    inner = across
    for layer in range(s.deeper):
        weights = s.layers + (layer * s.members + k) * s.trunk * (s.trunk + 4)
        target = hidden[(layer % 2) * s.trunk * stride :]
        for u in range(s.trunk):
            bias = table[weights + u * (s.trunk + 4) + s.trunk]
            row = target[u * stride + column : u * stride + column + GROUP]
            for i in range(GROUP):
                row[i] = bias
        _product(table, weights, s.trunk, s.trunk, s.trunk + 4, inner, target, stride, column)
        _relu(target, s.trunk, stride, column)
        inner = target
    width = s.trunk + s.rank
    weights, out = s.last + k * s.outputs * width, across[s.trunk * stride :]
    crossed = across[(s.trunk + s.outputs) * stride :]
    _product(table, weights, s.outputs, s.trunk, width, inner, out, stride, column)
    _product(table, weights + s.trunk, s.outputs, s.rank, width, crossed, out, stride, column)


@_jit
def _relu(rows: Floats, count: int, stride: int, column: int) -> None:
    for u in range(count):
        row = rows[u * stride + column : u * stride + column + GROUP]
        for i in range(GROUP):
            row[i] = row[i] if row[i] > _ZERO else _ZERO


@_jit
def _walk(
    s: Sizes, table: Floats, wholes: Wholes, logits: Floats, luck: Floats, happened: Floats,
    stride: int, total: int,
) -> None:  # fmt: skip
    """Play the heads in order, each seeing what happened before it; see `ResponseNetworks.walk`."""
    link, need = 0, 0
    for head in range(s.counts):
        logit = logits[head * stride : head * stride + total]
        event = happened[head * stride : head * stride + total]
        drawn = luck[head * stride : head * stride + total]
        while link < s.link_count and wholes[s.link_heads + link] == head:
            seen = happened[wholes[s.link_seen + link] * stride :]
            weight = table[s.links + link]
            for i in range(total):
                logit[i] += weight * seen[i]
            link += 1
        for i in range(total):
            chance = sigmoid(logit[i])
            event[i] = chance if logit[i] > _NEVER else _ZERO
        while need < s.need_count and wholes[s.need_heads + need] == head:
            seen = happened[wholes[s.need_seen + need] * stride :]
            for i in range(total):
                event[i] *= seen[i]
            need += 1
        for i in range(total):
            event[i] = _ONE if drawn[i] < event[i] else _ZERO


@_jit
def _value(s: Sizes, table: Floats, v: int, mean: float, luck: float, action: int) -> float:
    """One value of a bin's events; see `AmountTables.values`."""
    own = s.of_values + 6 * v
    if table[own + 4] != _ZERO:
        rank = min(np.int64(luck * np.float32(s.quantiles)), s.quantiles - 1)
        value = table[s.prices + (action * s.values + v) * s.quantiles + rank]
    else:
        place = luck * np.float32(s.quantiles - 1)
        below = np.int64(place)
        low = table[s.residuals + v * s.quantiles + below]
        high = table[s.residuals + v * s.quantiles + min(below + 1, s.quantiles - 1)]
        value = mean + low + (place - np.float32(below)) * (high - low)
        value = table[own] + table[own + 1] * value
        if table[own + 5] != _ZERO:
            value = exp(np.float32(value))
        value = min(max(value, table[own + 2]), table[own + 3])
    return np.rint(np.float32(value) * _GRID) / _GRID


@_jit
def _answer(
    f: Floats, q: Wholes, b: Any, d: Any, cf: Floats, cd: Any, table: Floats, wholes: Wholes,
    size: int,
) -> None:  # fmt: skip
    """`LearnedWorld.respond` for a tile."""
    s = _sizes(wholes)
    most = WIDTH + GROUP * s.members
    room, whole = f[s.room * WIDTH :], q[s.whole_room * WIDTH :]
    units, draws = s.trunk + s.outputs + s.rank, s.counts + s.repeating + s.values + s.reach
    x, across = room[: s.features * most], room[s.features * most :]
    hidden = across[units * most :]
    happened = hidden[2 * s.trunk * most :]
    luck = happened[s.counts * most :]
    source, action, bounds = whole[:most], whole[most : 2 * most], np.empty(s.members + 1, np.int64)
    member = q[s.latent * WIDTH : (s.latent + 1) * WIDTH]
    total = _grouped(member, size, s.members, source, bounds)
    keys, bins, hashes = 2 * most, 3 * most, 4 * most
    for j in range(total):
        i = max(source[j], 0)
        action[j] = q[ACTION * WIDTH + i]
        whole[keys + j], whole[bins + j] = q[KEY * WIDTH + i], q[BINS * WIDTH + i]
    for k in range(s.read):
        row, known = x[k * most : k * most + total], f[(s.reads + k) * WIDTH :]
        mean, over = table[s.mean + k], table[s.over + k]
        for j in range(total):
            value = (known[max(source[j], 0)] - mean) * over
            row[j] = min(max(value, np.float32(-6.0)), np.float32(6.0))
    for row in range(s.read * most, s.features * most):
        x[row] = _ZERO
    for k in range(s.members):
        for column in range(bounds[k], bounds[k + 1], GROUP):
            _network(s, table, k, action, x, across, hidden, most, column)
    begin_draws(whole, keys, bins, 0, BIN, hashes, total)
    for pair in range((draws + 1) // 2):
        draw_pair(whole, hashes, pair, luck, 2 * pair * most, (2 * pair + 1) * most, total)
    out = across[s.trunk * most :]
    _walk(s, table, wholes, out, luck, happened, most, total)
    _write(s, table, wholes, out, luck, happened, whole, most, total, f, b)


@_jit
def _write(
    s: Sizes, table: Floats, wholes: Wholes, out: Floats, luck: Floats, happened: Floats,
    whole: Wholes, most: int, total: int, f: Floats, b: Any,
) -> None:  # fmt: skip
    """Amounts and who can be reached, from columns back to contacts."""
    source, action, bins = whole, whole[most:], whole[3 * most :]
    for channel in range(s.channels):
        row = f[(s.amounts + channel) * WIDTH : (s.amounts + channel + 1) * WIDTH]
        for i in range(WIDTH):
            row[i] = _ZERO
    for v in range(s.values):
        row = f[(s.amounts + wholes[s.value_channels + v]) * WIDTH :]
        event, means = happened[wholes[s.sources + v] * most :], out[(s.counts + v) * most :]
        lucky = luck[(s.counts + s.repeating + v) * most :]
        for j in range(total):
            if source[j] >= 0 and event[j] != _ZERO:
                row[source[j]] = _value(s, table, v, means[j], lucky[j], action[j])
    for r in range(s.repeating):
        event, lucky = happened[wholes[s.repeats + r] * most :], luck[(s.counts + r) * most :]
        again, limit = table[s.again + r], table[s.most + r] - _ONE
        for j in range(total):
            if event[j] != _ZERO:
                event[j] = _ONE + min(np.floor(np.log1p(-lucky[j]) / again), limit)
    for head in range(s.counts):
        row = f[(s.amounts + wholes[s.count_channels + head]) * WIDTH :]
        event = happened[head * most :]
        for j in range(total):
            if source[j] >= 0:
                row[source[j]] = event[j]
    lucky = luck[(s.counts + s.repeating + s.values) * most :]
    for j in range(total):
        if source[j] >= 0:
            slot = (bins[j] + 1) % s.slots
            reached = s.reach == 0 or lucky[j] < table[s.reachable + slot]
            b[s.available * WIDTH + source[j]] = reached


@_jit
def _start(
    f: Floats, q: Wholes, b: Any, d: Any, cf: Floats, cd: Any, table: Floats, wholes: Wholes,
    size: int,
) -> None:  # fmt: skip
    """`LearnedWorld.start` for a tile.

    `wholes` begins with contacts, floats and whole numbers of each, members, and the rows of
    scratch that the floats, the whole numbers, the three flags and the member go to; then the
    whole numbers of every contact: three flags, the anchor, and last times.
    """
    contacts, floats, whole, members = wholes[0], wholes[1], wholes[2], wholes[3]
    to_floats, to_whole, to_flags, to_member = wholes[4], wholes[5], wholes[6], wholes[7]
    for i in range(size):
        key = q[KEY * WIDTH + i]
        who = np.int64(np.float64(draw(key, START, WHO, 0)) * contacts)
        q[to_member * WIDTH + i] = np.int64(np.float64(draw(key, START, MEMBER, 0)) * members)
        mine = table[who * floats : (who + 1) * floats]
        for row in range(floats):
            f[(to_floats + row) * WIDTH + i] = mine[row]
        own = wholes[8 + who * whole : 8 + (who + 1) * whole]
        for flag in range(3):
            b[(to_flags + flag) * WIDTH + i] = own[flag] != 0
        for row in range(whole - 3):
            q[(to_whole + row) * WIDTH + i] = own[3 + row]


@cache
def answer() -> Any:
    """The loop of `LearnedWorld.respond`, compiled when first asked for."""
    return numba.cfunc(SIGNATURE, nopython=True, cache=True, error_model="numpy")(_answer.py_func)


@cache
def start() -> Any:
    """The loop of `LearnedWorld.start`, compiled when first asked for."""
    return numba.cfunc(SIGNATURE, nopython=True, cache=True, error_model="numpy")(_start.py_func)
