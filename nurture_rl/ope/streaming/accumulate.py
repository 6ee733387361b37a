"""From decisions in arrays to sums: compiled and on threads where numba is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from nurture_envs.compiling import against_numba, warn_of_slow_path
from nurture_rl.errors import ActionError, ProbabilityError, ShapeError
from nurture_rl.ope.contact_hash import HashArray, shift_of
from nurture_rl.ope.log import FloatArray, IntArray
from nurture_rl.ope.log_checks import TOLERANCE
from nurture_rl.ope.streaming.decision_columns import DecisionColumns, require_sound
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, merged, no_moments
from nurture_rl.ope.streaming.numpy_sums import chunk_moments

CHUNK_ROWS = 16_384  # decisions that plain numpy takes at a time
COMPILED = find_spec("numba") is not None


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """One-step decisions with target and model of every action, as they lie in memory."""

    target: FloatArray  # target probabilities, 0 on forbidden actions, [n, a]
    q: FloatArray  # modelled reward of every action, [n, a]
    action: IntArray  # logged, [n]
    propensity: FloatArray  # [n]
    reward: FloatArray  # [n]
    contact: HashArray  # 64-bit numbers, [n]


def moments_of(
    rows: DecisionColumns, config: MomentsConfig, threads: int = 1, compiled: bool = COMPILED
) -> Moments:
    """Sum decisions up.

    Args:
        rows: the decisions; one that cannot be used is refused.
        config: how sums are kept.
        threads: parts that are summed side by side; only compiled loops gain by it.
        compiled: by compiled loops, which need numba; the sums are the same up to rounding.

    Raises:
        LogError: a row is at fault.
        ShapeError: columns of different lengths, or a configuration out of range.
    """
    require_sound(rows)
    return sound_moments(rows, config, threads, compiled)


def sound_moments(
    rows: DecisionColumns, config: MomentsConfig, threads: int = 1, compiled: bool = COMPILED
) -> Moments:
    """`moments_of` for rows that were checked already."""
    _tell_if_slow()
    n = rows.contact.size
    part = _compiled_rows if compiled else chunk_moments
    parts = _in_parts(lambda index: part(rows.take(index), config), n, compiled, threads)
    by = {name: _by_code(rows, codes) for name, codes in rows.groups.items()}
    return replace(merged(*parts), by=by)


def moments_of_choices(
    choices: Choices, config: MomentsConfig, threads: int = 1, compiled: bool = COMPILED
) -> Moments:
    """Sum decisions up whose target and model are known for every action.

    No other array of n x a is made.

    Raises:
        ShapeError: arrays that do not fit together, or a configuration out of range.
        ActionError: an action outside the catalogue.
        ProbabilityError: a row of `target` is no distribution.
        LogError: a propensity, reward or prediction that cannot be used.
    """
    n, a = choices.target.shape
    if choices.q.shape != (n, a) or choices.action.shape != (n,):
        raise ShapeError(
            f"expected q {(n, a)} and action {(n,)} like target, got {choices.q.shape} and "
            f"{choices.action.shape}"
        )
    if n and not (choices.action.min() >= 0 and choices.action.max() < a):
        raise ActionError(
            f"actions must lie in 0..{a - 1}, got {choices.action.min()} to {choices.action.max()}"
        )
    nothing = np.broadcast_to(0.0, n)
    plain = DecisionColumns(
        choices.contact, nothing, choices.propensity, choices.reward, nothing, nothing
    )
    require_sound(plain)
    _tell_if_slow()
    part = _compiled_choices if compiled else _plain_choices
    parts = _in_parts(lambda index: part(choices, config, index), n, compiled, threads)
    total = merged(*parts)
    if not np.isfinite(total.sums).all():
        raise ShapeError("q holds numbers that are not finite; predict every action of every row")
    return total


def _tell_if_slow() -> None:
    if not COMPILED:
        warn_of_slow_path("decisions are summed up by numpy", against_numba())


def _in_parts(
    part: Callable[[slice], Moments], n: int, compiled: bool, threads: int
) -> Sequence[Moments]:
    """Sums of consecutive parts in their order, at least one: one per thread, or small chunks."""
    size = max(n // threads, 1) if compiled else CHUNK_ROWS
    firsts = range(0, max(n, 1), size)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(part, (slice(first, min(first + size, n)) for first in firsts)))


def grid_of(config: MomentsConfig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Clips, taus and 1 / lams."""
    return np.array(config.clips), np.array(config.taus), 1.0 / np.array(config.lams)


def _compiled_rows(rows: DecisionColumns, config: MomentsConfig) -> Moments:
    from nurture_rl.ope.streaming.compiled import add_rows

    new = no_moments(config)
    columns = (rows.taken, rows.propensity, rows.reward, rows.q_logged, rows.value)
    shift = shift_of(config.n_buckets)
    matched = add_rows(new.sums, new.bounds, grid_of(config), shift, rows.contact, columns)
    return replace(new, matched=int(matched))


def _compiled_choices(choices: Choices, config: MomentsConfig, index: slice) -> Moments:
    from nurture_rl.ope.streaming.compiled import add_choices

    new = no_moments(config)
    given = (
        choices.target[index],
        choices.q[index],
        choices.action[index],
        choices.propensity[index],
        choices.reward[index],
    )
    shift, contact = shift_of(config.n_buckets), choices.contact[index]
    matched, wrong = add_choices(new.sums, new.bounds, grid_of(config), shift, contact, given)
    if wrong >= 0:
        _refuse(index.start + wrong)
    return replace(new, matched=int(matched))


def _plain_choices(choices: Choices, config: MomentsConfig, index: slice) -> Moments:
    target, q, action = choices.target[index], choices.q[index], choices.action[index]
    wrong = (~(target >= 0.0)).any(axis=1) | ~(np.abs(target.sum(axis=1) - 1.0) <= TOLERANCE)
    if wrong.any():
        _refuse(index.start + int(np.flatnonzero(wrong)[0]))
    every = np.arange(action.size)
    rows = DecisionColumns(
        contact=choices.contact[index],
        taken=target[every, action],
        propensity=choices.propensity[index],
        reward=choices.reward[index],
        q_logged=q[every, action],
        value=np.einsum("na,na->n", target, q),
    )
    return chunk_moments(rows, config)


def _refuse(row: int) -> None:
    raise ProbabilityError(
        f"row {row} of the target is no distribution over actions; mask and renormalise in the "
        "policy that made it"
    )


def _by_code(rows: DecisionColumns, codes: IntArray) -> FloatArray:
    """Rows, sum of weights and of their squares by code, [G, 3]."""
    weight = rows.taken / rows.propensity
    columns = (None, weight, weight * weight)
    return np.stack([np.bincount(codes, column) for column in columns], axis=1).astype(np.float64)
