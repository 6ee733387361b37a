"""The sums of `plain` by compiled loops: every decision is read once, for all estimators at once.

Importing this module needs numba. Loops hold no lock of the interpreter.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.contact_hash import GOLDEN, MIX_1, MIX_2
from nurture_rl.ope.log_checks import TOLERANCE

Array = NDArray[Any]

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def _bucket(contact: Any, shift: Any) -> Any:
    x = contact + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return (x ^ (x >> np.uint64(31))) >> shift


@_jit
def _widen(bounds: Array, which: int, number: float) -> None:
    if number < bounds[which, 0]:
        bounds[which, 0] = number
    if number > bounds[which, 1]:
        bounds[which, 1] = number


@_jit
def add_decision(sums: Array, bounds: Array, grid: Any, weight: float, row: Any) -> int:
    """One decision into its bucket's sums; says whether it is a matched outcome."""
    clips, taus, bite = grid
    reward, q_logged, value = row
    gain, correction = weight * reward, weight * (reward - q_logged)
    score = value + correction
    sums[0] += 1.0
    sums[1] += weight
    sums[2] += weight * weight
    sums[3] += gain
    sums[4] += gain * gain
    sums[5] += value
    sums[6] += correction
    sums[7] += score * score
    at = 8
    for k in range(clips.size):
        sums[at + k] += (weight if weight < clips[k] else clips[k]) * reward
    at += clips.size
    for k in range(taus.size):
        sums[at + k] += correction if weight <= taus[k] else 0.0
    at += taus.size
    for k in range(bite.size):
        sums[at + k] += correction / (1.0 + weight * weight * bite[k])
    if weight > 0.0:
        _widen(bounds, 0, weight)
    if reward != 0.0:
        _widen(bounds, 1, reward)
    _widen(bounds, 2, gain)
    _widen(bounds, 3, score)
    return weight > 0.0 and reward > 0.0


@_jit
def add_rows(sums: Array, bounds: Array, grid: Any, shift: Any, contact: Array, rows: Any) -> int:
    """Add decisions to the sums in place; returns how many are matched outcomes.

    Args:
        sums: [B, columns].
        bounds: [4, 2].
        grid: clips, taus and 1 / lams.
        shift: that makes a hash a bucket.
        contact: 64-bit numbers, [n].
        rows: taken, propensity, reward, q_logged and value, each [n].
    """
    taken, propensity, reward, q_logged, value = rows
    matched = 0
    for i in range(contact.shape[0]):
        own = sums[_bucket(contact[i], shift)]
        weight = taken[i] / propensity[i]
        matched += add_decision(own, bounds, grid, weight, (reward[i], q_logged[i], value[i]))
    return matched


@_jit
def predict(rewards: Array, features: Array, weights: Array, fold: Array) -> None:
    """Expected reward of every action, by the model of each row's fold, into `rewards`, [n, a].

    Args:
        rewards: filled, [n, a].
        features: [n, d].
        weights: of [1, features] by fold, [K, 1 + d, a].
        fold: [n].
    """
    for i in range(features.shape[0]):
        own = weights[fold[i]]
        for a in range(rewards.shape[1]):
            rewards[i, a] = own[0, a]
        for j in range(features.shape[1]):
            x = np.float64(features[i, j])
            for a in range(rewards.shape[1]):
                rewards[i, a] += x * own[1 + j, a]


@_jit
def add_choices(
    sums: Array, bounds: Array, grid: Any, shift: Any, contact: Array, choices: Any
) -> tuple[int, int]:
    """Add decisions whose target and model are known for every action, in place.

    Args:
        sums: [B, columns].
        bounds: [4, 2].
        grid: clips, taus and 1 / lams.
        shift: that makes a hash a bucket.
        contact: 64-bit numbers, [n].
        choices: target [n, a], q [n, a], action, propensity and reward, each [n].

    Returns:
        Matched outcomes, and the first row whose target is no distribution or -1.
    """
    target, q, action, propensity, reward = choices
    matched, wrong = 0, -1
    for i in range(contact.shape[0]):
        own = sums[_bucket(contact[i], shift)]
        chance, modelled = target[i], q[i]
        value, total, negative = 0.0, 0.0, False
        for a in range(chance.shape[0]):
            value += chance[a] * modelled[a]
            total += chance[a]
            negative |= not chance[a] >= 0.0
        if wrong < 0 and (negative or not abs(total - 1.0) <= TOLERANCE):
            wrong = i
        row = (reward[i], modelled[action[i]], value)
        matched += add_decision(own, bounds, grid, chance[action[i]] / propensity[i], row)
    return matched, wrong
