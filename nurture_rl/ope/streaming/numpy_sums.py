"""The sums by numpy alone, chunk after chunk."""

from __future__ import annotations

import numpy as np

from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.decision_columns import DecisionColumns
from nurture_rl.ope.streaming.moments import Moments, MomentsConfig, no_moments


def chunk_moments(rows: DecisionColumns, config: MomentsConfig) -> Moments:
    """The sums over a chunk of decisions; some thirty numbers of each are in memory at once."""
    empty = no_moments(config)
    weight = rows.taken / rows.propensity
    gain, correction = weight * rows.reward, weight * (rows.reward - rows.q_logged)
    score = rows.value + correction
    columns = [
        np.ones(weight.size),
        weight,
        weight * weight,
        gain,
        gain * gain,
        rows.value,
        correction,
        score * score,
        *(np.minimum(weight, clip) * rows.reward for clip in config.clips),
        *(np.where(weight <= tau, correction, 0.0) for tau in config.taus),
        *(correction / (1.0 + weight * weight / lam) for lam in config.lams),
    ]
    bucket = bucket_of(rows.contact, config.n_buckets)
    sums = [np.bincount(bucket, column, config.n_buckets) for column in columns]
    seen = (weight[weight > 0.0], rows.reward[rows.reward != 0.0], gain, score)
    return Moments(
        config=config,
        sums=empty.sums + np.stack(sums, axis=1),
        bounds=np.array([_range(numbers) for numbers in seen]),
        matched=int(((weight > 0.0) & (rows.reward > 0.0)).sum()),
    )


def _range(numbers: FloatArray) -> tuple[float, float]:
    return float(numbers.min(initial=np.inf)), float(numbers.max(initial=-np.inf))
