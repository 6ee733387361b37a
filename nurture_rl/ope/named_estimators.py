"""Every estimator by its name, asked in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

from nurture_rl.errors import FitError, OverlapError, SameEstimateError
from nurture_rl.ope.censoring import RunningLog, aipcw_dr, ipcw_ips, observation_weights
from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog, FloatArray, horizon
from nurture_rl.ope.sequential.abstraction import Cells, value_cells
from nurture_rl.ope.sequential.dice import dice
from nurture_rl.ope.sequential.fqe import fqe
from nurture_rl.ope.sequential.magic import magic
from nurture_rl.ope.sequential.marginal import drl, smis
from nurture_rl.ope.sequential.weighted_dr import wdr
from nurture_rl.ope.targets import TargetOnLog
from nurture_rl.ope.value_model import ValuePredictions
from nurture_rl.ope.weighting.mrdr import mrdr
from nurture_rl.ope.weighting.self_normalised import sndr
from nurture_rl.ope.weighting.tuning import (
    tuned_clipped_ips,
    tuned_dros,
    tuned_mips,
    tuned_switch_dr,
)
from nurture_rl.progress import PROGRESS


@dataclass(frozen=True, slots=True, eq=False)
class Running:
    """A question on all episodes of a running log, the finished standing in for the open."""

    of: RunningLog
    target: TargetOnLog
    predictions: ValuePredictions


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What an estimator may read to say what one target policy would earn."""

    log: EvaluationLog  # whole episodes
    target: TargetOnLog
    predictions: ValuePredictions  # of the cross-fitted value model under the target
    running: Running | None = None  # where estimates weight for the episodes that `log` leaves out

    @property
    def taken(self) -> FloatArray:
        """Target probability of each logged action on the log that the estimators read, [N]."""
        return self.target.taken if self.running is None else self.running.target.taken


Estimator = Callable[[Question], ValueEstimate]

ESTIMATORS: Mapping[str, Estimator] = {
    "ips": lambda asked: _ips(asked),
    "snips": lambda asked: snips(asked.log, asked.target.taken),
    "dm": lambda asked: dm(asked.log, asked.predictions),
    "dr": lambda asked: _dr(asked),
    "clipped_ips": lambda asked: tuned_clipped_ips(asked.log, asked.target.taken).estimate,
    "sndr": lambda asked: _sndr(asked),
    "switch_dr": lambda asked: (
        tuned_switch_dr(asked.log, asked.target.taken, asked.predictions).estimate
    ),
    "dros": lambda asked: tuned_dros(asked.log, asked.target.taken, asked.predictions).estimate,
    "mrdr": lambda asked: mrdr(asked.log, asked.target),
    "mips": lambda asked: tuned_mips(asked.log, asked.target.probabilities).estimate,
    "wdr": lambda asked: _wdr(asked),
    "drl": lambda asked: _drl(asked),
    "smis": lambda asked: smis(asked.log, asked.target.taken, _cells(asked)),
    "magic": lambda asked: magic(asked.log, asked.target.taken, asked.predictions),
}

# Asked only by name: they train for minutes, or check the propensities by not using them.
SLOW_ESTIMATORS: Mapping[str, Estimator] = {
    "fqe": lambda asked: fqe(asked.log, asked.target.probabilities),
    "dice": lambda asked: dice(asked.log, asked.target.probabilities, _cells(asked)),
}

# Estimators in which an outcome counts with its full importance weight: right propensities make
# them right, whatever the model and however much of a contact's state the features leave out.
FULLY_WEIGHTED = frozenset({"ips", "snips", "dr", "sndr", "mrdr", "wdr"})

# The estimators that have a form in which finished episodes stand in for open ones.
FOR_OPEN_EPISODES = frozenset({"ips", "dr"})


# What one policy's weights or model may come to; it is no other policy's or estimator's business.
FAILURES = (OverlapError, SameEstimateError, FitError, ArithmeticError, np.linalg.LinAlgError)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Estimates by name, and why the others gave no number."""

    estimates: Mapping[str, ValueEstimate]
    refusals: Mapping[str, str]


def answers(
    asked: Question, estimators: Mapping[str, Estimator] = ESTIMATORS, about: str = "a policy"
) -> Answers:
    """Ask every estimator; one without overlap, a number, or anything of its own says why.

    Args:
        asked: the log and the policy.
        estimators: by name.
        about: what the policy is called where progress is shown.
    """
    estimates: dict[str, ValueEstimate] = {}
    refusals: dict[str, str] = {}
    for name, estimator in estimators.items():
        PROGRESS.info("%s of %s", name, about)
        if asked.running is not None and name not in FOR_OPEN_EPISODES:
            refusals[name] = (
                "it has no form that weights for open episodes; "
                "evaluation.open_episodes=complete_only asks it without them"
            )
            continue
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                estimate = estimator(asked)
        except FAILURES as refusal:
            refusals[name] = str(refusal)
            continue
        if isfinite(estimate.value) and np.isfinite(estimate.influence).all():
            estimates[name] = estimate
        else:
            refusals[name] = (
                "its weights or rewards leave the range of floating point numbers; stay closer to "
                "the logging policy, or state rewards in a larger unit"
            )
    return Answers(estimates, refusals)


def as_weighed(log: EvaluationLog, running: Running | None) -> EvaluationLog:
    """The log with every outcome as large as estimates count it, finished episodes for open ones.

    What is asked of rare outcomes is asked of these.
    """
    if running is None:
        return log
    of = running.of
    weights = observation_weights(of.followed)
    return replace(of.log, reward=weights[of.log.episode] * of.log.reward)


def as_logged(log: EvaluationLog, running: Running | None) -> ValueEstimate:
    """The logging policy's own mean, on the log that the estimators read."""
    if running is None:
        return ips(log, log.propensity)
    of = running.of
    return ipcw_ips(of.log, of.log.propensity, of.followed)


def _ips(asked: Question) -> ValueEstimate:
    if asked.running is None:
        return ips(asked.log, asked.target.taken)
    one = asked.running
    return ipcw_ips(one.of.log, one.target.taken, one.of.followed)


def _dr(asked: Question) -> ValueEstimate:
    if asked.running is None:
        return dr(asked.log, asked.target.taken, asked.predictions)
    one = asked.running
    return aipcw_dr(one.of.log, one.target.taken, one.predictions, one.of.followed)


def _sndr(asked: Question) -> ValueEstimate:
    if horizon(asked.log) > 1:
        raise SameEstimateError("the same as wdr where episodes have several decisions")
    return sndr(asked.log, asked.target.taken, asked.predictions)


def _wdr(asked: Question) -> ValueEstimate:
    if horizon(asked.log) == 1:
        raise SameEstimateError("the same as sndr where episodes have one decision")
    return wdr(asked.log, asked.target.taken, asked.predictions)


def _drl(asked: Question) -> ValueEstimate:
    if horizon(asked.log) == 1:
        raise SameEstimateError("the same as dr where episodes have one decision")
    return drl(asked.log, asked.target.taken, asked.predictions, _cells(asked))


def _cells(asked: Question) -> Cells:
    return value_cells(asked.log, asked.predictions)
