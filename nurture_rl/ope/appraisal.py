"""Everything a log says about a set of policies: the evaluation, and what a sceptic asks next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nurture_rl.ope.by_period import PeriodValue, by_period, weeks_of
from nurture_rl.ope.estimators import cumulative_weights
from nurture_rl.ope.evaluate import EvaluationConfig, evaluate_questions, questions
from nurture_rl.ope.evaluation import Evaluation, Json, plain
from nurture_rl.ope.intervals import simultaneous_level
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.suite import Question
from nurture_rl.ope.targets import Tabled, TargetPolicy
from nurture_rl.ope.verdict import Verdict
from nurture_rl.ope.weight_profile import WeightProfile, weight_profile


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """What stands beside a log and is not part of it."""

    day: NDArray[np.datetime64] | None = None  # of each decision, [N]
    segments: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)  # [E] each
    harms: Mapping[str, FloatArray] = field(default_factory=dict)  # counts per decision, [N] each
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # level by action, [a]


@dataclass(frozen=True, slots=True, eq=False)
class Appraisal:
    """The evaluation and its appendices; a part that was not made is empty."""

    evaluation: Evaluation
    candidate: str  # the policy that the verdict is about
    rules: str | None
    margin: float  # a gain over the rules up to this is not worth having, the log's unit
    candidates: int  # policies compared, whose intervals hold together
    weights: Mapping[str, WeightProfile]  # by policy
    weeks: Mapping[str, list[PeriodValue]]  # by policy, and "logged"
    skipped: Mapping[str, str]  # parts that were not made, and why

    @property
    def verdict(self) -> Verdict:
        """The word on the candidate."""
        judgement = self.evaluation.policies[self.candidate].judgement
        return Verdict.CANNOT_TELL_YET if judgement is None else judgement.verdict

    def to_dict(self) -> dict[str, Json]:
        """The appraisal as JSON values."""
        found = plain(self)
        assert isinstance(found, dict)
        return found | {"verdict": self.verdict.value}


def appraise(
    log: EvaluationLog,
    policies: Mapping[str, TargetPolicy | Tabled],
    reference: str,
    rng: np.random.Generator,
    config: EvaluationConfig,
    beside: Beside,
    candidate: str | None = None,
) -> Appraisal:
    """Evaluate policies on a log and look at the answer from every side.

    Args:
        log: the decisions.
        policies: target policies by name.
        reference: one of them, or "logged".
        rng: deals contacts to folds.
        config: `level` is meant for all candidates together and shared out among them.
        beside: days, segments, harms and factors.
        candidate: the policy the verdict is about; None for the best of those that are neither
            reference nor rules: the one whose difference has the highest lower bound, which may be
            picked after the fact because the bounds hold together.

    Raises:
        NurtureError: what `evaluate_policies` refuses.
    """
    rivals = [name for name in policies if name not in (reference, config.rules)]
    config = replace(config, level=simultaneous_level(config.level, max(1, len(rivals))))
    asked = questions(log, policies, rng, config)
    evaluation = evaluate_questions(log, asked, reference, config)
    weeks, skipped = _weeks(log, asked, beside, config.level)
    return Appraisal(
        evaluation=evaluation,
        candidate=candidate or best_of(evaluation, rivals),
        rules=config.rules,
        margin=config.margin,
        candidates=len(rivals),
        weights={
            name: weight_profile(cumulative_weights(log, question.target.taken)[:, -1])
            for name, question in asked.items()
        },
        weeks=weeks,
        skipped=skipped,
    )


def best_of(evaluation: Evaluation, rivals: list[str]) -> str:
    """The rival with the highest lower bound, those that the log carries first."""

    def rank(name: str) -> tuple[bool, float]:
        policy = evaluation.policies[name]
        lower = -np.inf if policy.difference is None else policy.difference.interval.lower
        return policy.overlap.feasible, lower

    return max(rivals, key=rank)


def _weeks(
    log: EvaluationLog, asked: Mapping[str, Question], beside: Beside, level: float
) -> tuple[dict[str, list[PeriodValue]], dict[str, str]]:
    if beside.day is None:
        return {}, {"weeks": "the log does not say when its decisions were made"}
    if np.isnat(beside.day).any():
        return {}, {"weeks": "some decisions have no day"}
    found = by_period(log, weeks_of(beside.day, log), asked, level)
    if len(found["logged"]) < 2:
        return {}, {"weeks": "fewer than two weeks have enough contacts"}
    return found, {}
