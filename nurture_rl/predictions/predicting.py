"""Chances of each outcome within each horizon: fitted, judged on later time, or said to be unknown.

To judge a horizon the log is read as it stood halfway: a model is fitted to what was known by then,
and its chances for the decisions that came later are held against what followed them. The scores
of today come from a model of the same kind, fitted to all that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.clock import DAY_US
from nurture_envs.journey import Journey
from nurture_rl.decisions import held_out_share
from nurture_rl.errors import FitError, ShapeError
from nurture_rl.predictions.judged_chances import JudgedChances, judged_chances
from nurture_rl.predictions.landmarks import Landmarks, late_days, parts_of_episodes
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome
from nurture_rl.predictions.window_hazards import (
    HORIZONS,
    Watched,
    WindowHazards,
    fit_window_hazards,
)
from nurture_rl.wording import counted

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

GOOD, CONSTANT, OFF, FEW = (
    "calibrated and better than a constant",
    "no better than a constant",
    "not calibrated",
    "too few later decisions to tell whether it is calibrated",
)
_MOST_ECE = 0.02  # expected calibration error up to which chances are called calibrated
_LEAST_EVENTS = 20  # later decisions with the outcome, and without it, below which nothing is told
_LATER = 0.2  # least share of the decisions that are known to the end, to be judged on


@dataclass(frozen=True, slots=True)
class PredictionConfig:
    """How chances are fitted and judged."""

    horizons: tuple[float, ...] = HORIZONS  # days, ascending
    aside: float = 0.3  # share of accounts that recalibrate and fit nothing else, in (0, 1)
    most_rows: int = 60_000  # decisions that a model is fitted to; whole accounts are left out


@dataclass(frozen=True, slots=True)
class ToldHorizon:
    """What can be said of one outcome within one horizon."""

    outcome: str
    horizon: float  # days
    verdict: str  # one of this module's words, or why nothing is told
    told: bool  # whether contacts get a chance
    judged: JudgedChances | None
    split: str | None  # ISO moment up to which the judged model knew the log


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Models of the outcomes by name, and what each horizon is worth."""

    outcomes: tuple[PredictedOutcome, ...]
    models: dict[str, WindowHazards]
    told: tuple[ToldHorizon, ...]

    def chances(self, features: NDArray[np.float32], age: FloatArray) -> dict[str, FloatArray]:
        """Every told chance by column, such as `convert_30d`, [n] each."""
        return {
            column(one.outcome, one.horizon): self.chance(one.outcome, features, age, one.horizon)
            for one in self.told
            if one.told
        }

    def chance(
        self, name: str, features: NDArray[np.float32], age: FloatArray, horizon: float
    ) -> FloatArray:
        """Chance of one outcome within one horizon, [n]."""
        return chance_of(self.outcome(name), self.models[name], features, age, horizon)

    def outcome(self, name: str) -> PredictedOutcome:
        """The outcome of that name."""
        return next(one for one in self.outcomes if one.name == name)


def column(outcome: str, horizon: float) -> str:
    """What a chance is called in tables: `convert_30d`."""
    return f"{outcome}_{horizon:g}d"


def chance_of(
    outcome: PredictedOutcome,
    model: WindowHazards,
    features: NDArray[np.float32],
    age: FloatArray,
    horizon: float,
) -> FloatArray:
    """Chance of an outcome within a horizon, that of nothing happening where it is one, [n]."""
    chance = model.chance(features, age, horizon)
    return 1.0 - chance if outcome.absent else chance


def predict_outcomes(
    marks: Landmarks,
    outcomes: Sequence[PredictedOutcome],
    journey: Journey,
    as_of_us: int,
    config: PredictionConfig,
) -> Predicted:
    """Fit every outcome to all that is known, and judge every horizon on later time.

    Args:
        marks: decisions with what came after them, one column per outcome.
        outcomes: in the order of these columns.
        journey: by how much outcomes are recorded late.
        as_of_us: UTC instant up to which the log is complete.
        config: how.
    """
    sides = np.array([held_out_share(f"aside|{name}") for name in _names(marks.cluster)])
    aside = sides[_codes(marks.cluster)] < config.aside
    edges = parts_of_episodes(journey)
    models: dict[str, WindowHazards] = {}
    told: list[ToldHorizon] = []
    for place, outcome in enumerate(outcomes):
        late = late_days(journey, outcome)
        at = _Reading(marks, place, outcome, late, aside, edges, config)
        try:
            models[outcome.name] = at.fitted(as_of_us)
        except FitError as refusal:
            why = f"cannot be told: {refusal}"
            told += [ToldHorizon(outcome.name, h, why, False, None, None) for h in config.horizons]
            continue
        told += [_told(at, h, as_of_us) for h in config.horizons]
    return Predicted(tuple(outcomes), models, tuple(told))


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """One outcome of a log that can be read at any moment."""

    marks: Landmarks
    place: int  # column of the outcome
    outcome: PredictedOutcome
    late: float  # days
    aside: BoolArray  # [n]
    edges: FloatArray  # of the parts of an episode, days
    config: PredictionConfig

    @property
    def at_risk(self) -> BoolArray:
        """Decisions of contacts who had not done it, where it is done once, [n]."""
        had = self.marks.had[:, self.place]
        return ~had if self.outcome.once else np.ones(had.size, bool)

    def known(self, as_of_us: int) -> Watched:
        """What was known of every decision's window when the log was read."""
        days = self.marks.watched(as_of_us, self.late)
        until = self.marks.days_until[:, self.place]
        seen = (until <= days) & (self.marks.known_us[:, self.place] <= as_of_us)
        return Watched(self.marks.age, np.where(seen, until, np.inf), days)

    def fitted(self, as_of_us: int, until: float = np.inf) -> WindowHazards:
        """The model of whoever reads the log at that moment, for horizons of up to `until` days."""
        rows = np.flatnonzero(self.at_risk & (self.marks.decided_us <= as_of_us))
        if rows.size > self.config.most_rows:
            rows = rows[_some(self.marks.cluster[rows], self.config.most_rows / rows.size)]
        return fit_window_hazards(
            self.marks.features[rows],
            self.known(as_of_us).take(rows),
            _codes(self.marks.cluster[rows]),
            self.aside[rows],
            self.edges,
            [one for one in self.config.horizons if one <= until],
        )


def _told(at: _Reading, horizon: float, as_of_us: int) -> ToldHorizon:
    def untold(why: str) -> ToldHorizon:
        return ToldHorizon(at.outcome.name, horizon, f"cannot be told: {why}", False, None, None)

    decided = at.marks.decided_us
    window = at.known(as_of_us)
    whole = at.at_risk & (window.days >= horizon - 1e-9)
    if not whole.any():
        longest = float(window.days.max(initial=0.0))
        return untold(
            f"no decision was watched for {horizon:g} days, the longest for {longest:.0f}"
        )
    split = _split(decided[whole], int(decided.min()), horizon + at.late)
    later = np.flatnonzero(whole & (decided > split))
    if not later.size:
        return untold("the log is too short to judge it on later time")
    came = window.days_until[later] <= horizon
    happened = ~came if at.outcome.absent else came
    few = min(int(happened.sum()), int((~happened).sum()))
    if few < _LEAST_EVENTS:
        which = "with" if happened.sum() <= (~happened).sum() else "without"
        return untold(f"{counted(few, 'later decision')} {which} it, {_LEAST_EVENTS} are needed")
    whose = _codes(at.marks.cluster[later])
    if not whose.any():
        return untold("all later decisions are of one account, two are needed")
    try:
        then = at.fitted(split, horizon)
        chance = chance_of(at.outcome, then, at.marks.features[later], at.marks.age[later], horizon)
    except FitError as refusal:
        return untold(f"by the moment up to which a judged model may know, {refusal}")
    except ShapeError:
        return untold("nobody had been watched that long when the judged decisions began")
    judged = judged_chances(chance, happened, whose)
    when = str(np.datetime64(split, "us").astype("datetime64[s]")) + "Z"
    return ToldHorizon(at.outcome.name, horizon, _verdict(judged), True, judged, when)


def _verdict(judged: JudgedChances) -> str:
    if judged.ece > _MOST_ECE:
        return FEW if judged.ece_by_chance > _MOST_ECE / 2.0 else OFF
    return GOOD if judged.skill_low > 0.0 else CONSTANT


def _split(decided: IntArray, first: int, days: float) -> int:
    """The moment up to which the judged model knows the log, UTC microseconds.

    Half of the decisions come later; fewer, but a fifth at least, where a model would otherwise
    have been fitted before any window, `days` long, was over.
    """
    middle = int(np.quantile(decided, 0.5))
    least = first + round(days * DAY_US)
    latest = int(np.quantile(decided, 1.0 - _LATER))
    return max(middle, min(least, latest))


def _names(cluster: NDArray[np.object_]) -> list[str]:
    return [str(name) for name in np.unique(cluster.astype(str))]


def _codes(cluster: NDArray[np.object_]) -> IntArray:
    return np.unique(cluster.astype(str), return_inverse=True)[1].astype(np.int64)


def _some(cluster: NDArray[np.object_], share: float) -> BoolArray:
    """Decisions of a share of accounts, the same ones each time, [n]."""
    kept = np.array([held_out_share(f"some|{name}") < share for name in _names(cluster)])
    return np.asarray(kept[_codes(cluster)])
