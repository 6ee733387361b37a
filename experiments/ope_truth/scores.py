"""How right estimators are about policies of known value: error, coverage, order and choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from experiments.common.intervals import holds
from experiments.ope_truth.selection import narrowest
from experiments.ope_truth.study import TrueValues, TruthCell, TruthFinding
from experiments.world_ranking.study import LOGGING
from nurture_rl.errors import ShapeError

FloatArray = NDArray[np.float64]

SELECTED = "selected"  # the estimator chosen on the log alone, listed after the others


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy that looks best, and what it costs to follow it."""

    policy: str
    regret: float  # best true value less the chosen policy's, journey's unit per episode, >= 0
    share: float  # of what the best earns above the logging policy


@dataclass(frozen=True, slots=True)
class Score:
    """One estimator on one log."""

    world: str
    size: int
    replicate: int
    estimator: str
    asked: int  # policies
    answered: int
    error: float  # sum of absolute errors over the sum of absolute true values, all answered
    carried_error: float  # the same over policies that the log carries; NaN: none
    covered: int  # intervals that hold the truth, of policies that the log carries
    carried: int  # policies that the log carries and the estimator answered
    covered_else: int  # intervals that hold the truth, of the other policies
    spearman: float  # of all answered values with the truth; NaN where one is constant
    carried_spearman: float  # of the policies that the log carries; NaN: fewer than three
    choice: Choice  # among all answered policies, against the best of all
    carried_choice: Choice  # among policies that the log carries, against the best of them
    seconds: float  # CPU time a policy


def scores(cell: TruthCell, truth: TrueValues) -> list[Score]:
    """Score every estimator of one log in the order of its findings, and the selected one."""
    names = dict.fromkeys(one.estimator for one in cell.findings)
    found = [_score(cell, truth, name) for name in names]
    chosen = narrowest(cell.findings)
    return found + [replace(one, estimator=SELECTED) for one in found if one.estimator == chosen]


def choose(values: Mapping[str, float], truth: TrueValues, among: Sequence[str]) -> Choice:
    """Take the policy of the highest value and hold it against the best of `among`.

    Args:
        values: what is believed, by policy.
        truth: what is true.
        among: policies that could have been chosen; the logging policy joins them, at its true
            value where nothing is believed of it, as it needs no evaluation.

    Raises:
        ShapeError: a believed policy is not among them.
    """
    if not set(values) <= {*among, LOGGING}:
        raise ShapeError(
            f"expected values of {', '.join(among)} alone, got {', '.join(values)}; leave out "
            "policies that cannot be chosen"
        )
    believed = {LOGGING: truth.value[LOGGING], **values}
    chosen = max(believed, key=lambda name: believed[name])
    best = max(truth.value[name] for name in {*among, LOGGING})
    regret, gain = best - truth.value[chosen], best - truth.value[LOGGING]
    return Choice(chosen, regret, regret / gain if gain > 0.0 else 0.0)


def _score(cell: TruthCell, truth: TrueValues, estimator: str) -> Score:
    mine = {one.policy: one for one in cell.findings if one.estimator == estimator}
    carried = {name: one for name, one in mine.items() if one.feasible}
    possible = {one.policy for one in cell.findings if one.feasible}
    held = {name: _held(one, truth) for name, one in mine.items()}
    return Score(
        world=cell.world,
        size=cell.size,
        replicate=cell.replicate,
        estimator=estimator,
        asked=len(truth.value),
        answered=len(mine),
        error=_error(mine, truth),
        carried_error=_error(carried, truth),
        covered=sum(held[name] for name in carried),
        carried=len(carried),
        covered_else=sum(held.values()) - sum(held[name] for name in carried),
        spearman=_order(mine, truth),
        carried_spearman=_order(carried, truth),
        choice=choose(_values(mine), truth, sorted(truth.value)),
        carried_choice=choose(_values(carried), truth, sorted(possible)),
        seconds=float(np.mean([one.seconds for one in mine.values()])),
    )


def _held(found: TruthFinding, truth: TrueValues) -> bool:
    known, noise = truth.value[found.policy], truth.stderr[found.policy]
    return holds(found.value, found.lower, found.upper, known, noise)


def _values(found: Mapping[str, TruthFinding]) -> dict[str, float]:
    return {name: one.value for name, one in found.items()}


def _pairs(found: Mapping[str, TruthFinding], truth: TrueValues) -> tuple[FloatArray, FloatArray]:
    """Believed and true values, [p] each."""
    believed = np.array([one.value for one in found.values()])
    return believed, np.array([truth.value[name] for name in found])


def _error(found: Mapping[str, TruthFinding], truth: TrueValues) -> float:
    believed, true = _pairs(found, truth)
    size = float(np.abs(true).sum())
    return float(np.abs(believed - true).sum()) / size if size > 0.0 else float("nan")


def _order(found: Mapping[str, TruthFinding], truth: TrueValues) -> float:
    believed, true = _pairs(found, truth)
    if believed.size < 3 or np.ptp(believed) == 0.0 or np.ptp(true) == 0.0:
        return float("nan")
    return float(spearmanr(believed, true).statistic)
