"""What the log and a target policy earned, period by period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.estimators import ValueEstimate, dr, ips
from nurture_rl.ope.intervals import Interval
from nurture_rl.ope.log import EvaluationLog, first_rows, take_episodes
from nurture_rl.ope.named_estimators import Question
from nurture_rl.ope.value_model import ValuePredictions

FEW = 30  # contacts below which a period's interval says nothing and the period is left out


@dataclass(frozen=True, slots=True)
class PeriodValue:
    """One period's value: of the logging policy, or of a target by the doubly robust estimator."""

    period: str
    value: float  # the log's unit, per episode
    interval: Interval
    n_episodes: int
    n_clusters: int


def weeks_of(day: NDArray[np.datetime64], log: EvaluationLog) -> NDArray[np.str_]:
    """The Monday of the week in which each episode began, as ISO text, [E].

    Args:
        day: of each decision, [N].
        log: the decisions.
    """
    if day.shape != (log.n_rows,):
        raise ShapeError(f"expected one day per decision, [{log.n_rows}], got {day.shape}")
    began = day[first_rows(log)].astype("datetime64[D]")
    # 1970-01-01 was a Thursday: three days after a Monday.
    monday = began - (began.astype(np.int64) + 3) % 7
    return np.asarray(monday.astype(str))


def by_period(
    log: EvaluationLog,
    periods: NDArray[np.str_],
    asked: Mapping[str, Question],
    level: float,
) -> dict[str, list[PeriodValue]]:
    """Values by period for the logging policy ("logged") and every target, in order of periods.

    The value model is the whole log's, so a period borrows strength from the others and its
    correction is its own.

    Args:
        log: the decisions.
        periods: of each episode, sortable labels, [E].
        asked: the targets' questions, all on this log.
        level: stated coverage of each period's interval by itself.

    Raises:
        ShapeError: not one period per episode.
    """
    if periods.shape != (log.n_episodes,):
        raise ShapeError(f"expected one period per episode, got {periods.shape}")
    values: dict[str, list[PeriodValue]] = {"logged": [], **{name: [] for name in asked}}
    for period in np.unique(periods):
        chosen = np.flatnonzero(periods == period)
        part = take_episodes(log, chosen)
        if np.unique(part.cluster).size < FEW:
            continue
        rows = np.isin(log.episode, chosen)
        own = ips(part, part.propensity)
        values["logged"].append(_of(str(period), own, level))
        for name, question in asked.items():
            value = _value(part, rows, question)
            values[name].append(_of(str(period), value, level))
    return values


def _value(part: EvaluationLog, rows: NDArray[np.bool_], asked: Question) -> ValueEstimate:
    predictions = replace(
        asked.predictions,
        **{
            name: getattr(asked.predictions, name)[rows]
            for name in ValuePredictions.__slots__
            if isinstance(getattr(asked.predictions, name), np.ndarray)
        },
    )
    return dr(part, asked.target.taken[rows], predictions)


def _of(period: str, estimate: ValueEstimate, level: float) -> PeriodValue:
    interval = chosen_interval(estimate, level)
    return PeriodValue(period, estimate.value, interval, estimate.n_episodes, estimate.n_clusters)
