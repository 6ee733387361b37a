"""What actions have in common, as columns of a value model: main effects and pairs of factors.

A send is a message at an hour, and a message is a topic, a proof, an offer and a call to action.
With an effect for each action alone (*cells*), 12 messages at 24 hours are 288 numbers to learn.
With *factors* they are 36 main effects, and what pairs of factors add where the data ask for it:

    z(a) = [one column for each level of a factor, one for each pair of levels of two factors]

Main effects and pairs have a prior precision each, found by evidence: pairs that add nothing are
shrunk away. A message's own column stands beside those of its topic, proof and offer, so a
message without history is expected to be what its tags are, and is doubted as much as messages of
equal tags differ.

Source: Scott (2010), A modern Bayesian look at the multi-armed bandit, for factorial arms; MacKay
(1992), Bayesian Interpolation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nurture_envs.actions import ActionCatalog
from nurture_rl.bandits.action_design import ActionDesign
from nurture_rl.errors import FitError

Marks = tuple[bool, ...]  # which actions a column marks

CELLS, FACTORS, DISJOINT = "cells", "factors", "disjoint"


def require_design(settings: Any) -> None:
    """Guard a learner's `design`.

    Raises:
        FitError: it is neither `cells` nor `factors`.
    """
    if settings.design not in (CELLS, FACTORS):
        learner = type(settings).__name__.removesuffix("Config")
        raise FitError(f"design of {learner} must be {CELLS} or {FACTORS}, got {settings.design!r}")


def design_of(catalog: ActionCatalog, columns: Sequence[str], kind: str) -> ActionDesign:
    """The design of a kind.

    Args:
        catalog: the journey's actions.
        columns: feature columns of the context.
        kind: `cells` gives each action an effect of its own and lets factors share the slopes;
            `disjoint` gives it slopes of its own too; `factors` shares all by factor.
    """
    if kind == FACTORS:
        return factored_design(catalog, len(columns))
    return ActionDesign(np.eye(len(catalog)) if kind == DISJOINT else catalog.factors)


def factored_design(catalog: ActionCatalog, d: int, without: Sequence[str] = ()) -> ActionDesign:
    """Main effects, pairs, and main effects that depend on the context.

    Args:
        catalog: the journey's actions.
        d: features of the context.
        without: factors that have no effect; actions that they alone tell apart are then equal.
    """
    levels = [list(of.values()) for factor, of in catalog.levels.items() if factor not in without]
    main = _distinct(marks for of_factor in levels for marks in of_factor)
    pairs = _distinct(_pairs(levels), known=main)
    sizes = [len(main), len(main) * d, len(pairs)]
    own = np.array([*main, *pairs], np.float64).T
    group = np.repeat([0, 2, 1], [sizes[0], sizes[2], sizes[1]])
    factors = np.array(main, np.float64).T
    return ActionDesign(factors, own, group, ("main", "crossed", "pairs"))


def _distinct(marks: Iterator[Marks], known: Sequence[Marks] = ()) -> list[Marks]:
    """Columns that mark some actions, not all, and not the same as an earlier one."""
    fresh = dict.fromkeys(one for one in marks if any(one) and not all(one))
    return [one for one in fresh if one not in set(known)]


def _pairs(levels: Sequence[Sequence[Marks]]) -> Iterator[Marks]:
    """What each two levels of two factors mark together."""
    for first, second in combinations(levels, 2):
        for one in first:
            for other in second:
                yield tuple(a and b for a, b in zip(one, other, strict=True))
