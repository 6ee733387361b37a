"""The sums over one-step decisions that an appraisal of target policies is made from.

Like `moments`, by bucket of contacts and added up over parts of a log in any order. Beside the
estimators' sums they hold what checks, overlap and differences between policies read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged, no_moments

LOGGED = "logged"  # the logging policy among the others of a pair
ALONE = "alone"  # no other policy: the value of one


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeSums:
    """Weighted rare outcomes of a policy, or of its difference to another."""

    gained: FloatArray  # by bucket, >= 0, [B]
    lost: FloatArray  # by bucket, turned positive, [B]
    matched: FloatArray  # outcomes with a weight that is not 0, []
    weights: FloatArray  # sums of w and w^3 over w > 0, then of -w and -w^3 over w < 0, [4]
    apart: FloatArray  # decisions in which the two do not act alike, []


@dataclass(frozen=True, slots=True, eq=False)
class PolicySums:
    """Sums of one target policy."""

    moments: Moments
    mix: FloatArray  # its probabilities by action, [a]
    mass: FloatArray  # the same where the log had a chance, by bucket, [B, a]
    seen: FloatArray  # weights by bucket and logged action, [B, a]
    unseen: FloatArray  # second moment of each action's weights that did not turn up, [a]
    second: FloatArray  # second moments of the ratio, then what they have at least, [2]
    unsupported: FloatArray  # mass where the log had no chance, []
    outcomes: Mapping[str, OutcomeSums]  # alone, and less others by name


@dataclass(frozen=True, slots=True, eq=False)
class LogSums:
    """Sums of the log, and of every target policy on it."""

    rows: FloatArray  # decisions by bucket, [B]
    reward: FloatArray  # by bucket, [B]
    taken: FloatArray  # decisions by bucket and logged action, [B, a]
    chance: FloatArray  # decisions with a choice, and those of them left to chance, [2]
    least: FloatArray  # smallest propensity and reward, [2]
    most: FloatArray  # largest reward, [1]
    squares: FloatArray  # rewards squared: all, and those of rare outcomes; number of these, [3]
    amounts: FloatArray  # of rare outcomes as `OutcomeSums.weights` has weights, [4]
    contacts: FloatArray  # most leading zeros + 1 of hashed contacts by register, [R]
    own: OutcomeSums  # of what was logged, with weights of 1
    policies: Mapping[str, PolicySums]

    @property
    def n_rows(self) -> int:
        """Decisions, N."""
        return int(self.rows.sum())


_SMALLEST, _LARGEST = {"least"}, {"most", "contacts"}  # fields that are no sums
REGISTERS = 4096  # of the count of contacts, a power of two: 1.04 / sqrt(4096) = 1.6 % error


def no_sums(config: MomentsConfig, n_actions: int, pairs: Mapping[str, tuple[str, ...]]) -> LogSums:
    """The sums over no decision.

    Args:
        config: how the estimators' sums are kept.
        n_actions: a.
        pairs: by policy, what it is compared with: `LOGGED` or other policies.

    Raises:
        ShapeError: a configuration out of range.
    """
    b, a = config.n_buckets, n_actions
    return LogSums(
        rows=np.zeros(b),
        reward=np.zeros(b),
        taken=np.zeros((b, a)),
        chance=np.zeros(2),
        least=np.full(2, np.inf),
        most=np.full(1, -np.inf),
        squares=np.zeros(3),
        amounts=np.zeros(4),
        contacts=np.zeros(REGISTERS),
        own=_no_outcomes(b),
        policies={
            name: PolicySums(
                moments=no_moments(config),
                mix=np.zeros(a),
                mass=np.zeros((b, a)),
                seen=np.zeros((b, a)),
                unseen=np.zeros(a),
                second=np.zeros(2),
                unsupported=np.zeros(()),
                outcomes={other: _no_outcomes(b) for other in (ALONE, *others)},
            )
            for name, others in pairs.items()
        },
    )


def _no_outcomes(b: int) -> OutcomeSums:
    return OutcomeSums(np.zeros(b), np.zeros(b), np.zeros(()), np.zeros(4), np.zeros(()))


def added(first: LogSums, second: LogSums) -> LogSums:
    """The sums over the decisions of both parts.

    Raises:
        ShapeError: parts of different configurations.
    """
    joined = _joined(first, second, "")
    assert isinstance(joined, LogSums)
    return joined


def _joined(first: Any, second: Any, name: str) -> Any:
    if isinstance(first, Moments):
        return merged(first, second)
    if is_dataclass(first) and not isinstance(first, type):
        joined = {
            one.name: _joined(getattr(first, one.name), getattr(second, one.name), one.name)
            for one in fields(first)
        }
        return replace(first, **joined)
    if isinstance(first, Mapping):
        return {key: _joined(first[key], second[key], name) for key in first}
    if name in _SMALLEST:
        return np.minimum(first, second)
    # Of two sums [] numpy makes a bare number.
    return np.maximum(first, second) if name in _LARGEST else np.asarray(first + second)


def arrays_of(record: LogSums) -> dict[str, FloatArray]:
    """Every array of some sums by its place in them, for a file."""
    arrays: dict[str, FloatArray] = {}

    def keep(name: str, value: FloatArray) -> FloatArray:
        arrays[name] = value
        return value

    _walked(record, "", keep)
    return arrays


def from_arrays(like: LogSums, arrays: Mapping[str, FloatArray]) -> LogSums:
    """Sums from what `arrays_of` said of them.

    Args:
        like: sums of the same configuration, such as `no_sums`.
        arrays: by place.
    """
    record = _walked(like, "", lambda name, _: np.asarray(arrays[name], dtype=np.float64))
    assert isinstance(record, LogSums)
    return record


def _walked(value: Any, name: str, change: Callable[[str, FloatArray], FloatArray]) -> Any:
    if isinstance(value, np.ndarray):
        return change(name, value)
    if isinstance(value, Moments):
        return replace(
            value,
            sums=change(f"{name}.sums", value.sums),
            largest=change(f"{name}.largest", value.largest),
        )
    if isinstance(value, Mapping):
        return {key: _walked(one, f"{name}.{key}", change) for key, one in value.items()}
    walked = {
        one.name: _walked(getattr(value, one.name), f"{name}.{one.name}", change)
        for one in fields(value)
    }
    return replace(value, **walked)
