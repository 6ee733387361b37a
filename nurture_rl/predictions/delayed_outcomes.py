"""A surrogate index for the north star: fitted to matured episodes, held to later ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_envs.journey import Journey
from nurture_rl.errors import FitError
from nurture_rl.features.bins import BinnedLog, DecisionTimes
from nurture_rl.predictions.contact_behaviour import MailedDecisions
from nurture_rl.predictions.landmarks import Landmarks, landmarks_of, late_days
from nurture_rl.predictions.predicted_outcomes import PredictedOutcome, predicted_outcomes
from nurture_rl.predictions.surrogate_index import (
    OPPOSITE,
    EffectOnBoth,
    effects_on_both,
    fit_surrogate_index,
)

BoolArray = NDArray[np.bool_]

_LEAST = 100  # episodes in each half


@dataclass(frozen=True, slots=True)
class ToldSurrogate:
    """An early index for a late outcome, and whether it may stand for it."""

    early_days: float
    late_days: float
    fitted_to: int  # matured episodes
    checked_on: int  # later ones
    weights: dict[str, float]  # log-odds of the late outcome per standard deviation, by signal
    index_mean: float  # of the later episodes
    outcome_mean: float
    effects: tuple[EffectOnBoth, ...]
    verdict: str


def told_surrogate(
    log: BinnedLog,
    mailed: MailedDecisions,
    journey: Journey,
    as_of_us: int,
    horizons: tuple[float, ...],
    goes_on: bool,
) -> ToldSurrogate | str:
    """Fit the index to the earlier half of matured episodes and check it on the later half.

    An episode begins with its first decision. The early time is the shortest horizon, the late one
    the longest in which enough episodes matured.

    Args:
        log: all decisions and events.
        mailed: what each decision mailed.
        journey: signals as in the log.
        as_of_us: up to when the log is complete.
        horizons: days.
        goes_on: whether the log tells what contacts do after their episode.

    Returns:
        What was found, or why nothing can be.
    """
    star, seen = predicted_outcomes(journey)[0], _signals(journey)
    first = _first_decisions(log.times)
    marks = _episodes(log, first, journey, (*seen, star), goes_on)
    watched = marks.watched(as_of_us, late_days(journey, star))
    for late in sorted(horizons[1:], reverse=True):
        rows = np.flatnonzero(watched >= late - 1e-9)
        if rows.size >= 2 * _LEAST:
            break
    else:
        return (
            f"cannot be told: fewer than {2 * _LEAST} episodes were watched for more than "
            f"{horizons[0]:g} days"
        )
    rows = rows[np.argsort(marks.decided_us[rows], kind="stable")]
    early = (marks.days_until[rows][:, :-1] <= horizons[0]).astype(np.float64)
    outcome = marks.days_until[rows, -1] <= late
    half = rows.size // 2
    try:
        index = fit_surrogate_index(early[:half], outcome[:half])
    except FitError as refusal:
        return f"cannot be told: {refusal}"
    chosen, chance = _choices(mailed, first[rows[half:]])
    said = index.of(early[half:])
    effects = effects_on_both(said, outcome[half:], chosen, chance)
    strong = np.argsort(-np.abs(index.slopes))
    return ToldSurrogate(
        early_days=horizons[0],
        late_days=late,
        fitted_to=half,
        checked_on=rows.size - half,
        weights={seen[k].name: float(index.slopes[k]) for k in strong if index.slopes[k] != 0.0},
        index_mean=float(said.mean()),
        outcome_mean=float(outcome[half:].mean()),
        effects=effects,
        verdict=_verdict(effects),
    )


def _signals(journey: Journey) -> tuple[PredictedOutcome, ...]:
    """What may be seen early: everything that the action itself does not make."""
    return tuple(
        PredictedOutcome(one.name, one.name, (one.name,))
        for one in journey.signals
        if not one.by_action
    )


def _episodes(
    log: BinnedLog,
    first: NDArray[np.int64],
    journey: Journey,
    outcomes: tuple[PredictedOutcome, ...],
    goes_on: bool,
) -> Landmarks:
    """What came in each episode after its first decision."""
    begun = replace(log, times=_taken(log.times, first))
    nothing = np.zeros((first.size, 1), np.float32)
    who = begun.contacts.zones[begun.times.contact]
    return landmarks_of(begun, nothing, who, journey, outcomes, goes_on)[0]


def _verdict(effects: tuple[EffectOnBoth, ...]) -> str:
    wrong = [one.choice for one in effects if one.verdict == OPPOSITE]
    if wrong:
        return (
            f"WARNING: do not decide by the index. {', '.join(wrong)} moves it one way and the "
            "outcome the other"
        )
    if not effects:
        return "no choice had a chance between 0 and 1, so nothing was checked"
    return "no choice was found to move it one way and the outcome the other"


def _choices(
    mailed: MailedDecisions, rows: NDArray[np.int64]
) -> tuple[dict[str, BoolArray], dict[str, NDArray[np.float64]]]:
    topic, chance = mailed.topic[rows], np.nan_to_num(mailed.chance[rows], nan=0.0)
    chosen = {f"first mail on {name}": topic == k for k, name in enumerate(mailed.topics)}
    likely = {f"first mail on {name}": chance[:, k] for k, name in enumerate(mailed.topics)}
    chosen["any first mail"], likely["any first mail"] = topic >= 0, chance.sum(1)
    return chosen, likely


def _first_decisions(times: DecisionTimes) -> NDArray[np.int64]:
    order = np.lexsort((times.step, times.episode))
    starts = np.append(True, np.diff(times.episode[order]) != 0)
    return np.asarray(order[starts], np.int64)


def _taken(times: DecisionTimes, rows: NDArray[np.int64]) -> DecisionTimes:
    return DecisionTimes(*(getattr(times, name)[rows] for name in DecisionTimes.__slots__))
