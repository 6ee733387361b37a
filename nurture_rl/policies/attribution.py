"""A number that a policy goes by, split into what each feature contributes; the parts sum to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

from nurture_rl.policies.policy import FeatureArray, FloatArray

MOST_PLAYERS = 10  # groups of features that a network is asked about in all their combinations
_SLACK = 1e-9  # of the numbers' size: what rounding leaves of a linear score


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Scores of a context as those of a reference and what each group of features adds."""

    groups: tuple[tuple[int, ...], ...]  # places in the list that was given; several were joined
    contributions: FloatArray  # [groups, k]
    base: FloatArray  # scores of the reference, [k]
    value: FloatArray  # scores of the context, [k]
    is_linear: bool  # in closed form; else Shapley values

    @property
    def residual(self) -> FloatArray:
        """What the parts leave of value less base: rounding, [k]."""
        return np.asarray(self.value - self.base - self.contributions.sum(axis=0))


def attributed(
    score: Callable[[FeatureArray], FloatArray],
    own: FeatureArray,
    reference: FeatureArray,
    groups: Sequence[Sequence[int]],
    is_linear: bool,
) -> Attribution:
    """Split scores exactly.

    Of a linear score the part of a group is what it alone changes,

        phi_g = f(reference with g as it is) - f(reference)

    of any other its Shapley value, over all sets S of the other groups,

        phi_g = sum_S |S|! (p - |S| - 1)! / p! [f(S and g as they are) - f(S as it is)]

    where features outside the set have their reference values. Both sum to f(own) - f(reference),
    whatever the score; of a linear one they are the same. Groups at their reference add nothing.
    Of more than ten others those that change the scores least by themselves are joined into one.

    Args:
        score: from contexts [n, d] to scores [n, k].
        own: the context, [d].
        reference: of the same columns, [d].
        groups: columns that are one feature, each column in at most one.
        is_linear: whether the score is said to be linear; if it is not, it is found out.

    Source: Shapley (1953), A Value for n-Person Games; of one reference as in Sundararajan & Najmi
        (2020), The Many Shapley Values for Model Explanation.
    """
    differ = [at for at, one in enumerate(groups) if (own[list(one)] != reference[list(one)]).any()]
    alone = np.repeat(reference[None], len(differ) + 2, axis=0)
    alone[-1] = own
    for row, at in enumerate(differ):
        columns = list(groups[at])
        alone[row, columns] = own[columns]
    told = score(alone)
    value, base, single = told[-1], told[-2], told[:-2] - told[-2]
    if is_linear:
        parts = Attribution(tuple((at,) for at in differ), single, base, value, True)
        if (np.abs(parts.residual) <= _SLACK * (1.0 + np.abs(told).max(axis=0))).all():
            return parts
    players = _players(differ, np.abs(single).max(axis=1, initial=0.0))
    table = _all_sets(score, own, reference, [[c for at in p for c in groups[at]] for p in players])
    return Attribution(players, _shapley(table), table[0], table[-1], False)


def _players(differ: Sequence[int], change: FloatArray) -> tuple[tuple[int, ...], ...]:
    """At most `MOST_PLAYERS` groups; the last joins those that change least by themselves."""
    if len(differ) <= MOST_PLAYERS:
        return tuple((at,) for at in differ)
    order = np.argsort(-change, kind="stable")
    first = [(differ[at],) for at in order[: MOST_PLAYERS - 1]]
    return (*first, tuple(differ[at] for at in order[MOST_PLAYERS - 1 :]))


def _all_sets(
    score: Callable[[FeatureArray], FloatArray],
    own: FeatureArray,
    reference: FeatureArray,
    columns: Sequence[Sequence[int]],
) -> FloatArray:
    """Scores with each set of players as it is, [2^p, k]; bit j of a row is player j."""
    sets = np.arange(1 << len(columns))
    contexts = np.repeat(reference[None], len(sets), axis=0)
    for player, columns_of in enumerate(columns):
        rows, places = np.flatnonzero(sets >> player & 1), np.array(columns_of)
        contexts[rows[:, None], places] = own[places]
    return score(contexts)


def _shapley(table: FloatArray) -> FloatArray:
    """Shapley values of every player, [p, k]."""
    n_sets, k = table.shape
    p = n_sets.bit_length() - 1
    sets = np.arange(n_sets)
    size = np.array([int(one).bit_count() for one in sets])
    weights = np.array([factorial(s) * factorial(p - s - 1) / factorial(p) for s in range(p)])
    values = np.zeros((p, k))
    for player in range(p):
        without = sets[(sets >> player & 1) == 0]
        gained = table[without | 1 << player] - table[without]
        values[player] = weights[size[without]] @ gained
    return values
