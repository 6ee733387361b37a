"""Upper bounds on what must stay rare: complaints, unsubscribes, and other second outcomes.

No event seen does not mean none will come: the bound is then about three events' worth of the
largest weight one could have carried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.bounds.interval import require_level
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import cumulative_weights, mean_of_episodes
from nurture_rl.ope.log import EvaluationLog, FloatArray, positions
from nurture_rl.ope.ties import one_value

EXPOSURE_SHARE = 0.1  # of the error, for not knowing how much exposure the target brings


@dataclass(frozen=True, slots=True)
class HarmBound:
    """How often an event happens under the target, and what it does not exceed."""

    rate: float  # events per episode or per unit of exposure
    upper: float  # one-sided
    level: float  # chance that the rate is no larger than `upper`
    method: str  # "clopper-pearson" or "gamma"
    observed: int  # contacts with an event that the target could have caused
    largest_weight: float  # of one event
    exposure: float  # of the target in the log: episodes, or weighted exposure


def harm_bound(
    log: EvaluationLog,
    taken: FloatArray,
    events: FloatArray,
    level: float,
    exposure: FloatArray | None = None,
) -> HarmBound:
    """Bound the rate of an event under a target policy from above, valid at small counts.

    Where contacts have one episode with one event at most, and all weights that are not 0 equal w,
    the rate per episode is w times a share and its bound is exact (Clopper-Pearson). Else, with
    Z_c the weighted events of contact c, y = sum Z_c, v = sum Z_c^2 and m the largest weight an
    event could have carried, the bound of the expected sum is the gamma quantile

        Gamma^-1(level; shape (y + m)^2 / (v + m^2), scale (v + m^2) / (y + m))

    which is the exact Poisson bound when weights are equal, and -m log(1 - level) at no event.
    A rate per exposure divides by the exposure's lower bound, for which a tenth of the error stays.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        events: events that belong to each decision, >= 0, [N].
        level: stated coverage, in (0, 1).
        exposure: what the rate is per, such as emails sent, >= 0, [N]; None: per episode.

    Raises:
        ShapeError: events or exposure that are not one number >= 0 per decision, or a level
            outside (0, 1).
        OverlapError: all weights are 0: the log says nothing of the target.

    Source: Fay & Feuer (1997), Confidence Intervals for Directly Standardized Rates; contacts as
        units as in compound Poisson sums.
    """
    _require_counts(log, "events", events)
    require_level(level)
    weights = cumulative_weights(log, taken)[log.episode, positions(log)]
    if weights.max() <= 0.0:
        raise OverlapError(
            f"all {log.n_rows} decisions have weight 0, so that no event could have counted; "
            "compare the action sets, or log with more exploration"
        )
    share = 0.0 if exposure is None else EXPOSURE_SHARE
    error = (1.0 - level) * (1.0 - share)
    per_contact = _by_contact(log, weights * events)
    upper, method = _upper_sum(log, weights, events, per_contact, error)
    exposed = lowest = float(log.n_episodes)
    if exposure is not None:
        _require_counts(log, "exposure", exposure)
        exposed = float(weights @ exposure)
        lowest = _lower_exposure(log, weights * exposure, (1.0 - level) * share)
    return HarmBound(
        rate=float(per_contact.sum()) / exposed if exposed > 0.0 else float("nan"),
        upper=upper / lowest if lowest > 0.0 else float("inf"),
        level=level,
        method=method,
        observed=int((per_contact > 0.0).sum()),
        largest_weight=float(weights.max()),
        exposure=exposed,
    )


def _upper_sum(
    log: EvaluationLog,
    weights: FloatArray,
    events: FloatArray,
    per_contact: FloatArray,
    error: float,
) -> tuple[float, str]:
    """Upper bound of the expected weighted sum of events over the log's episodes."""
    from scipy.special import betainccinv, gammainccinv

    matched = weights > 0.0
    alone = per_contact.size == log.n_episodes
    most = np.bincount(log.episode, weights=matched * events).max()
    if alone and one_value(weights[matched]) and most <= 1.0 and np.isin(events, (0.0, 1.0)).all():
        count, trials = int((matched * events).sum()), log.n_episodes
        chance = betainccinv(count + 1, trials - count, error) if count < trials else 1.0
        return float(weights.max() * trials * chance), "clopper-pearson"
    largest = max(float(weights.max()), float(per_contact.max()))
    total, square = float(per_contact.sum()), float(per_contact @ per_contact)
    scale = (square + largest**2) / (total + largest)
    return float(gammainccinv((total + largest) / scale, error) * scale), "gamma"


def _lower_exposure(log: EvaluationLog, weighted: FloatArray, error: float) -> float:
    """Lower bound of the expected weighted exposure over the log's episodes, clustered."""
    from scipy.special import stdtrit

    per_episode = np.bincount(log.episode, weights=weighted).astype(np.float64)
    mean = mean_of_episodes(log, per_episode, float(log.n_episodes))
    if mean.n_clusters < 2:
        return 0.0
    half = -float(stdtrit(mean.n_clusters - 1, error)) * mean.stderr
    return (mean.value - half) * log.n_episodes


def _by_contact(log: EvaluationLog, per_row: FloatArray) -> FloatArray:
    per_episode = np.bincount(log.episode, weights=per_row).astype(np.float64)
    return cluster_totals(log, per_episode)


def _require_counts(log: EvaluationLog, name: str, values: FloatArray) -> None:
    if values.shape != (log.n_rows,) or not (np.isfinite(values) & (values >= 0.0)).all():
        raise ShapeError(
            f"{name} must be one number >= 0 for each of {log.n_rows} decisions, got shape "
            f"{values.shape}; count what belongs to each decision"
        )
