"""Key figures beside the value: the same decisions, folds, weights and checks, other outcomes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from nurture_rl.appraisal.estimation import outcomes_of
from nurture_rl.appraisal.evaluation import LOGGED
from nurture_rl.ope.bounds.choose import chosen_interval
from nurture_rl.ope.intervals import Difference, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import ESTIMATORS, Question, answers, as_logged, as_weighed


@dataclass(frozen=True, slots=True, eq=False)
class KpiQuestion:
    """A key figure to be estimated."""

    name: str
    role: str  # "north star" or "supporting"
    better: str  # "higher" or "lower"
    amounts: FloatArray  # of each decision, [N]


@dataclass(frozen=True, slots=True)
class KpiValue:
    """A key figure under one policy, per episode, doubly robust."""

    value: float
    lower: float
    upper: float
    difference: Difference | None  # to the reference; None for it, or where it is withheld


@dataclass(frozen=True, slots=True)
class KpiEvaluation:
    """A key figure as logged and under every policy."""

    name: str
    role: str
    better: str
    level: float  # stated coverage of each interval
    logged: KpiValue
    policies: Mapping[str, KpiValue | None]  # None: the log does not carry it, or a check refuses


def outcome_log(log: EvaluationLog, amounts: FloatArray) -> EvaluationLog:
    """The same decisions with another outcome, which counts the same whenever it comes."""
    return replace(log, reward=amounts, discount=1.0)


def kpi_evaluation(
    kpi: KpiQuestion,
    asked: Mapping[str, Question],
    carried: Collection[str],
    reference: str,
    level: float,
) -> KpiEvaluation:
    """Estimate a key figure for every policy.

    Args:
        kpi: its name and role.
        asked: the questions on its log, by policy.
        carried: names of the policies to be believed.
        reference: a policy's name, or "logged".
        level: stated coverage of each interval.
    """
    one = next(iter(asked.values()))
    own, robust = as_logged(one.log, one.running), {"dr": ESTIMATORS["dr"]}
    log = as_weighed(one.log, one.running)
    chances = {name: question.taken for name, question in asked.items()}
    chances[LOGGED] = log.propensity
    estimates = {LOGGED: own}
    for name, question in asked.items():
        estimate = answers(question, robust, name).estimates.get("dr") if name in carried else None
        if estimate is not None:
            estimates[name] = estimate
    base = estimates.get(reference)
    values: dict[str, KpiValue | None] = dict.fromkeys(asked)
    for name in estimates:
        interval = chosen_interval(estimates[name], level, outcomes_of(log, chances[name]))
        gain = None
        if base is not None and name not in (reference, LOGGED):
            outcomes = outcomes_of(log, chances[name], chances[reference])
            gain = paired_difference(estimates[name], base, level, outcomes)
        value = estimates[name].value
        values[name] = KpiValue(value, interval.lower, interval.upper, gain)
    logged = values.pop(LOGGED)
    assert logged is not None
    return KpiEvaluation(kpi.name, kpi.role, kpi.better, level, logged, values)
