"""Estimates from sums, equal to the estimators in memory with a bucket for a contact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import LogError, OverlapError
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.bounds.interval import Interval
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.moments import (
    CORRECTION,
    GAIN,
    HEAD,
    OF_REWARD,
    OF_WEIGHT,
    ROWS,
    VALUE,
    WEIGHT,
    WEIGHT_SQUARED,
    Moments,
    MomentsConfig,
)
from nurture_rl.ope.weighting.slope import Tuned, tuned


@dataclass(frozen=True, slots=True, eq=False)
class PointValues:
    """Values of all estimators from totals [..., columns]; families have their grid last."""

    ips: FloatArray  # [...]
    snips: FloatArray
    dm: FloatArray
    dr: FloatArray
    sndr: FloatArray
    clipped_ips: FloatArray  # [..., clips]
    switch_dr: FloatArray  # [..., taus]
    dros: FloatArray  # [..., lams]


@dataclass(frozen=True, slots=True, eq=False)
class StreamedEstimates:
    """What the sums say, tuned estimators included."""

    estimates: Mapping[str, ValueEstimate]  # ips, snips, dm, dr, sndr
    tuned: Mapping[str, Tuned]  # clipped_ips, switch_dr, dros

    def all(self) -> Mapping[str, ValueEstimate]:
        """Every estimate by the name it has in the suite."""
        return {**self.estimates, **{name: choice.estimate for name, choice in self.tuned.items()}}


def point_values(totals: FloatArray, config: MomentsConfig) -> PointValues:
    """Values alone, for totals of a log or of many resamples of it, [..., columns]."""
    n, weight = totals[..., ROWS], totals[..., WEIGHT]
    modelled = totals[..., VALUE] / n
    clipped, switched, shrunken = _families(totals, config)
    return PointValues(
        ips=totals[..., GAIN] / n,
        snips=totals[..., GAIN] / weight,
        dm=modelled,
        dr=modelled + totals[..., CORRECTION] / n,
        sndr=modelled + totals[..., CORRECTION] / weight,
        clipped_ips=clipped / n[..., None],
        switch_dr=modelled[..., None] + switched / n[..., None],
        dros=modelled[..., None] + shrunken / n[..., None],
    )


def streamed_estimates(moments: Moments) -> StreamedEstimates:
    """Every one-step estimate with its error by bucket of contacts, and the tuned ones.

    Raises:
        LogError: no decision was summed.
        OverlapError: all weights are 0.
    """
    sums, config = _occupied(moments), moments.config
    total = sums.sum(axis=0)
    n, weight = total[ROWS], total[WEIGHT]
    if weight <= 0.0:
        raise OverlapError(
            f"all {n:.0f} importance weights are 0: the target policy never does what was logged; "
            "compare the action sets, or log with more exploration"
        )
    ess = float(weight**2 / total[WEIGHT_SQUARED])
    clipped, switched, shrunken = _families(sums, config)
    rows, modelled = sums[:, ROWS], sums[:, VALUE]

    def mean(scores: FloatArray, effective: float = ess) -> ValueEstimate:
        """Of scores summed by bucket, [C]."""
        value = float(scores.sum() / n)
        return _estimate(value, (scores - value * rows) / n, int(n), effective)

    def normalised(scores: FloatArray, base: FloatArray) -> ValueEstimate:
        """The mean of `base` and the weighted mean of what `scores` weights, both [C]."""
        ratio, plain = float(scores.sum() / weight), float(base.sum() / n)
        errors = (scores - ratio * sums[:, WEIGHT]) / weight + (base - plain * rows) / n
        return _estimate(ratio + plain, errors, int(n), ess)

    gain, correction = sums[:, GAIN], sums[:, CORRECTION]
    estimates = {
        "ips": mean(gain),
        "snips": normalised(gain, np.zeros(len(sums))),
        "dm": mean(modelled, float(n)),
        "dr": mean(modelled + correction),
        "sndr": normalised(correction, modelled),
    }
    grids = (
        ("clipped_ips", config.clips, clipped, 0.0),
        ("switch_dr", config.taus, switched, modelled[:, None]),
        ("dros", config.lams, shrunken, modelled[:, None]),
    )
    chosen = {
        name: tuned({at: mean(column) for at, column in zip(grid, (base + part).T, strict=True)})
        for name, grid, part, base in grids
        if grid
    }
    return StreamedEstimates(estimates, chosen)


def exact_streamed_interval(moments: Moments, level: float) -> Interval | None:
    """Exact interval of IPS where it is a scaled share of successes, else None.

    It is one where every matched action has one weight w and the reward is 0 or one amount b > 0:
    then V = w b k / N with k matched outcomes. Sums cannot tell how often a contact decided: ask
    only where each decided once.
    """
    weights, rewards = moments.bounds[OF_WEIGHT], moments.bounds[OF_REWARD]
    if weights[0] != weights[1] or rewards[0] != rewards[1] or rewards[0] <= 0.0:
        return None
    scale = float(weights[0] * rewards[0])
    return binomial_interval(moments.matched, moments.n_rows, level, scale)


def mean_weights(moments: Moments, name: str) -> FloatArray:
    """Mean weight of each code of a group and its standard error, 1 is due, [G, 2].

    Codes without a decision are NaN. The error takes decisions for independent.
    """
    rows, weight, square = moments.by[name].T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = weight / rows
        spread = np.sqrt(np.maximum(square / rows - mean**2, 0.0) / rows)
    return np.column_stack([mean, spread])


def _occupied(moments: Moments) -> FloatArray:
    sums = moments.sums[moments.sums[:, ROWS] > 0.0]
    if len(sums) == 0:
        raise LogError("no decision was summed; expected at least one, check the filters before")
    return sums


def _families(sums: FloatArray, config: MomentsConfig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns of the clips, taus and lams, each [..., k]."""
    first = HEAD + len(config.clips)
    second = first + len(config.taus)
    return sums[..., HEAD:first], sums[..., first:second], sums[..., second:]


def _estimate(value: float, influence: FloatArray, n: int, ess: float) -> ValueEstimate:
    return ValueEstimate(
        value=value,
        stderr=clustered_stderr(influence),
        n_episodes=n,
        n_clusters=influence.size,
        ess=ess,
        influence=influence,
    )
