"""Whether the features of a policy give away an attribute that it must not decide by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

FOLDS = 5
FEWEST = 50  # contacts with a level, and without it, below which nothing is said
_PERMUTATIONS = 499
_RIDGE = 10.0  # penalty on standardised columns
_WIDER = ((1.0 / FOLDS + 1.0 / (FOLDS - 1)) * FOLDS) ** 0.5  # 1.5, see `proxy_of_level`

# `proxy`: the whole interval lies above the limit; `no_proxy`: all of it at or below.
ProxyVerdict = Literal["proxy", "no_proxy", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class ProxyEstimate:
    """How well features foretell an attribute of contacts that no fit saw."""

    value: float  # area under the curve (0.5 is luck), or R2 (0 is luck)
    lower: float
    upper: float
    luck: float  # 95th percentile where the attribute is shuffled
    p_value: float  # share of shuffles that do as well, this one counted
    verdict: ProxyVerdict


def proxy_of_level(
    features: FloatArray, has: BoolArray, limit: float, confidence: float, seed: int
) -> ProxyEstimate:
    """Foretell who has a level of an attribute, by cross-validated ridge regression.

    Each contact is scored by a regression on the features and their squares that was fitted to four
    fifths of the others; the area under the curve is taken within each fifth and averaged, since
    scores of different fits cannot be compared. Its standard error is that of DeLong, DeLong &
    Clarke-Pearson (1988) within the fifths, widened by half for fits that share contacts (Nadeau &
    Bengio 2003, Inference for the Generalization Error, with fifths). What needs more than sums of
    features and squares is not seen: no proxy found is no proof that there is none.

    Args:
        features: one row per contact, [n, d].
        has: who has the level, [n], at least `FEWEST` of each.
        limit: area from which on it counts as a proxy.
        confidence: of the interval, in (0, 1).
        seed: of folds and shuffles.

    """
    rng = np.random.default_rng(seed)
    folds = _folds(has.astype(np.int64), rng)
    fits = list(_fits(features, folds))
    parts = [_area(scores, has[rows]) for rows, scores in _scores(fits, has.astype(np.float64))]
    value = float(np.mean([area for area, _ in parts]))
    error = float(np.sqrt(np.sum([variance for _, variance in parts]))) / FOLDS
    shuffled = [
        float(np.mean([_area(s, other[rows])[0] for rows, s in _scores(fits, other.astype(float))]))
        for other in _shuffles(has, folds, rng)
    ]
    return _judged(value, error, shuffled, limit, confidence)


def proxy_of_number(
    features: FloatArray, numbers: FloatArray, limit: float, confidence: float, seed: int
) -> ProxyEstimate:
    """Foretell a number: the share of its variance that cross-validated ridge regression explains.

        R2 = 1 - sum (y - f(x))^2 / sum (y - mean)^2

    f and mean are of the other four fifths; the standard error is that of a ratio of means (delta
    method). Arguments and results as of `proxy_of_level`.
    """
    rng = np.random.default_rng(seed)
    folds = rng.permutation(np.arange(len(numbers)) % FOLDS)
    fits = list(_fits(features, folds))
    value, error = _explained(fits, numbers)
    shuffled = [_explained(fits, other)[0] for other in _shuffles(numbers, folds, rng)]
    return _judged(value, error, shuffled, limit, confidence)


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """What a fifth is scored by: rows, and the map from the others' answers to its scores."""

    rows: IntArray  # [s]
    others: IntArray  # [t]
    others_design: FloatArray  # [t, k], centred
    to_scores: FloatArray  # [s, k]


def _folds(groups: IntArray, rng: np.random.Generator) -> IntArray:
    """A fifth for each contact, each group shared out evenly, [n]."""
    folds = np.empty(len(groups), np.int64)
    for group in np.unique(groups):
        rows = rng.permutation(np.flatnonzero(groups == group))
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _fits(features: FloatArray, folds: IntArray) -> Iterator[_Fit]:
    design = np.concatenate([features, features**2], axis=1)
    for fold in range(FOLDS):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        mean, scale = design[others].mean(axis=0), design[others].std(axis=0)
        scale = np.where(scale > 1e-12, scale, np.inf)  # what never varies says nothing
        own, of_others = (design[rows] - mean) / scale, (design[others] - mean) / scale
        inner = of_others.T @ of_others + _RIDGE * np.eye(design.shape[1])
        yield _Fit(rows, others, of_others, np.linalg.solve(inner, own.T).T)


def _scores(fits: Sequence[_Fit], answers: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """Rows of each fifth with their scores."""
    for fit in fits:
        known = answers[fit.others]
        mean = known.mean()
        yield fit.rows, mean + fit.to_scores @ (fit.others_design.T @ (known - mean))


def _area(scores: FloatArray, has: BoolArray) -> tuple[float, float]:
    """The area under the curve, ties counted half, and its variance."""
    high, low = np.sort(scores[has]), np.sort(scores[~has])
    above = [np.searchsorted(low, high, side) for side in ("left", "right")]
    below = [np.searchsorted(high, low, side) for side in ("left", "right")]
    won = (above[0] + above[1]) / (2.0 * len(low))
    lost = 1.0 - (below[0] + below[1]) / (2.0 * len(high))
    return float(won.mean()), float(won.var(ddof=1) / len(high) + lost.var(ddof=1) / len(low))


def _explained(fits: Sequence[_Fit], numbers: FloatArray) -> tuple[float, float]:
    """R2 and its standard error."""
    wrong, spread = np.empty(len(numbers)), np.empty(len(numbers))
    for (rows, scores), fit in zip(_scores(fits, numbers), fits, strict=True):
        wrong[rows] = (numbers[rows] - scores) ** 2
        spread[rows] = (numbers[rows] - numbers[fit.others].mean()) ** 2
    ratio = wrong.sum() / spread.sum()
    noise = wrong - ratio * spread
    return float(1.0 - ratio), float(np.sqrt(noise @ noise) / spread.sum())


def _shuffles(
    answers: NDArray[Any], folds: IntArray, rng: np.random.Generator
) -> Iterator[NDArray[Any]]:
    """The answers, shuffled within each fifth."""
    places = [np.flatnonzero(folds == fold) for fold in range(FOLDS)]
    for _ in range(_PERMUTATIONS):
        other = answers.copy()
        for rows in places:
            other[rows] = answers[rng.permutation(rows)]
        yield other


def _judged(
    value: float, error: float, shuffled: Sequence[float], limit: float, confidence: float
) -> ProxyEstimate:
    reach = NormalDist().inv_cdf(0.5 + confidence / 2.0) * error * _WIDER
    lower, upper = value - reach, min(value + reach, 1.0)
    as_well = 1 + sum(one >= value for one in shuffled)
    verdict: ProxyVerdict = (
        "proxy" if lower > limit else "no_proxy" if upper <= limit else "cannot_tell"
    )
    luck = float(np.quantile(shuffled, 0.95))
    return ProxyEstimate(value, lower, upper, luck, as_well / (1 + len(shuffled)), verdict)
