"""Policies that follow one policy in some factors of an action and another in the rest.

An action is a chain of choices: routing, then offer, content, timing. A policy's distribution is
the product of its conditionals along that chain,

    p(a) = prod_j p(f_j | f_1 .. f_{j-1}),

and a hybrid takes each conditional from one of two policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.log import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """The chain of choices that an action is made of; build it with `factors_of`."""

    names: tuple[str, ...]  # in the order of choosing
    prefix: IntArray  # group of actions alike in the first j factors, [k + 1, a]; row 0 is all

    @property
    def count(self) -> int:
        """Factors in the chain, k."""
        return len(self.names)

    @property
    def deciding(self) -> tuple[bool, ...]:
        """Whether a factor tells actions apart that are alike in those before it, [k]."""
        groups = self.prefix.max(axis=1)
        return tuple((groups[1:] > groups[:-1]).tolist())


def factors_of(levels: Mapping[str, Sequence[str]]) -> Factors:
    """Make the chain of factors from each action's level of each.

    Args:
        levels: by factor, in the order of choosing: the level of every action. A factor of one
            level decides nothing, and its share of any lift is exactly 0.

    Raises:
        ShapeError: no factor, not as many levels as actions, or two actions alike in all factors:
            nothing would then say how to choose between them.
    """
    sizes = {name: len(values) for name, values in levels.items()}
    if not sizes or len(set(sizes.values())) != 1:
        raise ShapeError(f"each factor needs one level for each action, got {sizes}")
    rows = list(zip(*levels.values(), strict=True))
    if len(set(rows)) < len(rows):
        twice = next(row for place, row in enumerate(rows) if row in rows[:place])
        raise ShapeError(
            f"two actions are alike in all of {list(sizes)}: {twice}; name a factor in which "
            "they differ"
        )
    prefix = np.zeros((len(sizes) + 1, len(rows)), dtype=np.int64)
    for j in range(len(sizes)):
        first = {row[: j + 1]: place for place, row in reversed(list(enumerate(rows)))}
        prefix[j + 1] = np.unique([first[row[: j + 1]] for row in rows], return_inverse=True)[1]
    return Factors(tuple(sizes), prefix)


def hybrid(
    target: FloatArray, reference: FloatArray, factors: Factors, follows: Sequence[bool]
) -> FloatArray:
    """Choose each factor by the target where `follows` says so, by the reference elsewhere.

    A policy that never makes the earlier choices has no conditional; the other's stands in, which
    always has one, since the choice before came from a policy that makes it. So no mass can fall
    on an action that neither policy takes, masked ones above all. Following in all factors gives
    the target, in none the reference.

    Args:
        target: probabilities, rows sum to 1, [n, a].
        reference: the same of the reference, [n, a].
        factors: the chain of choices, k of them.
        follows: per factor, in its order, [k].

    Returns:
        Probabilities of the hybrid, rows sum to 1, [n, a].

    Raises:
        ShapeError: arrays that do not fit together or the chain.
    """
    shape = (len(target), factors.prefix.shape[1])
    if target.shape != shape or reference.shape != shape or len(follows) != factors.count:
        raise ShapeError(
            f"expected both policies [n, {shape[1]}] and {factors.count} choices, got "
            f"{target.shape}, {reference.shape} and {len(follows)}"
        )
    chosen = np.ones(shape)
    sums = {
        True: _group_mass(target, factors.prefix[0]),
        False: _group_mass(reference, factors.prefix[0]),
    }
    for j, by_target in enumerate(follows):
        if not factors.deciding[j]:
            continue  # either policy makes this choice with chance 1
        narrowed = {
            True: _group_mass(target, factors.prefix[j + 1]),
            False: _group_mass(reference, factors.prefix[j + 1]),
        }
        own, other = bool(by_target), not by_target
        conditional = np.zeros(shape)
        for policy in (other, own):  # the last that makes the choices so far is heard
            np.divide(narrowed[policy], sums[policy], out=conditional, where=sums[policy] > 0.0)
        chosen *= conditional
        sums = narrowed
    return chosen


def _group_mass(probabilities: FloatArray, group: IntArray) -> FloatArray:
    """Mass of each action's group, [n, a]."""
    return np.asarray(probabilities @ np.equal(group[:, None], group).astype(np.float64))
