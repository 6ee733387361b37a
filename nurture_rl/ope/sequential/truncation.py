"""How far into an episode weights can be trusted, and what stopping there leaves open.

For steps that are independent given the context, the effective sample size of the product of t
ratios with second moments M_0, M_1, ... is

    ESS_t = E / (M_0 M_1 ... M_{t-1})

which falls by a constant factor per decision. Weighting only the first h decisions trades that
variance for a bias, whose bounds are stated beside the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.estimators import ValueEstimate, as_panel, cumulative_weights, ips, snips
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, first_rows, horizon, positions
from nurture_rl.ope.targets import TargetOnLog


@dataclass(frozen=True, slots=True)
class Truncated:
    """An estimate of the first decisions' value, and what the others could add."""

    estimate: ValueEstimate  # of the value of the first `kept` decisions
    kept: int  # decisions of an episode that are weighted, h
    horizon: int  # decisions in the longest episode, H
    reaching: float  # estimated share of the target's episodes with a decision after those, [0, 1]
    least: float  # the rest adds at least this, in the log's unit per episode, <= 0
    most: float  # and at most this, >= 0


def max_feasible_horizon(log: EvaluationLog, target: TargetOnLog, min_ess: float) -> int:
    """The most decisions whose product of ratios keeps `min_ess` effective episodes, 0 .. H.

    Args:
        log: the logged decisions.
        target: the target policy on them; its second moments are averaged place by place.
        min_ess: effective episodes that an estimate needs, > 0.

    Raises:
        ShapeError: `min_ess` is not positive.

    Source: Owen, Monte Carlo theory, ch. 9; Liu, Li, Tang & Zhou (2018), Breaking the Curse of
        Horizon.
    """
    if not min_ess > 0.0:
        raise ShapeError(f"expected a positive effective sample size, got {min_ess}; try 100")
    moments = as_panel(log, target.second_moment, 1.0).mean(axis=0)
    # A moment of 0 means that no logged action is taken: nothing is left from there on.
    spent = np.cumsum(np.log(np.where(moments > 0.0, moments, np.inf)))
    enough = np.log(log.n_episodes) - spent >= np.log(min_ess)
    return int(np.cumprod(enough).sum())


def effective_by_horizon(n_episodes: float, second_moment: float, horizon: int) -> float:
    """Effective episodes left after `horizon` decisions, E M^-H.

    Args:
        n_episodes: logged episodes, E.
        second_moment: of one decision's ratio under the logging policy, M >= 1.
        horizon: decisions, H.
    """
    return float(n_episodes * np.exp(-horizon * np.log(second_moment)))


def mixed_second_moment(n_actions: int, greedy: float) -> float:
    """Second moment of the ratio of a mix of greedy and uniform over a uniform logger, M.

        M = K (greedy + (1 - greedy)/K)^2 + (K - 1) (1 - greedy)^2 / K

    Args:
        n_actions: actions, K >= 1.
        greedy: share of the time one given action is taken outright, [0, 1].
    """
    rest = (1.0 - greedy) / n_actions
    return n_actions * ((greedy + rest) ** 2 + (n_actions - 1) * rest**2)


def truncated_ips(
    log: EvaluationLog,
    taken: FloatArray,
    kept: int,
    reward_range: tuple[float, float] | None = None,
) -> Truncated:
    """`ips` over the first `kept` decisions of every episode, with bounds on the rest.

        V - V_h = E_target sum_{t >= h} g_t r_t  in  reaching * G * [min(lo, 0), max(hi, 0)]

    with lo, hi the range of a decision's reward and G the largest discounted number of decisions
    after the h-th. Unbiased for V_h.

    Args:
        log: the logged decisions.
        taken: target probability of each logged action, [N].
        kept: h, 1 .. H; see `max_feasible_horizon`.
        reward_range: least and largest reward of a decision; None takes the log's own, which is
            no bound where a rarer reward exists.

    Raises:
        ShapeError: `kept` outside 1 .. H, or `taken` is not [N].
        OverlapError: all weights are 0 at the h-th decision, so nothing says who goes on.
        ProbabilityError: as `cumulative_weights`.

    Source: per-decision truncation as in Precup, Sutton & Singh (2000); the bound is elementary.
    """
    first, rows = _first_decisions(log, kept)
    return _bounded(log, taken, ips(first, taken[rows]), kept, reward_range)


def truncated_snips(
    log: EvaluationLog,
    taken: FloatArray,
    kept: int,
    reward_range: tuple[float, float] | None = None,
) -> Truncated:
    """`snips` over the first `kept` decisions of every episode, with bounds on the rest.

    Arguments, bounds and errors are those of `truncated_ips`.
    """
    first, rows = _first_decisions(log, kept)
    return _bounded(log, taken, snips(first, taken[rows]), kept, reward_range)


def _first_decisions(log: EvaluationLog, kept: int) -> tuple[EvaluationLog, BoolArray]:
    if not 1 <= kept <= horizon(log):
        raise ShapeError(
            f"expected to keep 1 to {horizon(log)} decisions of an episode, got {kept}; where none "
            "is feasible the log cannot weigh this target at all"
        )
    rows = positions(log) < kept
    logged = log.logged_probabilities
    shorter = replace(
        log,
        features=log.features[rows],
        mask=log.mask[rows],
        action=log.action[rows],
        propensity=log.propensity[rows],
        logged_probabilities=None if logged is None else logged[rows],
        reward=log.reward[rows],
        episode=log.episode[rows],
        step=log.step[rows],
        terminal=log.terminal[rows],
    )
    return shorter, rows


def _bounded(
    log: EvaluationLog,
    taken: FloatArray,
    estimate: ValueEstimate,
    kept: int,
    reward_range: tuple[float, float] | None,
) -> Truncated:
    longest = horizon(log)
    low, high = (log.reward.min(), log.reward.max()) if reward_range is None else reward_range
    if kept == longest:
        return Truncated(estimate, kept, longest, 0.0, 0.0, 0.0)
    weights = cumulative_weights(log, taken)[:, kept - 1]
    if weights.sum() <= 0.0:
        raise OverlapError(
            f"all weights are 0 at decision {kept - 1}, so the log cannot say how many episodes of "
            "the target go on; keep fewer decisions"
        )
    goes_on = np.bincount(log.episode) > kept
    reaching = float(np.average(goes_on, weights=weights))
    elapsed = log.step - log.step[first_rows(log)][log.episode]
    # At most one decision per bin, from the earliest bin a later decision can have.
    after = float((np.float64(log.discount) ** np.arange(kept, elapsed.max() + 1)).sum())
    return Truncated(
        estimate=estimate,
        kept=kept,
        horizon=longest,
        reaching=reaching,
        least=reaching * after * min(float(low), 0.0),
        most=reaching * after * max(float(high), 0.0),
    )
