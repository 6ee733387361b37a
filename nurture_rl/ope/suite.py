"""Every estimator by its name, asked in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import ValueEstimate, dm, dr, ips, snips
from nurture_rl.ope.log import EvaluationLog
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


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What an estimator may read to say what one target policy would earn."""

    log: EvaluationLog
    target: TargetOnLog
    predictions: ValuePredictions  # of the cross-fitted value model under the target


Estimator = Callable[[Question], ValueEstimate]

ESTIMATORS: Mapping[str, Estimator] = {
    "ips": lambda asked: ips(asked.log, asked.target.taken),
    "snips": lambda asked: snips(asked.log, asked.target.taken),
    "dm": lambda asked: dm(asked.log, asked.predictions),
    "dr": lambda asked: dr(asked.log, asked.target.taken, asked.predictions),
    "clipped_ips": lambda asked: tuned_clipped_ips(asked.log, asked.target.taken).estimate,
    "sndr": lambda asked: sndr(asked.log, asked.target.taken, asked.predictions),
    "switch_dr": lambda asked: (
        tuned_switch_dr(asked.log, asked.target.taken, asked.predictions).estimate
    ),
    "dros": lambda asked: tuned_dros(asked.log, asked.target.taken, asked.predictions).estimate,
    "mrdr": lambda asked: mrdr(asked.log, asked.target),
    "mips": lambda asked: tuned_mips(asked.log, asked.target.probabilities).estimate,
}


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Estimates by name, and why the others gave no number."""

    estimates: Mapping[str, ValueEstimate]
    refusals: Mapping[str, str]


def answers(asked: Question, estimators: Mapping[str, Estimator] = ESTIMATORS) -> Answers:
    """Ask every estimator; one that refuses for want of overlap says why."""
    estimates: dict[str, ValueEstimate] = {}
    refusals: dict[str, str] = {}
    for name, estimator in estimators.items():
        try:
            estimates[name] = estimator(asked)
        except OverlapError as refusal:
            refusals[name] = str(refusal)
    return Answers(estimates, refusals)
