"""What a sceptic asks after the verdict: risks, segments, and which choices earn the lift."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nurture_rl.appraisal.evaluation import Evaluation
from nurture_rl.appraisal.kpis import KpiQuestion
from nurture_rl.appraisal.risk.factors import factors_of
from nurture_rl.appraisal.risk.harm import HarmBound, harm_bound
from nurture_rl.appraisal.risk.harm_limits import Limit
from nurture_rl.appraisal.risk.lift import LiftDecomposition, decompose_lift, doubly_robust
from nurture_rl.appraisal.risk.return_distribution import Quantile, TailConfig, tail_risk
from nurture_rl.appraisal.risk.segments import (
    SegmentConfig,
    Segmented,
    SegmentValue,
    contact_labels,
    value_by_segment,
)
from nurture_rl.errors import OverlapError, ShapeError
from nurture_rl.ope.censoring import RunningLog
from nurture_rl.ope.checks.context import LogContext
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import (
    Difference,
    Interval,
    paired_difference,
    simultaneous_level,
)
from nurture_rl.ope.log import BoolArray, EvaluationLog, FloatArray
from nurture_rl.ope.named_estimators import FAILURES, Question
from nurture_rl.ope.value_model import ValueDesign


@dataclass(frozen=True, slots=True, eq=False)
class StillRunning:
    """All episodes of a log of which some are open, where only whole ones make up the log."""

    of: RunningLog
    kpis: tuple[FloatArray, ...]  # amounts of the key figures on its decisions


@dataclass(frozen=True, slots=True, eq=False)
class LogAnnotations:
    """What stands beside a log and is not part of it."""

    day: NDArray[np.datetime64] | None = None  # of each decision, [N]
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  # [E] each
    kpis: tuple[KpiQuestion, ...] = ()  # key figures, the north star first
    harms: Mapping[str, FloatArray] = field(default_factory=dict)  # counts per decision, [N] each
    limits: tuple[Limit, ...] = ()  # on harms
    running: StillRunning | None = None  # None: every episode is whole, or that is not known
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # level by action, [a]
    features: tuple[str, ...] = ()  # names, [d]
    actions: tuple[str, ...] = ()  # names, [a]
    values: tuple[float, ...] = ()  # numbers that are no code for missing, however they look

    @property
    def context(self) -> LogContext:
        """The same as the checks of a log want it; the first week is week 1."""
        week = None
        if self.day is not None and not np.isnat(self.day).any():
            # 1970-01-01 was a Thursday: three days after a Monday.
            monday = (self.day.astype("datetime64[D]").astype(np.int64) + 3) // 7
            week = monday - monday.min() + 1
        return LogContext(
            week=week,
            feature_names=self.features,
            action_ids=self.actions,
            values=self.values,
        )


@dataclass(frozen=True, slots=True)
class Tail:
    """How bad, typical and good episodes go under a policy."""

    quantiles: tuple[Quantile, ...]
    share: float  # of worst episodes whose mean is taken
    cvar: float  # that mean, in the log's unit
    cvar_interval: Interval
    tail_ess: float  # effective episodes in that tail


def tails(
    log: EvaluationLog, taken: Mapping[str, FloatArray], level: float
) -> tuple[dict[str, Tail], dict[str, str]]:
    """Tail of the return per episode by policy, and why others have none.

    Args:
        log: the decisions.
        taken: target probabilities of the logged actions by policy, [N] each.
        level: stated coverage of each interval.
    """
    config = TailConfig(level=level)
    risks: dict[str, Tail] = {}
    refused: dict[str, str] = {}
    for name, chances in taken.items():
        try:
            told = tail_risk(log, chances, config)
        except OverlapError as refusal:
            refused[f"risk of {name}"] = str(refusal)
        else:
            risks[name] = Tail(
                told.quantiles, config.tail, told.cvar.value, told.cvar_interval, told.tail_ess
            )
    return risks, refused


def harm_bounds(
    log: EvaluationLog,
    taken: Mapping[str, FloatArray],
    harms: Mapping[str, FloatArray],
    level: float,
) -> dict[str, dict[str, HarmBound]]:
    """Upper bounds of rare harms per episode, by harm and policy; silent where weights are all 0.

    Args:
        log: the decisions.
        taken: target probabilities of the logged actions by policy, [N] each.
        harms: events of each decision by name, [N] each.
        level: chance that a bound is no smaller than the rate, each by itself.
    """
    bounds: dict[str, dict[str, HarmBound]] = {}
    for harm, events in harms.items():
        bounds[harm] = {}
        for name, chances in taken.items():
            if (chances > 0.0).any():
                bounds[harm][name] = harm_bound(log, chances, events, level)
    return bounds


def times_done(
    log: EvaluationLog, probabilities: FloatArray, factors: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, float]]:
    """How often per episode a policy takes each level of each factor, where the log went.

    Args:
        log: the decisions.
        probabilities: of the policy on the log's rows, [N, a].
        factors: level of each action by factor, [a] each; an empty level is not counted.
    """
    return by_level(probabilities.sum(axis=0) / log.n_episodes, factors)


def by_level(
    times: FloatArray, factors: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, float]]:
    """How often each level of each factor is taken, from how often each action is, [a]."""
    frequency: dict[str, dict[str, float]] = {}
    for factor, levels in factors.items():
        frequency[factor] = {level: 0.0 for level in dict.fromkeys(levels) if level}
        for level, often in zip(levels, times.tolist(), strict=True):
            if level:
                frequency[factor][level] += often
    return frequency


def over_programs(
    evaluation: Evaluation,
    carried: Collection[str],
    candidates: Sequence[str],
    programs: Sequence[str],
    level: float,
) -> dict[str, dict[str, Difference]]:
    """Each candidate less each further program that learned nothing, paired, where both are known.

    By candidate, then by program; the intervals hold for all pairs together.

    Args:
        evaluation: the evaluation by the log.
        carried: policies whose numbers are to be believed.
        candidates: policies that may be put forward.
        programs: what they are held against beside the reference and the rules.
        level: confidence of all intervals together.
    """
    known = {
        name: one.estimates[evaluation.preferred].estimate
        for name, one in evaluation.policies.items()
        if name in carried and evaluation.preferred in one.estimates
    }
    mine, others = ([name for name in names if name in known] for names in (candidates, programs))
    each = simultaneous_level(level, max(1, len(mine) * len(others)))
    return {
        name: {other: paired_difference(known[name], known[other], each) for other in others}
        if name in known
        else {}
        for name in candidates
    }


def by_segment(
    log: EvaluationLog,
    pair: tuple[ValueEstimate, ValueEstimate],
    taken: FloatArray,
    segments: Mapping[str, NDArray[np.object_]],
    level: float,
    alike: BoolArray | None = None,
) -> dict[str, tuple[SegmentValue, ...]]:
    """A policy's value and difference by segment; all statements hold together.

    Args:
        log: the decisions.
        pair: the policy's and the reference's estimate, by one estimator.
        taken: the policy's probability of each logged action, [N].
        segments: labels of the episodes, by name, [E] each; a contact has its first episode's.
        level: chance that all intervals of all names cover, in (0, 1).
        alike: contacts with whom both act alike, [C]; None: not known.
    """
    config = SegmentConfig(level=simultaneous_level(level, max(1, len(segments))))
    values = {}
    for name, labels in segments.items():
        rows = labels.astype(np.str_)[log.episode]
        asked = Segmented(log, taken, *pair, contact_labels(log, rows.tolist()), alike)
        values[name] = value_by_segment(asked, config)
    return values


def lift_by_factor(
    asked: Question,
    reference: FloatArray | None,
    levels: Mapping[str, tuple[str, ...]],
    design: ValueDesign,
    level: float,
) -> LiftDecomposition | str:
    """The lift of a policy over a reference by factor of its actions, or why there is none.

    Args:
        asked: the policy's question.
        reference: probabilities on the log's rows, [N, a]; None where they are not known.
        levels: each action's level of each factor, in the order of choosing.
        design: of the value models on this log.
        level: stated coverage of each interval.
    """
    if len(levels) < 2:
        return "the actions are not described by two or more factors"
    if reference is None:
        return "the log does not hold the logging policy's whole distribution"
    try:
        chain = factors_of(levels)
    except ShapeError as refusal:
        return str(refusal)
    value_of = doubly_robust(asked.log, design)
    try:
        return decompose_lift(asked.target.probabilities, reference, chain, value_of, level)
    except FAILURES as refusal:  # a hybrid may lie further from the log than either policy
        return str(refusal)
