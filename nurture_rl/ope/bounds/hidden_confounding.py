"""How far a value may be off where propensities leave something out that also moves outcomes.

The marginal sensitivity model: whoever chose the action knew u beside the context x, and

    odds of e*(a|x, u) / odds of e(a|x)  lies in  [1/gamma, gamma],

e the propensity that is divided by and e* the true one. So each inverse propensity may be anything
in [1 + (1/e - 1) / gamma, 1 + (1/e - 1) gamma]; at gamma = 1 nothing is hidden. A forced decision
(e = 1) hides nothing. A bound is the least and the most that the self-normalised value can come to
over all such weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import NurtureError
from nurture_rl.ope.bounds.choose import interval_by_contact
from nurture_rl.ope.bounds.interval import Interval
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import (
    ValueEstimate,
    as_panel,
    cumulative_weights,
    effective_sample_size,
    estimate_from,
    mean_of_episodes,
    weight_totals,
)
from nurture_rl.ope.log import EvaluationLog, FloatArray, discount_from_start, horizon

GAMMAS = (1.0, 1.5, 2.0, 3.0)
EACH, ONE = "each", "one"  # decisions of an episode in which something may be hidden
MOST_GAMMA = 10.0  # up to which the end of a lift's sign is looked for
MOST_SPREAD = 1000.0  # of the median episode's weight, high over low; beyond, a bound says nothing
_HALVINGS = 20  # of the distance in which the end of a sign is looked for


@dataclass(frozen=True, slots=True)
class ValueBound:
    """What a value may be where the odds of each action were up to `gamma` times what is told."""

    gamma: float  # >= 1
    least: float  # the value, in the log's unit per episode
    most: float
    interval: Interval  # of `least` downward and of `most` upward: chance included


@dataclass(frozen=True, slots=True)
class HiddenConfounding:
    """Bounds of one policy's value, and how much it takes to undo what is said of it."""

    spread: str  # EACH or ONE
    bounds: tuple[ValueBound, ...]  # by gamma; those that would say nothing are left out
    refused: tuple[float, ...]  # gammas without a bound: the episodes' weights could be anything
    lift: float  # over the logged programme at gamma = 1, in the log's unit per episode
    # Smallest gamma at which the lift's interval holds 0; 1: it does already; None: none up to
    # MOST_GAMMA, or up to where bounds say nothing.
    undone_at: float | None


def hidden_confounding(
    log: EvaluationLog, taken: FloatArray, level: float, spread: str = EACH
) -> HiddenConfounding:
    """Bounds for every gamma of `GAMMAS`, and the gamma at which the lift's sign is lost.

    The lift is over the logged programme, whose own value needs no propensity. Propensities are
    taken as they are: their error of estimation is not in the intervals.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        level: stated coverage of each interval, in (0, 1).
        spread: EACH, something may be hidden in every decision of an episode; or ONE, in one of
            them, whichever.

    Raises:
        OverlapError: the log does not carry the target.
    """
    first = min(GAMMAS)
    refused = tuple(
        one for one in GAMMAS if one > first and weight_spread(log, one, spread) > MOST_SPREAD
    )
    bounds = tuple(
        _bound(log, taken, gamma, spread, level) for gamma in GAMMAS if gamma not in refused
    )
    logged = mean_of_episodes(log, _returns(log), float(log.n_episodes))
    plain = bounded_value(log, taken, first, spread, most=False)
    undone = _undone_at(
        lambda gamma, most: _less(bounded_value(log, taken, gamma, spread, most), logged, level),
        lambda gamma: weight_spread(log, gamma, spread) <= MOST_SPREAD,
    )
    return HiddenConfounding(spread, bounds, refused, plain.value - logged.value, undone)


def bounded_value(
    log: EvaluationLog, taken: FloatArray, gamma: float, spread: str, most: bool
) -> ValueEstimate:
    """The least or the most that the self-normalised value can come to.

        max over w of  sum_t  sum_e g_et w_et r_et / sum_e w_et,    w_et in [low_et, high_et]

    Each step's maximum takes the high weights above some outcome and the low ones below it. Steps
    are bounded one by one, so over several decisions the bound is an outer one. It is not the sharp
    one either: weights need not balance the contexts. With gamma = 1 it is `snips` to the bit.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        gamma: >= 1.
        spread: EACH or ONE.
        most: the upper end instead of the lower.

    Returns:
        The end of the bound with the clustered error of estimating it, the weights held where
        they make it largest.

    Raises:
        NurtureError: a gamma below 1.
        OverlapError: all weights of some step are 0, or exceed floating point.

    Source: Tan (2006), A Distributional Approach for Causal Inference Using Propensity Scores;
        Zhao, Small & Bhattacharya (2019), Sensitivity Analysis for Inverse Probability Weighting
        Estimators via the Percentile Bootstrap; policies as in Kallus & Zhou (2018),
        Confounding-Robust Policy Improvement.
    """
    gains = as_panel(log, discount_from_start(log) * log.reward, 0.0)
    weights = cumulative_weights(log, taken)
    low, high = weight_factors(log, gamma, spread)
    low, high = weights * low, weights * high
    sign = 1.0 if most else -1.0
    for t in range(gains.shape[1]):
        weights[:, t] = _extreme(low[:, t], high[:, t], sign * gains[:, t])
    total = weight_totals(log, weights)
    by_step = (weights * gains).sum(axis=0) / total
    per_episode = (weights / total * (gains - by_step)).sum(axis=1)
    ess = effective_sample_size(weights[:, -1])
    return estimate_from(log, float(by_step.sum()), cluster_totals(log, per_episode), ess)


def weight_factors(log: EvaluationLog, gamma: float, spread: str) -> tuple[FloatArray, FloatArray]:
    """By what the weight of each episode up to each decision may be off, lowest and highest.

        [e + (1 - e) / gamma,  e + (1 - e) gamma]  of a decision

    multiplied along an episode (EACH), or the most extreme one so far (ONE).

    Returns:
        Factors, [E, H] each; ended episodes keep their last.

    Raises:
        NurtureError: a gamma below 1, or another spread.
    """
    if not 1.0 <= gamma < np.inf:
        raise NurtureError(
            f"gamma must be a number >= 1, got {gamma}: by how much odds of being mailed may "
            "differ from what is told; at 1 nothing is hidden"
        )
    if spread not in (EACH, ONE):
        raise NurtureError(f"spread must be {EACH!r} or {ONE!r}, got {spread!r}")
    if gamma == 1.0:
        ones = np.ones((log.n_episodes, horizon(log)))
        return ones, ones
    chance = np.minimum(log.propensity, 1.0)
    low = as_panel(log, chance + (1.0 - chance) / gamma, 1.0)
    high = as_panel(log, chance + (1.0 - chance) * gamma, 1.0)
    if spread == ONE:
        lowest, highest = np.minimum.accumulate(low, axis=1), np.maximum.accumulate(high, axis=1)
        return np.asarray(lowest), np.asarray(highest)
    return np.asarray(low.cumprod(axis=1)), np.asarray(high.cumprod(axis=1))


def weight_spread(log: EvaluationLog, gamma: float, spread: str) -> float:
    """High over low of the median episode's final weight, >= 1."""
    low, high = weight_factors(log, gamma, spread)
    return float(np.median(high[:, -1] / low[:, -1]))


def _extreme(low: FloatArray, high: FloatArray, gain: FloatArray) -> FloatArray:
    """The weights in [low, high] that make sum w gain / sum w largest, [E]."""
    order = np.argsort(-gain, kind="stable")
    lows, highs, gains = low[order], high[order], gain[order]
    up = np.concatenate([[0.0], np.cumsum(highs - lows)])
    worth = np.concatenate([[0.0], np.cumsum((highs - lows) * gains)])
    total = lows.sum() + up
    if not total.max() > 0.0:
        return low
    values = np.divide(
        (lows * gains).sum() + worth, total, out=np.full(total.shape, -np.inf), where=total > 0.0
    )
    weights = low.copy()
    raised = order[: int(values.argmax())]
    weights[raised] = high[raised]
    return weights


def _bound(
    log: EvaluationLog, taken: FloatArray, gamma: float, spread: str, level: float
) -> ValueBound:
    least, most = (bounded_value(log, taken, gamma, spread, most) for most in (False, True))
    ends = [interval_by_contact(one.value, one.influence, level) for one in (least, most)]
    interval = Interval(ends[0].lower, ends[1].upper, level, "hidden-confounding")
    return ValueBound(gamma, least.value, most.value, interval)


def _less(one: ValueEstimate, logged: ValueEstimate, level: float) -> Interval:
    """The interval of a value less the logged programme's, contact by contact."""
    influence = one.influence - logged.influence
    return interval_by_contact(one.value - logged.value, influence, level)


def _undone_at(
    lift: Callable[[float, bool], Interval], says: Callable[[float], bool]
) -> float | None:
    plain = lift(1.0, False)
    if plain.lower <= 0.0 <= plain.upper:
        return 1.0
    gains = plain.lower > 0.0

    def holds(gamma: float) -> bool:
        found = lift(gamma, not gains)
        return found.lower > 0.0 if gains else found.upper < 0.0

    low, high = 1.0, MOST_GAMMA
    if says(high) and holds(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if says(middle) and holds(middle) else (low, middle)
    return high if says(high) else None


def _returns(log: EvaluationLog) -> FloatArray:
    """Discounted reward of each episode, [E]."""
    gains = discount_from_start(log) * log.reward
    return np.bincount(log.episode, weights=gains, minlength=log.n_episodes).astype(np.float64)
