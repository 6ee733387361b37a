"""The distribution of an episode's return under a target: quantiles and the mean of the worst.

Weights are those of whole episodes, w_e = prod_t target / propensity, normalised by their sum:

    F(y) = sum_e w_e 1[G_e <= y] / sum_e w_e

which rises from 0 to 1 whatever the weights. G_e is the episode's discounted return.

Source: Chandak et al. (2021), Universal Off-Policy Evaluation; Huang et al. (2021), Off-Policy Risk
    Assessment in Contextual Bandits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import (
    ValueEstimate,
    cumulative_weights,
    effective_sample_size,
    estimate_from,
)
from nurture_rl.ope.intervals import Interval, interval_of
from nurture_rl.ope.log import EvaluationLog, FloatArray, IntArray, discount_from_start
from nurture_rl.ope.numbering import numbered


@dataclass(frozen=True, slots=True)
class TailConfig:
    """What is told of a return's distribution."""

    shares: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles, in (0, 1)
    tail: float = 0.05  # share of worst episodes whose mean is taken, in (0, 1]
    level: float = 0.95  # stated coverage of each interval, in (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class ReturnDistribution:
    """Chance under the target of a return no larger than each observed one."""

    returns: FloatArray  # distinct, ascending, in the log's unit, [m]
    cdf: FloatArray  # F, non-decreasing, 1 at the last, [m]
    stderr: FloatArray  # of F, clustered by contact, [m]


@dataclass(frozen=True, slots=True)
class Quantile:
    """The return that a share of the target's episodes do not exceed."""

    share: float
    value: float  # in the log's unit
    interval: Interval  # infinite on a side where too little of the tail was seen


@dataclass(frozen=True, slots=True, eq=False)
class TailRisk:
    """How bad, typical and good episodes go under the target."""

    distribution: ReturnDistribution
    quantiles: tuple[Quantile, ...]
    cvar: ValueEstimate  # mean return of the worst `tail` of episodes, with its influence
    cvar_interval: Interval
    tail_ess: float  # effective episodes in that tail; few make the interval too narrow


def episode_returns(log: EvaluationLog) -> FloatArray:
    """Discounted reward of each episode, in the log's unit, [E]."""
    discounted = discount_from_start(log) * log.reward
    return np.bincount(log.episode, weights=discounted).astype(np.float64)


def tail_risk(log: EvaluationLog, taken: FloatArray, config: TailConfig) -> TailRisk:
    """Tell the distribution of the return per episode under a target.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        config: quantiles, tail and level.

    Returns:
        Distribution, quantiles with intervals, and the mean of the worst episodes.

    Raises:
        OverlapError: all weights are 0, or beyond floating point.
        ShapeError: a share or level outside its range, or `taken` not [N].
        ProbabilityError: as `cumulative_weights`.
    """
    for share in (*config.shares, config.tail, config.level):
        if not 0.0 < share < 1.0:
            raise ShapeError(f"shares and levels must lie in (0, 1), got {share}")
    swept = _sweep(log, _whole_weights(log, taken))
    cvar = _cvar(log, swept, config.tail)
    worst = episode_returns(log) <= swept.quantile(config.tail)
    return TailRisk(
        distribution=ReturnDistribution(swept.returns, swept.cdf, swept.stderr()),
        quantiles=tuple(_quantile(swept, share, config.level) for share in config.shares),
        cvar=cvar,
        cvar_interval=interval_of(cvar, config.level),
        tail_ess=effective_sample_size(swept.weights[worst]),
    )


def _tail_worth(quantile: float, returns: FloatArray, tail: float) -> FloatArray:
    """q - max(q - G, 0) / tail, whose mean is the CVaR, [E]."""
    return np.asarray(quantile - np.maximum(quantile - returns, 0.0) / tail, dtype=np.float64)


def _cvar(log: EvaluationLog, swept: _Sweep, tail: float) -> ValueEstimate:
    worth = _tail_worth(swept.quantile(tail), episode_returns(log), tail)
    share = swept.weights / swept.weights.sum()
    value = float(share @ worth)
    influence = cluster_totals(log, share * (worth - value))
    return estimate_from(log, value, influence, effective_sample_size(swept.weights))


def _quantile(swept: _Sweep, share: float, level: float) -> Quantile:
    """Invert the test of F(y) = share at every observed y, and below the first."""
    from scipy.special import stdtrit

    low, high = -np.inf, np.inf
    if swept.contacts > 1:
        critical = float(stdtrit(swept.contacts - 1, 0.5 + level / 2.0))
        score = swept.score(share)
        # Entry 0 stands for every value below the smallest return.
        possible, exceeded = np.append(-np.inf, swept.returns), score >= critical
        low = float(possible[np.argmax(score >= -critical)])
        high = float(possible[np.argmax(exceeded)]) if exceeded.any() else np.inf
    interval = Interval(low, high, level, "inverted-score")
    return Quantile(share, swept.quantile(share), interval)


@dataclass(frozen=True, slots=True, eq=False)
class _Sweep:
    """Sums over contacts while the returns are walked through in ascending order.

    With A_c(y) a contact's weight on returns <= y and B_c all of its weight.
    """

    weights: FloatArray  # of the episodes, in the log's order, [E]
    returns: FloatArray  # distinct, ascending, [m]
    below: FloatArray  # sum_c A_c, [m]
    squares: FloatArray  # sum_c A_c^2, [m]
    products: FloatArray  # sum_c A_c B_c, [m]
    total: float  # sum_c B_c
    total_squares: float  # sum_c B_c^2
    contacts: int

    @property
    def cdf(self) -> FloatArray:
        """F, [m]."""
        return np.minimum(self.below / self.total, 1.0)

    def stderr(self) -> FloatArray:
        """Delta-method error of F, clustered by contact, [m]."""
        if self.contacts < 2:
            return np.full(self.returns.size, np.inf)
        return np.asarray(np.sqrt(self._variance(self.cdf, self.squares, self.products)))

    def quantile(self, share: float) -> float:
        """The smallest return with F >= share."""
        reached = self.cdf >= share - 1e-12
        return float(self.returns[np.argmax(reached)])

    def score(self, share: float) -> FloatArray:
        """(F - share) / its standard error if F were the share; from below all returns, [1 + m].

        Where no return beyond y was seen the squares would deny that there is any; the variance is
        kept at no less than that of weights independent of the returns, share (1 - share) sum B^2.
        """
        below, squares, products = (
            np.append(0.0, part) for part in (self.below, self.squares, self.products)
        )
        floor = share * (1.0 - share) * self.total_squares / self.total**2
        variance = np.maximum(self._variance(np.full(below.size, share), squares, products), floor)
        return np.asarray((below / self.total - share) / np.sqrt(variance), dtype=np.float64)

    def _variance(self, at: FloatArray, squares: FloatArray, products: FloatArray) -> FloatArray:
        """Clustered variance of sum_c (A_c - at B_c) / sum_c B_c, >= 0."""
        spread = squares - 2.0 * at * products + at**2 * self.total_squares
        correction = self.contacts / (self.contacts - 1)
        return np.asarray(correction * np.maximum(spread, 0.0) / self.total**2, dtype=np.float64)


def _whole_weights(log: EvaluationLog, taken: FloatArray) -> FloatArray:
    weights = cumulative_weights(log, taken)[:, -1]
    if weights.sum() <= 0.0:
        raise OverlapError(
            f"all {log.n_episodes} episodes have weight 0: the target policy never does what was "
            "logged to the end; compare the action sets, or log with more exploration"
        )
    return np.asarray(weights, dtype=np.float64)


def _sweep(log: EvaluationLog, weights: FloatArray) -> _Sweep:
    returns = episode_returns(log)
    order = np.argsort(returns, kind="stable")
    contact, _ = numbered(log.cluster)
    weight, owner = weights[order], contact[order]
    whole = np.bincount(contact, weights=weights)
    before = _before_in_group(weight, owner)
    distinct, last = np.unique(returns[order][::-1], return_index=True)
    at = order.size - 1 - last
    return _Sweep(
        weights=weights,
        returns=distinct,
        below=np.cumsum(weight)[at],
        squares=np.cumsum(weight**2 + 2.0 * weight * before)[at],
        products=np.cumsum(weight * whole[owner])[at],
        total=float(whole.sum()),
        total_squares=float(whole @ whole),
        contacts=whole.size,
    )


def _before_in_group(values: FloatArray, group: IntArray) -> FloatArray:
    """Sum of the earlier values of the same group, [n]."""
    order = np.argsort(group, kind="stable")
    ordered, names = values[order], group[order]
    running = np.cumsum(ordered) - ordered
    rows = np.bincount(group)
    first = (np.cumsum(rows) - rows)[names]
    earlier = np.empty_like(running)
    earlier[order] = running - running[first]
    return earlier
