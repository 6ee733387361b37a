"""Values from a running log: episodes whose outcome is not known yet, and what stands in for them.

An episode is observed when everything that counts was known by the reading of the log, needed <=
age. Episodes that end early are known early, so the observed ones are not like the others: keeping
them alone favours whatever ends an episode. With G(t) the chance of an age of at least t,

    k_e = 1 / G(needed_e)  where observed, else 0

makes each observed episode stand for those that were begun too late to be seen that far. It takes
that when an episode began says nothing about how it goes, within a stratum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import LogError, ShapeError
from nurture_rl.ope.clusters import cluster_totals
from nurture_rl.ope.estimators import (
    ValueEstimate,
    corrected_returns,
    effective_sample_size,
    estimate_from,
    weighted_returns,
)
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray, IntArray, first_rows
from nurture_rl.ope.value_model import ValuePredictions

MAX_UNSEEN = 0.01  # of episodes may take longer than the oldest of the log has been followed


@dataclass(frozen=True, slots=True, eq=False)
class Followup:
    """How long each episode was followed, and how long it has to be."""

    age: IntArray  # bins over since the episode began, its first included, [E]
    needed: IntArray  # bins until all that counts is known; more than `age` where not yet, [E]
    stratum: IntArray  # episodes alike in how they are begun and followed, [E]

    @property
    def observed(self) -> BoolArray:
        """Episodes whose outcome is known whole, [E]."""
        return self.needed <= self.age


@dataclass(frozen=True, slots=True, eq=False)
class RunningLog:
    """Decisions whose bins are over, of all episodes, and how long each episode was followed."""

    log: EvaluationLog  # open episodes are cut where the reading of the log cut them
    followed: Followup


@dataclass(frozen=True, slots=True, eq=False)
class Survival:
    """Kaplan-Meier estimate of an age's survival in one stratum."""

    time: IntArray  # ages at which episodes stopped being followed, ascending, [T]
    hazard: FloatArray  # of stopping there, among episodes still needed, [T]
    at_risk: FloatArray  # episodes followed that long and not over, [T]

    def before(self, when: IntArray) -> FloatArray:
        """Chance of being followed at least until `when`, [n] -> [n]."""
        surviving = np.append(1.0, np.cumprod(1.0 - self.hazard))
        return np.asarray(surviving[np.searchsorted(self.time, when, side="left")])


def followup(
    log: EvaluationLog,
    age: IntArray,
    horizon: int,
    settle: int = 0,
    stratum: IntArray | None = None,
    lasts: IntArray | None = None,
) -> Followup:
    """How long the episodes of a running log were followed, from the decision table's `age`.

    An episode needs as many bins as it lasts: through its terminal decision, or the whole horizon.
    Its bins are counted from step 0, also where its first decision came later.

    Args:
        log: the decisions whose bins are over, episodes cut where the reading cut them.
        age: whole bins between each decision's bin and the reading, >= 0, [N].
        horizon: bins of a whole episode.
        settle: bins after which late records of a bin have come in.
        stratum: a number per episode, [E]; None takes all as alike.
        lasts: bins that each decision holds, as a pause does, >= 1, [N]; None: one each. What
            happens in any of them belongs to the decision, so an ending is known after the last.

    Raises:
        ShapeError: arrays that do not fit the log, or a decision whose bin is open.
    """
    alike = np.zeros(log.n_episodes, dtype=np.int64) if stratum is None else stratum
    if age.shape != (log.n_rows,) or alike.shape != (log.n_episodes,):
        raise ShapeError(
            f"expected an age per decision [{log.n_rows}] and a stratum per episode "
            f"[{log.n_episodes}], got {age.shape} and {alike.shape}"
        )
    if age.min() < 0:
        raise ShapeError(
            f"{int((age < 0).sum())} decisions have an open bin (age -1); leave them out first"
        )
    first = first_rows(log)
    last = np.append(first[1:], log.n_rows) - 1
    held = np.ones(log.n_episodes, dtype=np.int64) if lasts is None else lasts[last]
    ended = np.minimum(log.step[last] + held, horizon)
    lasted = np.where(log.terminal[last], ended, horizon)
    return Followup(age=age[first] + log.step[first] + 1, needed=lasted + settle, stratum=alike)


def kaplan_meier(age: IntArray, needed: IntArray) -> Survival:
    """Survival of the age: an episode that is over earlier only says its age was no smaller.

    At one and the same time an episode is over first and stops being followed second.

    Source: Kaplan & Meier (1958), Nonparametric Estimation from Incomplete Observations; for
        weighting as in Robins & Rotnitzky (1992).
    """
    cut = np.sort(age[needed > age])
    time, stopped = np.unique(cut, return_counts=True)
    # Still needed at t: followed until t at least, and not over by t.
    over = np.sort(np.minimum(needed, age + 1))
    at_risk = (over.size - np.searchsorted(over, time, side="right")).astype(np.float64)
    return Survival(time, stopped / at_risk, at_risk)


def observation_weights(followed: Followup) -> FloatArray:
    """k of this module: 1 / G(needed) where observed, else 0, [E].

    Raises:
        LogError: no episode is observed, or too many need longer than any was followed.
    """
    weights = np.zeros(followed.age.size)
    for members in _strata(followed):
        survival = kaplan_meier(followed.age[members], followed.needed[members])
        seen = members[followed.observed[members]]
        weights[seen] = 1.0 / survival.before(followed.needed[seen])
    # Weights sum to the share of episodes that some age in the log could have shown.
    unseen = 1.0 - weights.sum() / weights.size
    if unseen > MAX_UNSEEN:
        raise LogError(
            f"{unseen:.1%} of the episodes take longer than any was followed (oldest: "
            f"{int(followed.age.max())} bins), more than {MAX_UNSEEN:.0%}; read the log later, or "
            "ask for the value of a shorter horizon"
        )
    return weights


def ipcw_ips(log: EvaluationLog, taken: FloatArray, followed: Followup) -> ValueEstimate:
    """`ips` over the observed episodes, each standing for those not observed yet.

        V = sum_e k_e Y_e / sum_e k_e,    Y_e = sum_t g_et w_et r_et

    Args:
        log: the running log.
        taken: target probability of each logged action, [N].
        followed: from `followup`.

    Raises:
        LogError: as `observation_weights`.
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Robins & Rotnitzky (1992), Recovery of Information and Adjustment for Dependent
        Censoring Using Surrogate Markers.
    """
    per_episode, final = weighted_returns(log, taken)
    return _standing_in(log, per_episode, np.zeros(log.n_episodes), final, followed)


def aipcw_dr(
    log: EvaluationLog,
    taken: FloatArray,
    predictions: ValuePredictions,
    followed: Followup,
) -> ValueEstimate:
    """`dr` over the observed episodes, the model answering for all at their first decision.

        V = 1/E sum_e v(x_e0) + sum_e k_e (D_e0 - v(x_e0)) / sum_e k_e

    Right when the ages are as assumed, whatever the model; a model that explains the outcome takes
    the noise of k away. Its predictions should be fitted on observed episodes.

    Args:
        log: the running log.
        taken: target probability of each logged action, [N].
        predictions: a cross-fitted value model's answers on the log.
        followed: from `followup`.

    Raises:
        LogError: as `observation_weights`.
        ShapeError, ProbabilityError, OverlapError: as `cumulative_weights`.

    Source: Robins, Rotnitzky & Zhao (1994), Estimation of Regression Coefficients When Some
        Regressors Are Not Always Observed; D as in `dr`.
    """
    per_episode, final = corrected_returns(log, taken, predictions)
    return _standing_in(log, per_episode, predictions.value[first_rows(log)], final, followed)


def _standing_in(
    log: EvaluationLog,
    outcome: FloatArray,
    model: FloatArray,
    final: FloatArray,
    followed: Followup,
) -> ValueEstimate:
    if followed.age.shape != (log.n_episodes,):
        raise ShapeError(f"expected [{log.n_episodes}] follow-ups, got {followed.age.shape}")
    weights = observation_weights(followed)
    total = weights.sum()
    beyond = outcome - model
    mean = float(weights @ beyond / total)
    error = weights * (beyond - mean)
    error = (error + _error_of_survival(followed, error)) / total
    error += (model - model.mean()) / log.n_episodes
    value = mean + float(model.mean())
    ess = effective_sample_size(weights * final)
    return estimate_from(log, value, cluster_totals(log, error), ess)


def _error_of_survival(followed: Followup, error: FloatArray) -> FloatArray:
    """What each episode adds to the error through the estimated survival, [E].

    With A(s) the sum of `error` over episodes needing more than s, h the hazard and Y the number
    at risk, the derivative of sum_e k_e z_e along episode j is

        sum_s A(s) / ((1 - h(s)) Y(s)) (1{j stops at s} - h(s) 1{j at risk at s})
    """
    added = np.zeros(error.size)
    for members in _strata(followed):
        age, needed = followed.age[members], followed.needed[members]
        seen = followed.observed[members]
        survival = kaplan_meier(age, needed)
        order = np.argsort(needed)
        ahead = np.append(np.cumsum(error[members][order][::-1])[::-1], 0.0)
        beyond = ahead[np.searchsorted(needed[order], survival.time, side="right")]
        left = (1.0 - survival.hazard) * survival.at_risk
        slope = np.divide(beyond, left, out=np.zeros_like(beyond), where=left > 0.0)
        spent = np.append(0.0, np.cumsum(slope * survival.hazard))
        last = np.where(
            seen,
            np.searchsorted(survival.time, needed, side="left"),
            np.searchsorted(survival.time, age, side="right"),
        )
        added[members] = -spent[last]
        added[members[~seen]] += slope[np.searchsorted(survival.time, age[~seen])]
    return added


def _strata(followed: Followup) -> list[IntArray]:
    """The episodes of each stratum."""
    names = np.unique(followed.stratum)
    return [np.flatnonzero(followed.stratum == name).astype(np.int64) for name in names]
