"""The sums of `batch_sums` by compiled loops: every row is read once, for all of them at once.

Importing this module needs numba. Loops hold no lock of the interpreter.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.checks.exploration import ROUNDING as CERTAIN
from nurture_rl.ope.checks.grouped import RARE, ROUNDING
from nurture_rl.ope.contact_hash import GOLDEN, MIX_1, MIX_2
from nurture_rl.ope.ties import STORED

Array = NDArray[Any]

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
# Numbers of a policy that are not by bucket, in `add_policy`.
SECOND, LEAST, UNSUPPORTED, LARGEST, APART, WEIGHTS, EXCESS = 0, 1, 2, 3, 4, 5, 9
N_NUMBERS = 13


@_jit
def _mixed(number: Any) -> Any:
    x = number + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return x ^ (x >> np.uint64(31))


@_jit
def place_contacts(contact: Array, shift: Any, bucket: Array, registers: Array) -> None:
    """Bucket of each contact, and the registers of their count, in place.

    Args:
        contact: 64-bit numbers, [n].
        shift: that makes a hash a bucket.
        bucket: filled, [n].
        registers: most leading zeros + 1 by register, a power of two of them, [R].
    """
    mask, bits = np.uint64(registers.size - 1), 0
    while (1 << bits) < registers.size:
        bits += 1
    last = np.uint64(0)
    for i in range(contact.size):
        hashed = _mixed(contact[i])
        bucket[i] = np.int64(hashed >> shift)
        if i > 0 and hashed == last:
            continue
        last = hashed
        rest, rank = hashed >> np.uint64(bits), 65 - bits
        while rest > np.uint64(0):
            rest >>= np.uint64(1)
            rank -= 1
        place = np.int64(hashed & mask)
        if rank > registers[place]:
            registers[place] = rank


@_jit
def add_log(tables: Any, numbers: Array, columns: Any, free: Array, rare: float) -> None:
    """Add decisions to the sums of the log, in place.

    Args:
        tables: rows [B], rewards [B] and rows by logged action [B, a].
        numbers: free and of them uncertain rows; least propensity and reward; most reward; rewards
            squared, those of rare outcomes, and their number, [8].
        columns: bucket, action, propensity and reward, [n] each.
        free: whether a row had a choice, [n].
        rare: size of a reward from which on it is a rare outcome.
    """
    rows, rewards, taken = tables
    bucket, action, propensity, reward = columns
    for i in range(bucket.size):
        b, p, r = bucket[i], propensity[i], reward[i]
        rows[b] += 1.0
        rewards[b] += r
        taken[b, action[i]] += 1.0
        if free[i]:
            numbers[0] += 1.0
            if p < 1.0 - CERTAIN:
                numbers[1] += 1.0
        if p < numbers[2]:
            numbers[2] = p
        if r < numbers[3]:
            numbers[3] = r
        if r > numbers[4]:
            numbers[4] = r
        numbers[5] += r * r
        if abs(r) > rare:
            numbers[6] += r * r
            numbers[7] += 1.0


@_jit
def _add_cubes(numbers: Array, at: int, weight: float) -> None:
    if weight > 0.0:
        numbers[at] += weight
        numbers[at + 1] += weight * weight * weight
    else:
        numbers[at + 2] -= weight
        numbers[at + 3] -= weight * weight * weight


@_jit
def _add_estimators(sums: Array, grid: Any, weight: float, row: Any) -> None:
    """One decision into the estimators' sums of its bucket, [columns]."""
    clips, taus, bite = grid
    reward, q_logged, value = row
    correction = weight * (reward - q_logged)
    sums[0] += 1.0
    sums[1] += weight
    sums[2] += weight * weight
    sums[3] += weight * reward
    sums[4] += value
    sums[5] += correction
    at = 6
    for k in range(clips.size):
        sums[at + k] += (weight if weight < clips[k] else clips[k]) * reward
    at += clips.size
    for k in range(taus.size):
        sums[at + k] += correction if weight <= taus[k] else 0.0
    at += taus.size
    for k in range(bite.size):
        sums[at + k] += correction / (1.0 + weight * weight * bite[k])


@_jit
def add_policy(tables: Any, numbers: Array, grid: Any, columns: Any, choices: Any) -> None:
    """Add decisions to the sums of a target policy, in place.

    Args:
        tables: estimators' sums [B, columns]; mass and weights [B, a] each; mix and unseen [a]
            each.
        numbers: see the names above, [13].
        grid: clips, taus and 1 / lams.
        columns: bucket, action, propensity and reward, [n] each.
        choices: target, modelled rewards, legal actions and logged probabilities, [n, a] each;
            the last [0, a] where they are not known.
    """
    sums, mass, seen, mix, unseen = tables
    bucket, action, propensity, reward = columns
    target, q, mask, logged = choices
    known = logged.shape[0] > 0
    for i in range(bucket.size):
        b, k, p = bucket[i], action[i], propensity[i]
        value, moment, outside, same = 0.0, 0.0, 0.0, True
        for a in range(target.shape[1]):
            chance = target[i, a]
            value += chance * q[i, a]
            mix[a] += chance
            left = 1.0 - p
            if known:
                left = logged[i, a]
                if abs(chance - left) > STORED * max(chance, left):
                    same = False
                if left > 0.0:
                    moment += chance * chance / left
                else:
                    outside += chance
                    continue
            mass[b, a] += chance
            if a != k and left > ROUNDING and left < RARE and mask[i, a]:
                unseen[a] += chance * chance / left
        taken = target[i, k]
        weight = taken / p
        if not known:
            moment = weight * weight
            same = abs(taken - p) <= STORED * max(taken, p)
            seen[b, k] += weight
        elif logged[i, k] > 0.0:
            seen[b, k] += weight
        least = taken * taken / p
        if 1.0 - p > ROUNDING:
            least += (1.0 - taken) * (1.0 - taken) / (1.0 - p)
        numbers[SECOND] += moment
        numbers[LEAST] += least
        numbers[UNSUPPORTED] += outside
        if weight > numbers[LARGEST]:
            numbers[LARGEST] = weight
        numbers[APART] += 0.0 if same else 1.0
        _add_cubes(numbers, WEIGHTS, weight)
        _add_cubes(numbers, EXCESS, weight - 1.0)
        _add_estimators(sums[b], grid, weight, (reward[i], q[i, k], value))


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
