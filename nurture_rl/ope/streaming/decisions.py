"""From a batch of checked decisions to the sums of `policy_sums`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.checks.exploration import ROUNDING as CERTAIN
from nurture_rl.ope.checks.feasibility import least_second_moment
from nurture_rl.ope.checks.grouped import unseen_inverse
from nurture_rl.ope.contact_hash import HashArray, bucket_of, mixed
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.streaming.accumulate import sound_moments
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.streaming.policy_sums import (
    ALONE,
    LOGGED,
    REGISTERS,
    LogSums,
    OutcomeSums,
    PolicySums,
    no_sums,
)
from nurture_rl.ope.streaming.reward_model import RewardModel
from nurture_rl.ope.streaming.rows import Rows
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.ties import alike


@dataclass(frozen=True, slots=True, eq=False)
class Summing:
    """What stays the same from batch to batch."""

    config: MomentsConfig
    model: RewardModel
    rare: float  # size of a reward from which on it counts as a rare outcome; infinite: none does
    pairs: Mapping[str, tuple[str, ...]]  # by policy, what it is compared with


def batch_sums(
    log: EvaluationLog,
    contact: HashArray,
    targets: Mapping[str, TargetOnLog],
    summing: Summing,
) -> LogSums:
    """Sum a batch up.

    Args:
        log: checked decisions, each an episode.
        contact: 64-bit number of each decision's contact, [n].
        targets: every policy of `summing.pairs` on these decisions.
        summing: configuration, model and pairs.
    """
    config, n, a = summing.config, log.n_rows, log.n_actions
    b = config.n_buckets
    bucket = bucket_of(contact, b)
    q = summing.model.rewards(log.features, bucket)
    rare = np.flatnonzero(np.abs(log.reward) > summing.rare)
    empty = no_sums(config, a, {})
    free = log.mask.sum(axis=1) > 1
    uncertain = log.propensity < 1.0 - CERTAIN
    batch = _Batch(log, contact, bucket, q, rare)
    return replace(
        empty,
        rows=np.bincount(bucket, minlength=b).astype(np.float64),
        reward=np.bincount(bucket, weights=log.reward, minlength=b),
        taken=_by_action(bucket, log.action, None, (b, a)),
        chance=np.array([free.sum(), (free & uncertain).sum()], dtype=np.float64),
        least=np.array([log.propensity.min(initial=np.inf), log.reward.min(initial=np.inf)]),
        most=np.array([log.reward.max(initial=-np.inf)]),
        squares=np.array(
            [log.reward @ log.reward, log.reward[rare] @ log.reward[rare], float(rare.size)]
        ),
        amounts=_cubes(log.reward[rare]),
        contacts=_registers(contact) if n else empty.contacts,
        own=_weighted_outcomes(batch, np.ones(n), 0, b),
        policies={name: _policy_sums(batch, targets, name, summing) for name in summing.pairs},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What every policy reads of a batch."""

    log: EvaluationLog
    contact: HashArray
    bucket: IntArray  # [n]
    q: FloatArray  # modelled reward of every action, [n, a]
    rare: IntArray  # rows of rare outcomes


def _policy_sums(
    batch: _Batch, targets: Mapping[str, TargetOnLog], name: str, summing: Summing
) -> PolicySums:
    log, target, b = batch.log, targets[name], summing.config.n_buckets
    logged = log.logged_probabilities
    shown = target.probabilities
    if logged is not None:
        shown = np.where(logged > 0.0, shown, 0.0)
    taken = shown[np.arange(log.n_rows), log.action]
    rows = Rows(
        contact=batch.contact,
        taken=target.taken,
        propensity=log.propensity,
        reward=log.reward,
        q_logged=batch.q[np.arange(log.n_rows), log.action],
        value=np.einsum("na,na->n", target.probabilities, batch.q),
    )
    weight = target.taken / log.propensity
    least = least_second_moment(log.propensity, target.taken)
    return PolicySums(
        moments=sound_moments(rows, summing.config),
        mix=target.probabilities.sum(axis=0),
        mass=np.stack([np.bincount(batch.bucket, column, b) for column in shown.T], axis=1),
        seen=_by_action(batch.bucket, log.action, taken / log.propensity, (b, log.n_actions)),
        unseen=_unseen(log, shown),
        second=np.array([target.second_moment.sum(), least.sum()]),
        unsupported=np.asarray(
            0.0 if target.unsupported is None else float(target.unsupported.sum())
        ),
        outcomes={
            other: _outcomes(batch, weight, targets, (name, other), b)
            for other in (ALONE, *summing.pairs[name])
        },
    )


def _outcomes(
    batch: _Batch,
    weight: FloatArray,
    targets: Mapping[str, TargetOnLog],
    pair: tuple[str, str],
    n_buckets: int,
) -> OutcomeSums:
    """What rare outcomes weigh for a policy, or for its difference to another."""
    log, (name, other) = batch.log, pair
    apart = 0
    if other == LOGGED:
        apart = int((~_like_the_log(log, targets[name])).sum())
        weight = weight - 1.0
    elif other != ALONE:
        first, second = targets[name], targets[other]
        apart = int((~alike(first.probabilities, second.probabilities).all(axis=1)).sum())
        weight = weight - second.taken / log.propensity
    return _weighted_outcomes(batch, weight, apart, n_buckets)


def _weighted_outcomes(
    batch: _Batch, weight: FloatArray, apart: int, n_buckets: int
) -> OutcomeSums:
    worth = weight[batch.rare] * batch.log.reward[batch.rare]
    bucket = batch.bucket[batch.rare]
    return OutcomeSums(
        gained=np.bincount(bucket, np.maximum(worth, 0.0), n_buckets),
        lost=np.bincount(bucket, np.maximum(-worth, 0.0), n_buckets),
        matched=np.asarray(float((worth != 0.0).sum())),
        weights=_cubes(weight),
        apart=np.asarray(float(apart)),
    )


def _like_the_log(log: EvaluationLog, target: TargetOnLog) -> BoolArray:
    if log.logged_probabilities is None:
        return alike(target.taken, log.propensity)
    same = alike(target.probabilities, log.logged_probabilities)
    return np.asarray(same.all(axis=1))


def _unseen(log: EvaluationLog, shown: FloatArray) -> FloatArray:
    """Sums of the second moments that rare actions' weights have where none turned up, [a]."""
    rows = np.arange(log.n_rows, dtype=np.int64)
    if log.logged_probabilities is None:
        # What was taken leaves the others a chance this small at most: few rows are asked.
        rows = np.flatnonzero(log.propensity > 1.0 - _RARE)
    return np.array(
        [
            unseen_inverse(log, action, rows) @ shown[rows, action] ** 2
            for action in range(log.n_actions)
        ]
    )


_RARE = 0.05 + 1e-9  # as `checks.grouped.RARE`


def _cubes(values: FloatArray) -> FloatArray:
    """Sums of v and v^3 over v > 0, then of -v and -v^3 over v < 0, [4]."""
    up, down = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    return np.array([up.sum(), (up * up) @ up, down.sum(), (down * down) @ down])


def _by_action(
    bucket: IntArray, action: IntArray, weights: FloatArray | None, shape: tuple[int, int]
) -> FloatArray:
    """Rows, or their weights, by bucket and action, [B, a]."""
    b, a = shape
    return np.bincount(bucket * a + action, weights, b * a).reshape(b, a).astype(np.float64)


def _registers(contact: HashArray) -> FloatArray:
    """Most leading zeros + 1 of the hashed contacts of each register, [R].

    Source: Flajolet, Fusy, Gandouet & Meunier (2007), HyperLogLog.
    """
    hashed = mixed(contact)
    register = (hashed & np.uint64(REGISTERS - 1)).astype(np.int64)
    rest = (hashed >> np.uint64(REGISTERS.bit_length() - 1)).astype(np.float64)
    width = 64 - (REGISTERS.bit_length() - 1)
    rank = np.where(rest > 0.0, width - np.floor(np.log2(np.maximum(rest, 1.0))), width + 1.0)
    found: NDArray[np.float64] = np.zeros(REGISTERS)
    np.maximum.at(found, register, rank)
    return found


def contacts_counted(registers: FloatArray) -> float:
    """Contacts behind the registers, within some 1.6 % (one standard error).

    Source: Flajolet et al. (2007), with linear counting where many registers are empty.
    """
    m = registers.size
    raw = 0.7213 / (1.0 + 1.079 / m) * m * m / float(np.exp2(-registers).sum())
    empty = int((registers == 0.0).sum())
    return float(m * np.log(m / empty)) if raw <= 2.5 * m and empty else raw
