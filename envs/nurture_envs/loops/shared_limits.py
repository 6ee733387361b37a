"""What contacts of a population share, as loops: limits settled by lot, and who has colleagues."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.guardrails.reasons import Reason
from nurture_envs.jit import jit
from nurture_envs.worlds.draw_loops import draw

Wholes = NDArray[np.int64]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

UNLIMITED = -1
_CALLS, _SENDS = Reason.SELLER_CAPACITY.value, Reason.VOLUME_RAMP.value

_jit = jit()


@_jit
def choose(mask: Flags, stride: int, column: int, chosen: Wholes, wait: int, action: Wholes) -> int:
    """Write the actions that are done; says how many of the chosen are no actions at all.

    Args:
        mask: memory of what is legal, see `Shown`.
        stride: from one action's row to the next.
        column: of the first contact.
        chosen: catalogue indices, [n].
        wait: what replaces an illegal one.
        action: written, [n].
    """
    wrong, actions = 0, (mask.shape[0] + stride - 1) // stride
    for i in range(chosen.shape[0]):
        one = chosen[i]
        if one < 0 or one >= actions:
            wrong += 1
            continue
        action[i] = one if mask[one * stride + column + i] else wait
    return wrong


@_jit
def settle(
    keys: Wholes, bins: Wholes, stream: int, kinds: tuple[Flags, Flags], rooms: tuple[int, int],
    wait: int, action: Wholes, refused: NDArray[np.int32],
) -> None:  # fmt: skip
    """Refuse calls and sends beyond their rooms, by lot: `population.settle` in place.

    Args:
        keys: of the contacts, [n].
        bins: current, [n].
        stream: of the draw that decides who goes first.
        kinds: which actions are calls, and which are sends, [a] each.
        rooms: how many of each are possible; UNLIMITED where all are.
        wait: what a refused action becomes.
        action: done, [n], changed.
        refused: written, [n]: `Reason` bits, 0 where the action stands.
    """
    n = action.shape[0]
    for i in range(n):
        refused[i] = 0
    _limit(keys, bins, stream, kinds[0], rooms[0], np.int64(_CALLS), wait, action, refused)
    _limit(keys, bins, stream, kinds[1], rooms[1], np.int64(_SENDS), wait, action, refused)


@_jit
def _limit(
    keys: Wholes, bins: Wholes, stream: int, asks: Flags, room: int, reason: int, wait: int,
    action: Wholes, refused: NDArray[np.int32],
) -> None:  # fmt: skip
    """Of everybody who asks the `room` with the highest draws stand; of equals the earlier."""
    asking = 0
    for i in range(action.shape[0]):
        asking += asks[action[i]]
    if room == UNLIMITED or asking <= room:
        return
    who, luck = np.empty(asking, np.int64), np.empty(asking, np.float32)
    asking = 0
    for i in range(action.shape[0]):
        if asks[action[i]]:
            who[asking], luck[asking] = i, draw(keys[i], bins[i], stream, 0)
            asking += 1
    above = 0
    least: Any = np.float32(2.0)
    if room > 0:
        least = _at_rank(luck.copy(), asking - room)
        for k in range(asking):
            above += luck[k] > least
    equals = room - above if room > 0 else 0
    for k in range(asking):
        tied = luck[k] == least
        if luck[k] < least or (tied and equals == 0):
            refused[who[k]], action[who[k]] = reason, wait
        elif tied:
            equals -= 1


@_jit
def _at_rank(values: Floats, rank: int) -> Any:
    """The value that stands at `rank` when all are in ascending order; reorders `values`.

    Source: Hoare (1961), Algorithm 65: Find.
    """
    low, high = 0, values.shape[0] - 1
    while low < high:
        pivot, i, j = values[rank], low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < rank:
            low = i
        if rank < i:
            high = j
    return values[rank]


@_jit
def of_others(mark: Flags, account_size: int, count: Floats) -> None:
    """How many others of the same account are marked, [n]; accounts are neighbours."""
    n = mark.shape[0]
    for first in range(0, n, account_size):
        last, total = min(first + account_size, n), 0
        for i in range(first, last):
            total += mark[i]
        for i in range(first, last):
            count[i] = np.float32(total - mark[i])


def rooms_of(population: Any, volume: NDArray[np.float32], n: int) -> tuple[int, int]:
    """How many calls and sends a bin of n contacts has room for, after the latest volumes."""
    calls = sends = UNLIMITED
    if population.seller_capacity is not None:
        calls = int(population.seller_capacity * n / 1000.0)
    if population.volume_growth is not None:
        grown = population.volume_growth * float(volume.mean(dtype=np.float32))
        sends = int(max(grown, population.volume_floor * n / 1000.0))
    return calls, sends
