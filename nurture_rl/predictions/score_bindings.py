"""Whether anything is decided by a score: one that changes no decision is reporting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Condition, Journey
from nurture_rl.predictions.score_file import ScoreFile

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Decide = Callable[[NDArray[np.float32]], IntArray]  # features [n, d] -> actions [n]

NOBODY = "UNBOUND: nothing reads it, so it changes no decision"
CONSTANT = "UNBOUND: it is the same for everybody, so it changes no decision"


@dataclass(frozen=True, slots=True)
class ScoreBinding:
    """What reads a score."""

    score: str
    read_by: tuple[str, ...]  # rules, offers, policies and actions
    changed: float | None  # share of decisions of the rules that change without it; None: no rule
    verdict: str  # "bound", or why not

    @property
    def bound(self) -> bool:
        """Whether something is decided by it."""
        return self.verdict == "bound"


def score_bindings(
    scores: Mapping[str, FloatArray],
    journey: Journey,
    file: ScoreFile,
    features: NDArray[np.float32],
    decide: Decide | None,
) -> tuple[ScoreBinding, ...]:
    """What reads each score of the contacts, by the journey and the score file.

    A journey reads a score that is an attribute of its contacts: `churn_30d: {kind: attribute}`
    among its features gives rules, offers and learned policies a column of it. A score file says
    which action a score decides about outside of them (`reads`, and `do` of a flag).

    Args:
        scores: of contacts, [n] each, NaN where a contact has none.
        journey: the rules.
        file: the score file.
        features: of the same contacts, [n, d].
        decide: what the journey's rules do; None: nobody asks.
    """
    spec = FeatureSpec.of(journey)
    found = []
    for name, values in scores.items():
        own = own_columns(name, journey)
        read = score_readers(name, journey, file)
        changed = None
        if own and decide is not None and len(features):
            changed = _changed(features, spec.column(own[0]), values, decide)
        known = values[np.isfinite(values)]
        verdict = "bound" if read else NOBODY
        if read and (not known.size or np.ptp(known) == 0.0):
            verdict, changed = CONSTANT, 0.0
        found.append(ScoreBinding(name, tuple(read), changed, verdict))
    return tuple(found)


def own_columns(score: str, journey: Journey) -> list[str]:
    """Features of the journey that are this score, as an attribute of contacts."""
    return [
        one.name
        for one in journey.features
        if one.kind == "attribute" and not one.levels and one.attribute == score
    ]


def score_readers(score: str, journey: Journey, file: ScoreFile) -> list[str]:
    """Rules, offers, policies and actions that read a score; none: it is reporting."""
    read = [text for column in own_columns(score, journey) for text in _readers(column, journey)]
    action = file.reads.get(score) or {one.name: one.action for one in file.flags}.get(score)
    return [*read, f"action {action}"] if action else read


def _readers(column: str, journey: Journey) -> list[str]:
    read = []
    for kind, rules in (("rule", journey.rules), ("expert rule", journey.expert)):
        read += [
            f"{kind} {place} ({rule.action})"
            for place, rule in enumerate(rules, 1)
            if _names(column, rule.when)
        ]
    read += [f"offer {one.name}" for one in journey.offers if _names(column, one.eligible)]
    return [*read, "learned policies, as the feature " + column]


def _names(column: str, conditions: tuple[Condition, ...]) -> bool:
    return any(one.column == column for one in conditions)


def _changed(
    features: NDArray[np.float32], column: int, values: FloatArray, decide: Decide
) -> float:
    """Share of decisions that differ when everybody has the mean score."""
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else 0.0
    own, flat = features.copy(), features.copy()
    own[:, column] = np.where(np.isfinite(values), values, mean)
    flat[:, column] = mean
    return float((decide(own) != decide(flat)).mean())
