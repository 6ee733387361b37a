"""Hazards of an outcome after a decision: a pooled model over days, fitted to open windows too.

The rate of an outcome on day t after a decision, for whom it has not come yet, is

    rate(t | x) = exp(a_sc + b_s x),    chance(h | x) = 1 - exp(-sum_sc days_sc(h) rate_sc(x))

with s the segment between two horizons that t lies in, and c the part of the episode that this day
falls in: programmes mail by the calendar of the episode, and rates follow. Among the features x are
the age of the episode at the decision and its products with all others: that nobody clicked says
little on the first day, and much on the tenth. A window that is still open counts by the days that
were watched: with e_sc days watched and d_sc = 1 where the outcome came, the log-likelihood is

    sum_sc d_sc log rate_sc - e_sc rate_sc

which takes no window for one without outcome because the log ended, and needs no weights.

Source: Holford (1980), The Analysis of Rates and of Survivorship Using Log-Linear Models; van
Houwelingen (2007), Dynamic Prediction by Landmarking, for the products with the landmark's age.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.errors import FitError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HORIZONS = (7.0, 14.0, 30.0, 90.0)  # days
_FEW = 20  # outcomes of a segment below which it has rates and no slopes
_PRIOR = 2.0  # outcomes that a part's rate is believed to be that of its segment
_PRECISIONS = (300.0, 30.0, 3.0)  # of slopes, per standard deviation of a feature
_STEPS, _SETTLED = 40, 1e-8
_SLOPE_PRECISION = 4.0  # of the recalibration: slope 1 +- 0.5
_CLIP = 4.0  # standard deviations beyond which a feature counts no more


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """When an outcome came after each decision, and how long it was looked for."""

    age: FloatArray  # [n], days from the episode's begin to the decision's bin
    days_until: FloatArray  # [n], > 0; infinite where it did not come while it was watched
    days: FloatArray  # [n], watched, >= 0

    def take(self, rows: IntArray) -> Watched:
        """Some of the decisions."""
        return Watched(self.age[rows], self.days_until[rows], self.days[rows])


@dataclass(frozen=True, slots=True, eq=False)
class HazardSegment:
    """The hazard between two horizons."""

    low: float  # days
    high: float
    base: FloatArray  # log rate a day in each part of the episode at mean features, [parts]
    slopes: FloatArray  # per standard deviation: features, age and its square, products, [2 d + 2]
    slope: float  # of the recalibration: stretches what the features say
    events: int  # outcomes it was fitted to


@dataclass(frozen=True, slots=True, eq=False)
class WindowHazards:
    """A fitted model of one outcome."""

    mean: FloatArray  # of the features, [d]
    scale: FloatArray  # standard deviations, 1 where a feature never varies, [d]
    ages: FloatArray  # mean, standard deviation, least and most of log(1 + age in days), [4]
    edges: FloatArray  # of the episode's parts, days from its begin, the last infinite, [parts + 1]
    segments: tuple[HazardSegment, ...]

    @property
    def longest(self) -> float:
        """The longest horizon it knows, days."""
        return self.segments[-1].high

    def standard(self, features: NDArray[np.float32]) -> FloatArray:
        """Features in standard deviations from their mean, [n, d]."""
        z = (np.asarray(features, np.float64) - self.mean) / self.scale
        return np.asarray(np.clip(z, -_CLIP, _CLIP))

    def with_age(self, z: FloatArray, age: FloatArray) -> FloatArray:
        """Standardised features, the age, its square, and features times the age, [n, 2 d + 2]."""
        mean, spread, least, most = self.ages
        a = (np.clip(np.log1p(age), least, most) - mean) / spread
        return np.column_stack([z, a, a * a, z * a[:, None]])

    def chance(self, features: NDArray[np.float32], age: FloatArray, horizon: float) -> FloatArray:
        """Chance that the outcome comes within a horizon, [n].

        Args:
            features: of the decisions, [n, d].
            age: days from the episode's begin to the decision's bin, [n].
            horizon: days, at most the longest of the fit.

        Raises:
            ShapeError: the horizon is longer than that.
        """
        return self.chance_of(self.standard(features), age, horizon)

    def chance_of(self, z: FloatArray, age: FloatArray, horizon: float) -> FloatArray:
        """The same from standardised features, [n, d] -> [n]."""
        if horizon > self.longest:
            raise ShapeError(f"expected at most {self.longest:g} days, got {horizon:g}")
        z = self.with_age(z, age)
        total = np.zeros(len(z))
        for one in self.segments:
            if horizon > one.low:
                until = np.full(len(z), min(horizon, one.high))
                days = days_in(age + one.low, age + until, self.edges)
                total += days @ np.exp(one.base) * np.exp(one.slope * (z @ one.slopes))
        return np.asarray(-np.expm1(-total))


def days_in(begin: FloatArray, end: FloatArray, edges: FloatArray) -> FloatArray:
    """How many days between two moments of an episode lie in each of its parts, [n, parts]."""
    low, high = edges[:-1], edges[1:]
    inside = np.minimum(end[:, None], high) - np.maximum(begin[:, None], low)
    return np.asarray(np.clip(inside, 0.0, None))


def fit_window_hazards(
    features: NDArray[np.float32],
    watched: Watched,
    unit: IntArray,
    aside: BoolArray,
    edges: FloatArray,
    horizons: Sequence[float] = HORIZONS,
) -> WindowHazards:
    """Fit the hazard of one outcome and recalibrate it on contacts left aside.

    Args:
        features: of the decisions, [n, d], finite.
        watched: of the same decisions.
        unit: number of the contact or account of each, [n].
        aside: decisions of units that choose how much slopes are shrunk and stretched, and that
            fit no slope, [n].
        edges: of the parts of an episode, days, from 0 to infinity, [parts + 1].
        horizons: days, ascending; segments lie between them. What nobody was watched for is left
            out.

    Raises:
        FitError: nothing was watched, or the outcome never came.
    """
    learn = ~aside
    if not learn.any() or not np.isfinite(watched.days_until[learn]).any():
        raise FitError("the outcome never came while it was watched; log more, or wait")
    among = np.asarray(features[learn], np.float64)
    mean, spread = among.mean(0), among.std(0)
    old = np.log1p(watched.age[learn])
    ages = np.array([old.mean(), old.std() if old.std() > 1e-9 else 1.0, old.min(), old.max()])
    model = WindowHazards(mean, np.where(spread > 1e-9, spread, 1.0), ages, edges, ())
    z = model.with_age(model.standard(features), watched.age)
    segments: list[HazardSegment] = []
    for low, high in zip((0.0, *horizons[:-1]), horizons, strict=True):
        if watched.days[learn].max(initial=0.0) <= (low + high) / 2.0:
            break
        counted = _counted(watched, low, high, edges)
        segments.append(_segment(z, counted, unit, learn, (low, high)))
    if not segments:
        raise FitError(f"no window was watched for {horizons[0] / 2.0:g} days; log more, or wait")
    return replace(model, segments=tuple(segments))


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    exposure: FloatArray  # days watched without the outcome, [n, parts]
    event: FloatArray  # 1 where it came, [n, parts]

    def take(self, rows: BoolArray) -> _Counts:
        return _Counts(self.exposure[rows], self.event[rows])

    @property
    def happened(self) -> FloatArray:
        return np.asarray(self.event.sum(1))

    @property
    def rate(self) -> float:
        """Outcomes a day; half a one where there is none."""
        return max(float(self.event.sum()), 0.5) / max(float(self.exposure.sum()), 1e-12)


def _counted(watched: Watched, low: float, high: float, edges: FloatArray) -> _Counts:
    end = np.minimum(np.minimum(watched.days, watched.days_until), high)
    exposure = days_in(watched.age + low, watched.age + np.maximum(end, low), edges)
    until = watched.days_until
    came = (until <= watched.days) & (until > low) & (until <= high)
    event = np.zeros(exposure.shape)
    rows = np.flatnonzero(came)
    part = np.searchsorted(edges, watched.age[rows] + until[rows], side="left") - 1
    event[rows, np.clip(part, 0, len(edges) - 2)] = 1.0
    return _Counts(exposure, event)


def _segment(
    z: FloatArray,
    counts: _Counts,
    unit: IntArray,
    learn: BoolArray,
    ends: tuple[float, float],
) -> HazardSegment:
    used = counts.exposure.sum(1) > 0.0
    fit, tune = learn & used, ~learn & used
    learned, aside = counts.take(fit), counts.take(tune)
    events = int(learned.event.sum())
    if events < _FEW:
        base = _rates(counts, np.zeros(len(z)))
        return HazardSegment(*ends, base, np.zeros(z.shape[1]), 1.0, events)
    tried: list[_Fit] = []
    for precision in _PRECISIONS:
        tried.append(_fitted(z[fit], learned, precision, tried[-1] if tried else None))
    scored = [_likelihood(aside, base, z[tune] @ slopes) for base, slopes in tried]
    base, slopes = tried[int(np.argmax(scored))]
    # One outcome follows several decisions of a contact: so many rows know less than they seem to.
    again = aside.event.sum() / max(len(np.unique(unit[tune][aside.happened > 0.0])), 1)
    expected = aside.exposure @ np.exp(base)
    slope = _slope(z[tune] @ slopes, expected, aside.happened, _SLOPE_PRECISION * max(again, 1.0))
    # Rates, unlike slopes, may be fitted to whom the slopes have seen: all know them best.
    return HazardSegment(*ends, _rates(counts, slope * (z @ slopes)), slopes, slope, events)


def _rates(counts: _Counts, score: FloatArray) -> FloatArray:
    """Log rate of each part beside what features say, [parts]."""
    days = counts.exposure.T @ np.exp(score)
    rate = max(float(counts.event.sum()), 0.5) / max(float(days.sum()), 1e-12)
    return np.asarray(np.log((counts.event.sum(0) + _PRIOR) / (days + _PRIOR / rate)))


_Fit = tuple[FloatArray, FloatArray]  # log rates, [parts], and slopes, [d]


def _fitted(z: FloatArray, counts: _Counts, precision: float, begin: _Fit | None) -> _Fit:
    """Penalised maximum likelihood by Newton's steps."""
    parts, d = counts.exposure.shape[1], z.shape[1]
    base, slopes = begin or (_rates(counts, np.zeros(len(z))), np.zeros(d))
    happened, apart = counts.happened, _PRIOR / counts.rate
    best = -np.inf
    for _ in range(_STEPS):
        mean = counts.exposure * np.exp(base) * np.exp(z @ slopes)[:, None]
        believed = apart * np.exp(base)
        ahead = np.concatenate(
            [
                counts.event.sum(0) + _PRIOR - mean.sum(0) - believed,
                z.T @ (happened - mean.sum(1)) - precision * slopes,
            ]
        )
        curve = np.zeros((parts + d, parts + d))
        curve[:parts, :parts] = np.diag(mean.sum(0) + believed)
        curve[:parts, parts:] = mean.T @ z
        curve[parts:, :parts] = curve[:parts, parts:].T
        curve[parts:, parts:] = (z * mean.sum(1)[:, None]).T @ z + precision * np.eye(d)
        step, size, last = np.linalg.solve(curve, ahead), 1.0, best
        while size > 1e-4:
            trial = base + size * step[:parts], slopes + size * step[parts:]
            best = _penalised(z, counts, *trial, precision)
            if best >= last:
                break
            size /= 2.0
        else:
            break
        base, slopes = trial
        if best - last < _SETTLED * max(abs(best), 1.0):
            break
    return base, slopes


def _penalised(
    z: FloatArray, counts: _Counts, base: FloatArray, slopes: FloatArray, precision: float
) -> float:
    believed = _PRIOR * float(base.sum()) - _PRIOR / counts.rate * float(np.exp(base).sum())
    return (
        _likelihood(counts, base, z @ slopes) + believed - 0.5 * precision * float(slopes @ slopes)
    )


def _likelihood(counts: _Counts, base: FloatArray, score: FloatArray) -> float:
    said = counts.event.sum(0) @ base + counts.happened @ score
    return float(said - (counts.exposure @ np.exp(base)) @ np.exp(np.minimum(score, 50.0)))


def _slope(score: FloatArray, expected: FloatArray, event: FloatArray, precision: float) -> float:
    """Slope of a score on contacts it was not fitted to, with a prior of 1 and a free rate.

    Args:
        score: what features say, [n].
        expected: outcomes expected of each at score 0, [n].
        event: outcomes, [n].
        precision: of the prior.
    """
    slope = 1.0
    for _ in range(_STEPS if event.sum() else 0):
        weight = expected * np.exp(np.clip(slope * score, -50.0, 50.0))
        weight *= event.sum() / weight.sum()
        middle = float(weight @ score / weight.sum())
        ahead = float(event @ score - weight @ score) - precision * (slope - 1.0)
        curve = float(weight @ (score - middle) ** 2) + precision
        step = float(np.clip(ahead / curve, -0.5, 0.5))
        slope += step
        if abs(step) < 1e-9:
            break
    return max(slope, 0.0)
