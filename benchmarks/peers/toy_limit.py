"""What compiled code reaches on the smallest contact world that still has all parts, two threads.

65,536 contacts of 60 float32 features, 12 actions, 5 linear response heads with an action
embedding of 16, 5 draws, and an update of every feature; no guardrails, no windows, no delays, no
restarts. Contacts lie in tiles of 64 so that a tile stays in the first-level cache.
"""

from __future__ import annotations

import json
import sys
import time

import numba
import numpy as np

D, A, E, R, TILE = 60, 12, 16, 5, 64
OUT = 24  # R + E outputs, filled up to whole blocks of 4


@numba.njit(fastmath=True, inline="always")
def four_outputs(state, weights, j, sums):
    """Add four columns of `weights` times the tile: 16 products for four loads and four stores."""
    for k in range(0, D, 4):
        a, b, c, d = (
            weights[k, j : j + 4],
            weights[k + 1, j : j + 4],
            weights[k + 2, j : j + 4],
            weights[k + 3, j : j + 4],
        )
        a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
        b0, b1, b2, b3 = b[0], b[1], b[2], b[3]
        c0, c1, c2, c3 = c[0], c[1], c[2], c[3]
        d0, d1, d2, d3 = d[0], d[1], d[2], d[3]
        for i in range(TILE):
            p, q, r, s = state[k, i], state[k + 1, i], state[k + 2, i], state[k + 3, i]
            sums[0, i] += a0 * p + b0 * q + c0 * r + d0 * s
            sums[1, i] += a1 * p + b1 * q + c1 * r + d1 * s
            sums[2, i] += a2 * p + b2 * q + c2 * r + d2 * s
            sums[3, i] += a3 * p + b3 * q + c3 * r + d3 * s


@numba.njit(parallel=True, fastmath=True)
def step(tiles, actions, seed, weights, table, mix, bias, keep, push, worth, earned):
    for tile in numba.prange(tiles.shape[0]):
        state = tiles[tile]
        sums = np.zeros((OUT, TILE), np.float32)
        for j in range(0, OUT, 4):
            four_outputs(state, weights, j, sums[j : j + 4])
        for j in range(E):
            for c in range(TILE):
                part = sums[R + j, c] * table[j, actions[tile * TILE + c]]
                for r in range(R):
                    sums[r, c] += mix[j, r] * part
        total = np.float32(0.0)
        for r in range(R):
            for c in range(TILE):
                bits = np.uint32((tile * TILE + c) * 2654435761 + seed * (r + 1))
                bits = np.uint32((bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D))
                bits = np.uint32((bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B))
                bits = np.uint32((bits ^ (bits >> np.uint32(16))) >> np.uint32(8))
                luck = np.float32(bits) * np.float32(2.0**-24)
                chance = np.float32(1.0) / (np.float32(1.0) + np.exp(-(sums[r, c] + bias[r])))
                answer = np.float32(1.0) if luck < chance else np.float32(0.0)
                sums[r, c] = answer
                total += answer * worth[r]
        for k in range(D):
            for c in range(TILE):
                value = state[k, c] * keep[k]
                for r in range(R):
                    value += push[r, k] * sums[r, c]
                state[k, c] = value
        earned[tile] = total


def rates(n: int, steps: int, runs: int) -> list[float]:
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    luck = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return (luck.standard_normal(shape) * 0.2).astype(np.float32)

    weights = np.hstack([drawn(D, R + E), np.zeros((D, OUT - R - E), np.float32)])
    fixed = (weights, drawn(E, A), drawn(E, R), np.array([-1, -3, -4, -6, -5], np.float32))
    fixed += ((0.9 + 0.1 * luck.random(D)).astype(np.float32), drawn(R, D))
    fixed += (np.array([1, 5, -5, -20, 50], np.float32),)
    actions = [luck.integers(0, A, n) for _ in range(3)]
    tiles, earned = drawn(n // TILE, D, TILE), np.zeros(n // TILE, np.float32)
    found = []
    for run in range(runs + 1):
        began = time.perf_counter()
        for k in range(steps):
            step(tiles, actions[k % 3], np.uint32(run * 7919 + k), *fixed, earned)
        found.append(n * steps / (time.perf_counter() - began))
    return found[1:]


if __name__ == "__main__":
    runs, steps = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({"compiled toy world (limit)": rates(65536, max(20, steps // 100), runs)}))
