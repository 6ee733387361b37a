"""The sums of `batch_sums` by numpy alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np

from nurture_rl.ope.checks.exploration import ROUNDING as CERTAIN
from nurture_rl.ope.checks.feasibility import least_second_moment
from nurture_rl.ope.checks.grouped import unseen_inverse
from nurture_rl.ope.contact_hash import HashArray, mixed
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig
from nurture_rl.ope.streaming.policy_sums import (
    ALONE,
    LOGGED,
    REGISTERS,
    LogSums,
    OutcomeSums,
    PolicySums,
    no_sums,
)
from nurture_rl.ope.targets import TargetOnLog, on_logged_rows
from nurture_rl.ope.ties import alike


def plain_log_sums(
    log: EvaluationLog, bucket: IntArray, config: MomentsConfig, rare: float
) -> LogSums:
    """The sums of the log alone."""
    b, a = config.n_buckets, log.n_actions
    free = log.mask.sum(axis=1) > 1
    uncertain = log.propensity < 1.0 - CERTAIN
    outcomes = log.reward[np.abs(log.reward) > rare]
    return replace(
        no_sums(config, a, {}),
        rows=np.bincount(bucket, minlength=b).astype(np.float64),
        reward=np.bincount(bucket, weights=log.reward, minlength=b).astype(np.float64),
        taken=_by_action(bucket, log.action, None, (b, a)),
        chance=np.array([free.sum(), (free & uncertain).sum()], dtype=np.float64),
        least=np.array([log.propensity.min(initial=np.inf), log.reward.min(initial=np.inf)]),
        most=np.array([log.reward.max(initial=-np.inf)]),
        squares=np.array([log.reward @ log.reward, outcomes @ outcomes, float(outcomes.size)]),
    )


def plain_policy_sums(
    log: EvaluationLog,
    bucket: IntArray,
    target: FloatArray,
    q: FloatArray,
    config: MomentsConfig,
) -> PolicySums:
    """The sums of a policy, with those of its weights alone and of what they exceed 1 by.

    Args:
        log: the decisions.
        bucket: of their contacts, [n].
        target: the policy's probabilities, [n, a].
        q: modelled reward of every action, [n, a].
        config: how the estimators' sums are kept.
    """
    b, logged = config.n_buckets, log.logged_probabilities
    on_log = on_logged_rows(log, target)
    shown = target if logged is None else np.where(logged > 0.0, target, 0.0)
    every = np.arange(log.n_rows)
    answers = log.reward, q[every, log.action], np.einsum("na,na->n", target, q)
    weight = on_log.taken / log.propensity
    ratio = shown[every, log.action] / log.propensity
    least = least_second_moment(log.propensity, on_log.taken)
    outside = 0.0 if on_log.unsupported is None else float(on_log.unsupported.sum())
    apart = float((~_like_the_log(log, on_log)).sum())
    return PolicySums(
        moments=plain_moments(bucket, weight, answers, config),
        mix=target.sum(axis=0),
        mass=np.stack([np.bincount(bucket, column, b) for column in shown.T], axis=1),
        seen=_by_action(bucket, log.action, ratio, (b, log.n_actions)),
        unseen=_unseen(log, shown),
        second=np.array([on_log.second_moment.sum(), least.sum()]),
        unsupported=np.asarray(outside),
        outcomes={
            ALONE: OutcomeSums(*_no_worth(b), cubes(weight), np.asarray(0.0)),
            LOGGED: OutcomeSums(*_no_worth(b), cubes(weight - 1.0), np.asarray(apart)),
        },
    )


def plain_moments(
    bucket: IntArray,
    weight: FloatArray,
    answers: tuple[FloatArray, FloatArray, FloatArray],
    config: MomentsConfig,
) -> Moments:
    """The estimators' sums, a column at a time.

    Args:
        bucket: of each decision's contact, [n].
        weight: importance weights, [n].
        answers: rewards, and what the model expects of the logged action and of the target, [n]
            each.
        config: how sums are kept.
    """
    reward, q_logged, value = answers
    correction = weight * (reward - q_logged)
    columns = chain(
        (np.ones(weight.size), weight, weight * weight, weight * reward, value, correction),
        (np.minimum(weight, clip) * reward for clip in config.clips),
        (np.where(weight <= tau, correction, 0.0) for tau in config.taus),
        (correction / (1.0 + weight * weight / lam) for lam in config.lams),
    )
    sums = [np.bincount(bucket, column, config.n_buckets) for column in columns]
    return Moments(config, np.stack(sums, axis=1), np.asarray(weight.max(initial=0.0)))


def cubes(values: FloatArray) -> FloatArray:
    """Sums of v and v^3 over v > 0, then of -v and -v^3 over v < 0, [4]."""
    up, down = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    return np.array([up.sum(), (up**3).sum(), down.sum(), (down**3).sum()])


def registers_of(contact: HashArray) -> FloatArray:
    """Most leading zeros + 1 of the hashed contacts of each register, [R].

    Source: Flajolet, Fusy, Gandouet & Meunier (2007), HyperLogLog.
    """
    hashed = mixed(contact)
    register = (hashed & np.uint64(REGISTERS - 1)).astype(np.int64)
    rest = (hashed >> np.uint64(REGISTERS.bit_length() - 1)).astype(np.float64)
    width = 64 - (REGISTERS.bit_length() - 1)
    rank = np.where(rest > 0.0, width - np.floor(np.log2(np.maximum(rest, 1.0))), width + 1.0)
    found = np.zeros(REGISTERS)
    np.maximum.at(found, register, rank)
    return found


def _no_worth(b: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Outcomes that are not worked out yet."""
    return np.zeros(b), np.zeros(b), np.asarray(0.0)


def _like_the_log(log: EvaluationLog, target: TargetOnLog) -> BoolArray:
    if log.logged_probabilities is None:
        return alike(target.taken, log.propensity)
    same = alike(target.probabilities, log.logged_probabilities)
    return np.asarray(same.all(axis=1))


def _unseen(log: EvaluationLog, shown: FloatArray) -> FloatArray:
    """Sums of the second moments that rare actions' weights have where none turned up, [a]."""
    rows = np.arange(log.n_rows, dtype=np.int64)
    return np.array(
        [
            unseen_inverse(log, action, rows) @ shown[rows, action] ** 2
            for action in range(log.n_actions)
        ]
    )


def _by_action(
    bucket: IntArray, action: IntArray, weights: FloatArray | None, shape: tuple[int, int]
) -> FloatArray:
    """Rows, or their weights, by bucket and action, [B, a]."""
    b, a = shape
    return np.bincount(bucket * a + action, weights, b * a).reshape(b, a).astype(np.float64)
