"""From a batch of checked decisions to the sums of `policy_sums`: compiled where numba is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from nurture_envs.compiling import against_numba, warn_of_slow_path
from nurture_rl.ope.contact_hash import HashArray, bucket_of, shift_of
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.streaming.moments import MomentsConfig, no_moments
from nurture_rl.ope.streaming.plain_policies import (
    cubes,
    plain_log_sums,
    plain_policy_sums,
    registers_of,
)
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
from nurture_rl.ope.ties import alike

COMPILED = find_spec("numba") is not None


@dataclass(frozen=True, slots=True, eq=False)
class Summing:
    """What stays the same from batch to batch."""

    config: MomentsConfig
    model: RewardModel
    rare: float  # size of a reward from which on it counts as a rare outcome
    pairs: Mapping[str, tuple[str, ...]]  # by policy, what it is compared with
    compiled: bool = COMPILED  # by compiled loops; the sums are the same up to rounding


def batch_sums(
    log: EvaluationLog,
    contact: HashArray,
    targets: Mapping[str, FloatArray],
    summing: Summing,
) -> LogSums:
    """Sum a batch up.

    Args:
        log: checked decisions, each an episode.
        contact: 64-bit number of each decision's contact, [n].
        targets: probabilities of every policy of `summing.pairs` on these decisions, [n, a] each.
        summing: configuration, model and pairs.
    """
    if not COMPILED:
        warn_of_slow_path("decisions are summed up by numpy", against_numba())
    b = summing.config.n_buckets
    bucket, registers = placed(contact, b, summing.compiled)
    q = summing.model.rewards(log.features, bucket, summing.compiled)
    rare = np.flatnonzero(np.abs(log.reward) > summing.rare)
    make = _compiled_log_sums if summing.compiled else plain_log_sums
    batch = _Batch(log, bucket, q, rare, targets)
    ones = np.array([log.n_rows, log.n_rows, 0.0, 0.0])
    return replace(
        make(log, bucket, summing.config, summing.rare),
        amounts=cubes(log.reward[rare]),
        contacts=registers,
        own=_worth(batch, np.ones(rare.size), ones, b),
        policies={name: _policy_sums(batch, name, summing) for name in summing.pairs},
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """What every policy reads of a batch."""

    log: EvaluationLog
    bucket: IntArray  # [n]
    q: FloatArray  # modelled reward of every action, [n, a]
    rare: IntArray  # rows of rare outcomes
    targets: Mapping[str, FloatArray]

    def taken(self, name: str, rows: IntArray) -> FloatArray:
        """Target probabilities of the logged actions in some rows, [m]."""
        return self.targets[name][rows, self.log.action[rows]]


def _policy_sums(batch: _Batch, name: str, summing: Summing) -> PolicySums:
    log, target, config = batch.log, batch.targets[name], summing.config
    if summing.compiled:
        found = _compiled_policy_sums(batch, target, config)
    else:
        found = plain_policy_sums(log, batch.bucket, target, batch.q, config)
    weight = batch.taken(name, batch.rare) / log.propensity[batch.rare]
    outcomes = {}
    for other in (ALONE, *summing.pairs[name]):
        if other in (ALONE, LOGGED):
            summed = found.outcomes[other]
            excess = weight - (1.0 if other == LOGGED else 0.0)
            worth = _worth(batch, excess, summed.weights, config.n_buckets)
            outcomes[other] = replace(worth, apart=summed.apart)
        else:
            outcomes[other] = _less_other(batch, (name, other), weight, config.n_buckets)
    return replace(found, outcomes=outcomes)


def _less_other(
    batch: _Batch, pair: tuple[str, str], weight: FloatArray, n_buckets: int
) -> OutcomeSums:
    """Outcomes of the difference of two target policies; `weight` is the first's at rare ones."""
    log, (name, other) = batch.log, pair
    every = np.arange(log.n_rows)
    excess = (batch.taken(name, every) - batch.taken(other, every)) / log.propensity
    second = batch.taken(other, batch.rare) / log.propensity[batch.rare]
    found = _worth(batch, weight - second, cubes(excess), n_buckets)
    same = alike(batch.targets[name], batch.targets[other]).all(axis=1)
    return replace(found, apart=np.asarray(float((~same).sum())))


def _worth(batch: _Batch, weight: FloatArray, weights: FloatArray, n_buckets: int) -> OutcomeSums:
    """What rare outcomes are worth, by weights at each of them, [m], and sums over all, [4]."""
    worth, bucket = weight * batch.log.reward[batch.rare], batch.bucket[batch.rare]
    return OutcomeSums(
        gained=np.bincount(bucket, np.maximum(worth, 0.0), n_buckets).astype(np.float64),
        lost=np.bincount(bucket, np.maximum(-worth, 0.0), n_buckets).astype(np.float64),
        matched=np.asarray(float((worth != 0.0).sum())),
        weights=weights,
        apart=np.asarray(0.0),
    )


def placed(contact: HashArray, n_buckets: int, compiled: bool) -> tuple[IntArray, FloatArray]:
    """Bucket of each contact, [n], and the registers of their count."""
    if not compiled:
        return bucket_of(contact, n_buckets), registers_of(contact)
    from nurture_rl.ope.streaming.compiled_policies import place_contacts

    bucket, registers = np.empty(contact.size, dtype=np.int64), np.zeros(REGISTERS)
    place_contacts(contact, shift_of(n_buckets), bucket, registers)
    return bucket, registers


def _compiled_log_sums(
    log: EvaluationLog, bucket: IntArray, config: MomentsConfig, rare: float
) -> LogSums:
    from nurture_rl.ope.streaming.compiled_policies import add_log

    found = no_sums(config, log.n_actions, {})
    numbers = np.array([0.0, 0.0, np.inf, np.inf, -np.inf, 0.0, 0.0, 0.0])
    columns = (bucket, log.action, log.propensity, log.reward)
    add_log((found.rows, found.reward, found.taken), numbers, columns, _free(log), rare)
    return replace(
        found, chance=numbers[:2], least=numbers[2:4], most=numbers[4:5], squares=numbers[5:]
    )


def _free(log: EvaluationLog) -> BoolArray:
    """Whether a row had a choice, [n]."""
    if log.mask.strides[0] == 0:  # one mask for all rows
        return np.broadcast_to(log.mask[:1].sum() > 1, log.n_rows)
    return np.asarray(log.mask.sum(axis=1) > 1)


def _compiled_policy_sums(batch: _Batch, target: FloatArray, config: MomentsConfig) -> PolicySums:
    from nurture_rl.ope.streaming import compiled_policies as loops

    log, b, a = batch.log, config.n_buckets, batch.log.n_actions
    moments, numbers = no_moments(config), np.zeros(loops.N_NUMBERS)
    mass, seen, mix, unseen = np.zeros((b, a)), np.zeros((b, a)), np.zeros(a), np.zeros(a)
    logged = log.logged_probabilities
    columns = (batch.bucket, log.action, log.propensity, log.reward)
    choices = (target, batch.q, log.mask, np.empty((0, a)) if logged is None else logged)
    tables = (moments.sums, mass, seen, mix, unseen)
    grid = np.array(config.clips), np.array(config.taus), 1.0 / np.array(config.lams)
    loops.add_policy(tables, numbers, grid, columns, choices)
    nothing = np.zeros(b), np.zeros(b), np.asarray(0.0)
    alone = numbers[loops.WEIGHTS : loops.WEIGHTS + 4]
    excess = numbers[loops.EXCESS : loops.EXCESS + 4]
    return PolicySums(
        moments=replace(moments, largest=np.asarray(numbers[loops.LARGEST])),
        mix=mix,
        mass=mass,
        seen=seen,
        unseen=unseen,
        second=numbers[[loops.SECOND, loops.LEAST]],
        unsupported=np.asarray(numbers[loops.UNSUPPORTED]),
        outcomes={
            ALONE: OutcomeSums(*nothing, alone, np.asarray(0.0)),
            LOGGED: OutcomeSums(*nothing, excess, np.asarray(numbers[loops.APART])),
        },
    )


def contacts_counted(registers: FloatArray) -> float:
    """Contacts behind the registers, within some 1.6 % (one standard error).

    Source: Flajolet et al. (2007), with linear counting where many registers are empty.
    """
    m = registers.size
    raw = 0.7213 / (1.0 + 1.079 / m) * m * m / float(np.exp2(-registers).sum())
    empty = int((registers == 0.0).sum())
    return float(m * np.log(m / empty)) if raw <= 2.5 * m and empty else raw
