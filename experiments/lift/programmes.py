"""Simulated programmes with two arms: contacts come day by day, outcomes two weeks later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.lift.contrast import BoolArray, Contrast, FloatArray, contrast
from nurture_rl.lift.velocity import IntArray, StageTimes, velocity_contrast, watched_share

DAYS, WINDOW, A_DAY, HORIZON = 84, 14, 40, 28  # twelve weeks; contacts a day in both arms
FIGURES = ("meetings", "opt-outs", "pipeline", "meetings by account", "days to a stage")


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """One key figure of every contact of a programme, in order of enrolment, [n]."""

    figure: str
    day: IntArray  # of enrolment
    treated: BoolArray  # of its unit, [u]
    unit: IntArray  # account or contact
    amount: FloatArray  # within the window; days until the stage for the velocity
    known: FloatArray  # before enrolment, [n, 2]


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer on one day."""

    found: Contrast
    information: float  # of that at the planned end


def programme(figure: str, effect: float, rng: np.random.Generator) -> Programme:
    """A programme in which chance alone deals, and the treated do better by a known part.

    Args:
        figure: one of FIGURES.
        effect: relative, such as 0.2 for a fifth more; 0 for two equal arms.
        rng: of contacts, arms and outcomes.
    """
    n = DAYS * A_DAY
    day = np.repeat(np.arange(DAYS), A_DAY)
    by_account = figure == "meetings by account"
    unit = np.sort(rng.integers(0, n // 3, n)) if by_account else np.arange(n)
    unit = np.unique(unit, return_inverse=True)[1]
    treated = rng.random(unit.max() + 1) < 0.5
    taste = rng.normal(size=n) + (rng.normal(size=unit.max() + 1)[unit] if by_account else 0.0)
    known = np.column_stack([taste + rng.normal(size=n), rng.normal(size=n)])
    lifted = 1.0 + effect * treated[unit]
    if figure in ("meetings", "meetings by account"):
        amount = (rng.random(n) < 0.08 * np.exp(0.5 * taste - 0.125) * lifted).astype(float)
    elif figure == "opt-outs":
        amount = (rng.random(n) < 0.004 * lifted).astype(float)
    elif figure == "pipeline":  # one in 25 makes an opportunity; values are log-normal
        amount = (rng.random(n) < 0.04 * lifted) * rng.lognormal(9.0, 1.0, n)
    else:
        amount = (rng.geometric(0.03 * lifted) - 1).astype(float)
    return Programme(figure, day, treated, unit, amount, known)


def read(one: Programme, day: int) -> Reading:
    """What is known on the morning of a day."""
    if one.figure == "days to a stage":
        return _read_times(one, day)
    rows = one.day + WINDOW <= day
    units, unit = np.unique(one.unit[rows], return_inverse=True)
    per = np.bincount(unit).astype(float)
    amount = np.bincount(unit, weights=one.amount[rows]).astype(float)
    known = np.column_stack([np.bincount(unit, weights=x) for x in one.known[rows].T])
    found = contrast(one.treated[units], amount, per, known / per[:, None])
    return Reading(found, units.size / one.treated.size)


def _read_times(one: Programme, day: int) -> Reading:
    rows = one.day < day
    watched = day - one.day[rows]
    came = one.amount[rows].astype(np.int64)
    reached = came < watched
    times = StageTimes(np.where(reached, came, watched), reached, one.unit[rows])
    treated = one.treated[: int(one.unit[rows].max()) + 1]
    found = velocity_contrast(treated, times, HORIZON)
    return Reading(found, watched_share(times, HORIZON, treated.size) / one.treated.size)


def truth(figure: str, effect: float) -> float:
    """The difference that the readings estimate, per contact or in days."""
    if figure == "days to a stage":
        means = [
            sum((1.0 - 0.03 * (1.0 + e)) ** (k + 1) for k in range(HORIZON)) for e in (0, effect)
        ]
        return means[1] - means[0]
    base = {"opt-outs": 0.004, "pipeline": 0.04 * float(np.exp(9.5))}
    # E exp(0.5 taste - 0.125) is 1 with a taste of variance 1, exp(0.125) with one of 2.
    meetings = 0.08 * float(np.exp(0.125 if figure == "meetings by account" else 0.0))
    return effect * base.get(figure, meetings)
