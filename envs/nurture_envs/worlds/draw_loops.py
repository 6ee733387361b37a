"""`worlds.draws` as loops, equal to it bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_envs.jit import jit

Array = NDArray[Any]

TILE = 1024
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_NEXT = np.uint64((1_000_003 * 0x9E3779B97F4A7C15) % 2**64)
_LOW = np.uint64((1 << 24) - 1)
_STEP = np.float32(2.0**-24)

_jit = jit()


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
def draw(key: Any, bin_: Any, stream: Any, index: Any) -> Any:
    """One of the uniforms of (key, bin, stream)."""
    bits = _pair(_base(key, bin_, stream), index // 2)
    chosen = bits >> np.uint64(40) if index % 2 == 0 else bits & _LOW
    return np.float32(np.int64(chosen)) * _STEP


@_jit
def next_key(key: Any) -> Any:
    """`draws.next_episode` of one key."""
    return np.int64(_mixed(np.uint64(key) + _NEXT))


@_jit
def begin_draws(q: Array, key: int, step: int, fixed: int, stream: int, to: int, size: int) -> None:
    """Hash keys and steps of a tile for `draw_pair`.

    Args:
        q: scratch; the places below are where rows of it begin.
        key: of the keys.
        step: of the steps; below 0: every step is `fixed`.
        fixed: see there.
        stream: of the draws.
        to: where the hashes go.
        size: contacts.
    """
    keys, hashes = q[key : key + size], q[to : to + size]
    if step < 0:
        for i in range(size):
            hashes[i] = np.int64(_base(keys[i], fixed, stream))
    else:
        steps = q[step : step + size]
        for i in range(size):
            hashes[i] = np.int64(_base(keys[i], steps[i], stream))


@_jit
def draw_pair(q: Array, base: int, pair: int, f: Array, high: int, low: int, size: int) -> None:
    """Two uniforms of every contact of a tile, from one hash, into rows of `f`."""
    hashes, first, second = q[base : base + size], f[high : high + size], f[low : low + size]
    for i in range(size):
        bits = _pair(np.uint64(hashes[i]), pair)
        first[i] = np.float32(np.int64(bits >> np.uint64(40))) * _STEP
        second[i] = np.float32(np.int64(bits & _LOW)) * _STEP
