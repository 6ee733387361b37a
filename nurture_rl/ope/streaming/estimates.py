"""Estimates from sums, equal to the estimators in memory with a bucket for a contact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import LogError, OverlapError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.moments import (
    CORRECTION,
    GAIN,
    HEAD,
    ROWS,
    VALUE,
    WEIGHT,
    WEIGHT_SQUARED,
    Moments,
    MomentsConfig,
)
from nurture_rl.ope.weighting.slope import Tuned, tuned


@dataclass(frozen=True, slots=True, eq=False)
class StreamedEstimates:
    """What the sums say, tuned estimators included."""

    estimates: Mapping[str, ValueEstimate]  # ips, snips, dm, dr, sndr
    tuned: Mapping[str, Tuned]  # clipped_ips, switch_dr, dros

    def all(self) -> Mapping[str, ValueEstimate]:
        """Every estimate by the name it has in the suite."""
        return {**self.estimates, **{name: choice.estimate for name, choice in self.tuned.items()}}


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
        return clustered_estimate(value, (scores - value * rows) / n, int(n), effective)

    def normalised(scores: FloatArray, base: FloatArray) -> ValueEstimate:
        """The mean of `base` and the weighted mean of what `scores` weights, both [C]."""
        ratio, plain = float(scores.sum() / weight), float(base.sum() / n)
        errors = (scores - ratio * sums[:, WEIGHT]) / weight + (base - plain * rows) / n
        return clustered_estimate(ratio + plain, errors, int(n), ess)

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


def _occupied(moments: Moments) -> FloatArray:
    sums = moments.sums[moments.sums[:, ROWS] > 0.0]
    if len(sums) == 0:
        raise LogError("no decision was summed; expected at least one, check the filters before")
    return sums


def _families(sums: FloatArray, config: MomentsConfig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Columns of the clips, taus and lams, each [C, k]."""
    first = HEAD + len(config.clips)
    second = first + len(config.taus)
    return sums[:, HEAD:first], sums[:, first:second], sums[:, second:]


def clustered_estimate(value: float, influence: FloatArray, n: int, ess: float) -> ValueEstimate:
    """An estimate whose error follows from what each cluster adds to it.

    Args:
        value: of the policy, the log's unit.
        influence: of each cluster on the value, [C].
        n: episodes.
        ess: effective sample size.
    """
    return ValueEstimate(
        value=value,
        stderr=clustered_stderr(influence),
        n_episodes=n,
        n_clusters=influence.size,
        ess=ess,
        influence=influence,
    )
