"""How answers to a send depend on dose, recovery and hour, in the log and in the world."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import logit

from nurture_envs.actions import NOW, ActionCatalog
from nurture_envs.clock import weekday_of
from nurture_envs.journey import Journey
from nurture_rl.simulator.gap.compare import Comparison, Estimate, ratios
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, IntArray, Trajectories

_DAY_US = 86_400_000_000
_FEWEST = 10.0  # answers in log and world together that a point of a curve needs
_LIFT = 3.0  # an answer is a signal at least this much more frequent after a send
_CERTAIN = 0.9  # what follows more sends than that is no answer but a delivery
_DOSE_DAYS = 7.0
_RECOVERY = (0.0, 2.0, 4.0, 7.0, 10.0, 14.0, np.inf)  # days since the last send


@dataclass(frozen=True, slots=True, eq=False)
class Sends:
    """The sends of episodes, and what was sent before them in the same episode."""

    row: IntArray  # [S], row of the trajectories
    dose: FloatArray  # [S], sends in the last seven days
    since: FloatArray  # [S], days since the last send; infinite for the first
    ages: FloatArray  # [S, m], days since each earlier send, latest first; infinite where none
    hour: IntArray  # [S], local hour, -1 where the action sends at once
    weekday: IntArray  # [S], 0 is Monday; -1 where unknown


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Share of sends answered, at one place of a curve."""

    label: str
    x: float  # the place in its own unit
    real: Estimate
    simulated: Estimate
    sends: int  # logged
    simulated_sends: int


@dataclass(frozen=True, slots=True)
class Curve:
    """How often sends are answered along one axis, in the log and in the world."""

    family: str  # "dose", "recovery" or "hour"
    head: str  # type of the answer
    points: tuple[CurvePoint, ...]


def sends_of(played: Trajectories, journey: Journey) -> Sends:
    """Every send with what came before it."""
    catalog = ActionCatalog.of(journey)
    clock = journey.clock
    slots = len(clock.slots_hours)
    offset = np.array(clock.slots_hours)[played.step % slots]
    days = ((played.step // slots) * clock.period_hours + offset) / 24.0
    slot = catalog.slots[played.action]
    sent = catalog.routed("send")[played.action]
    row = np.flatnonzero(sent)
    at = days[row] + np.where(slot[row] == NOW, 0.0, slot[row] / 24.0)
    episode = played.episode[row]
    depth = int(np.bincount(episode).max()) - 1 if row.size else 0
    ages = np.full((len(row), max(depth, 1)), np.inf)
    for lag in range(1, depth + 1):
        same = episode[lag:] == episode[:-lag]
        ages[lag:, lag - 1] = np.where(same, at[lag:] - at[:-lag], np.inf)
    weekday = np.full(len(row), -1)
    if played.when is not None:
        weekday = np.asarray(weekday_of(played.when[row] * _DAY_US))
    return Sends(row, (ages <= _DOSE_DAYS).sum(axis=1) * 1.0, ages[:, 0], ages, slot[row], weekday)


def answers(played: Trajectories, journey: Journey, wanted: str) -> FloatArray:
    """Whether people answered in the bin by a signal of a type, [N], 0 or 1."""
    channels = [
        journey.channel_index(signal.name)
        for signal in journey.signals
        if signal.type == wanted and not signal.is_machine and not signal.by_action
    ]
    return np.asarray((played.amounts[:, channels] > 0).any(axis=1), np.float64)


def answer_types(log: Trajectories, journey: Journey) -> tuple[str, ...]:
    """Types of signals that people make in answer to a send, by the log; terminals are none."""
    wanted = (s for s in journey.signals if s.name not in journey.terminals)
    return _answering(log, journey, tuple(dict.fromkeys(s.type for s in wanted)))


def leaving_types(log: Trajectories, journey: Journey) -> tuple[str, ...]:
    """Types of terminal signals that follow a send, by the log."""
    wanted = (s for s in journey.signals if s.name in journey.terminals)
    return _answering(log, journey, tuple(dict.fromkeys(s.type for s in wanted)))


def _answering(log: Trajectories, journey: Journey, types: tuple[str, ...]) -> tuple[str, ...]:
    """The types that people make far more often in the bin of a send than in others."""
    sent = ActionCatalog.of(journey).routed("send")[log.action]
    if not sent.any() or sent.all():
        return ()
    names = []
    for name in types:
        y = answers(log, journey, name)
        if not y.any():
            continue
        after, else_ = float(y[sent].mean()), float(y[~sent].mean())
        if y[sent].sum() >= 5 * _FEWEST and _LIFT * else_ < after < _CERTAIN:
            names.append(name)
    return tuple(names)


def curves(
    real: Trajectories, simulated: Trajectories, journey: Journey, types: tuple[str, ...]
) -> tuple[Curve, ...]:
    """Dose, recovery and hour curves of every type of answer."""
    sides = [(one, sends_of(one, journey)) for one in (real, simulated)]
    drawn = []
    for name in types:
        y = [answers(one, journey, name) for one, _ in sides]
        for family, places in (("dose", _doses), ("recovery", _since), ("hour", _hours)):
            labelled = places([sends for _, sends in sides])
            points = []
            for label, x, inside in labelled:
                counts = [float(y[i][sides[i][1].row[inside[i]]].sum()) for i in (0, 1)]
                n, m = (int(one.sum()) for one in inside)
                if min(n, m) < 1 or sum(counts) < _FEWEST:
                    continue
                a, b = (_share(sides[i][0], y[i], sides[i][1].row[inside[i]]) for i in (0, 1))
                points.append(CurvePoint(label, x, a, b, n, m))
            drawn.append(Curve(family, name, tuple(points)))
    return tuple(curve for curve in drawn if len(curve.points) > 1)


def curve_comparisons(answer_curves: tuple[Curve, ...], margin: float) -> list[Comparison]:
    """Log odds at each place less those at the curve's first, simulated against real.

    A world in which all answers are too frequent by one factor passes here; `rates` compares that.
    """
    compared = []
    for curve in answer_curves:
        base = curve.points[0]
        for point in curve.points[1:]:
            a = _contrast(_log_odds(point.real, point.sends), _log_odds(base.real, base.sends))
            b = _contrast(
                _log_odds(point.simulated, point.simulated_sends),
                _log_odds(base.simulated, base.simulated_sends),
            )
            compared.append(
                Comparison(
                    curve.family,
                    curve.head,
                    f"{point.label} against {base.label}",
                    a,
                    b,
                    b.value - a.value,
                    float(np.hypot(a.stderr, b.stderr)),
                    margin,
                    "log odds",
                )
            )
    return compared


def hour_table(
    real: Trajectories, simulated: Trajectories, journey: Journey, wanted: str
) -> FloatArray:
    """Share of sends answered by weekday and local hour, [2, 7, 24]: log, world; NaN where none."""
    table = np.full((2, 7, 24), np.nan)
    for side, played in enumerate((real, simulated)):
        sends, y = sends_of(played, journey), answers(played, journey, wanted)
        known = (sends.weekday >= 0) & (sends.hour >= 0)
        cell = sends.weekday[known] * 24 + sends.hour[known]
        weight = played.weight[sends.row[known]]
        below = np.bincount(cell, weight, 168)
        top = np.bincount(cell, weight * y[sends.row[known]], 168)
        table[side] = np.where(below > 0, top / np.maximum(below, 1e-12), np.nan).reshape(7, 24)
    return table


def _doses(sides: list[Sends]) -> list[tuple[str, float, list[BoolArray]]]:
    names = ((0.0, "no send in 7 days"), (1.0, "1 send in 7 days"), (2.0, "2 sends in 7 days"))
    bands = [(name, x, [s.dose == x for s in sides]) for x, name in names]
    return [*bands, ("3 or more sends in 7 days", 3.0, [s.dose >= 3 for s in sides])]


def _since(sides: list[Sends]) -> list[tuple[str, float, list[BoolArray]]]:
    bands = [("the first send", -1.0, [np.isinf(s.since) for s in sides])]
    for low, high in pairwise(_RECOVERY):
        inside = [(s.since > low) & (s.since <= high) & np.isfinite(s.since) for s in sides]
        if inside[0].any():
            label = f"{low:g} to {high:g} days after" if np.isfinite(high) else f"{low:g}+ days"
            bands.append((label, float(sides[0].since[inside[0]].mean()), inside))
    repeated = [np.isfinite(s.since) for s in sides]
    return [*bands, ("any later send", np.nan, repeated)]


def _hours(sides: list[Sends]) -> list[tuple[str, float, list[BoolArray]]]:
    hours = np.unique(np.concatenate([s.hour[s.hour >= 0] for s in sides]))
    return [(f"{hour:02d}:00", float(hour), [s.hour == hour for s in sides]) for hour in hours]


def _share(played: Trajectories, y: FloatArray, rows: IntArray) -> Estimate:
    inside = np.zeros(len(y))
    inside[rows] = 1.0
    value, stderr = ratios(played, (y * inside)[:, None], inside)
    return Estimate(float(value[0]), float(stderr[0]))


def _log_odds(share: Estimate, sends: int) -> Estimate:
    """Log odds of a share; half an answer keeps it away from 0 and 1.

    Where no send or every one was answered, the standard error is that of the half answer: about
    1.4, whatever the number of sends.
    """
    least = 0.5 / (sends + 1)
    p = min(max(share.value, least), 1.0 - least)
    binomial = float(np.sqrt(p * (1.0 - p) / sends))
    floor = min(binomial, 1e-4) if p == share.value else binomial
    return Estimate(float(logit(p)), max(share.stderr, floor) / (p * (1.0 - p)))


def _contrast(point: Estimate, base: Estimate) -> Estimate:
    """Difference of log odds."""
    return Estimate(point.value - base.value, float(np.hypot(point.stderr, base.stderr)))
