"""The estimator whose bias is shown to be smaller than what it saves in variance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nurture_rl.appraisal.selection.choice import EstimatorChoice, EstimatorScore, choose
from nurture_rl.errors import NurtureError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, dr
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.suite import FULLY_WEIGHTED, Answers, Estimator, Question, answers
from nurture_rl.ope.targets import on_logged_rows
from nurture_rl.ope.value_model import ValueModelConfig, fit_value, value_design


@dataclass(frozen=True, slots=True)
class PairedConfig:
    """What is known of the estimators before the log is seen."""

    consistent: frozenset[str] = FULLY_WEIGHTED  # no bias in large logs, right propensities given
    value_model: ValueModelConfig = field(default_factory=ValueModelConfig)


def select_by_pairing(
    log: EvaluationLog,
    targets: Mapping[str, FloatArray],
    estimators: Mapping[str, Estimator],
    rng: np.random.Generator,
    config: PairedConfig,
) -> EstimatorChoice:
    """Choose the estimator with the smallest bound on its error, on one log asked once.

    An estimator V that is not consistent is held against the doubly robust U on the same contacts.
    Their errors share much, so that V - U tells V's bias better than two independent estimates:

        mse = (|V - U| + s.e.(V - U))^2 + var V,    or var V where V is consistent

    One standard error is added because bias that the log cannot see is bias all the same: without
    it the direct method would be chosen whenever its bias is no larger than U's noise.

    Args:
        log: the logged decisions, of any horizon.
        targets: target probabilities on the log's rows by policy, [N, a]; errors are averaged.
        estimators: the candidates by name, such as `suite.ESTIMATORS`.
        rng: deals contacts to the folds of the value model.
        config: which estimators are consistent, and the value model.

    Returns:
        The choice; an estimator that refused for any target is not ranked.

    Raises:
        NurtureError: no target or no estimator.
        FitError, OverlapError: as `value_design` and `dr`; or no estimator gave a number.

    Source: Goldenshluger & Lepski (2011) for choosing by differences to a less biased estimate, as
        in Su, Srinath & Krishnamurthy (2020), Adaptive Estimator Selection for OPE.
    """
    if not targets or not estimators:
        raise NurtureError(
            f"expected targets and estimators, got {len(targets)} and {len(estimators)}"
        )
    design = value_design(log, rng, config.value_model)
    asked: list[tuple[Answers, ValueEstimate]] = []
    for probabilities in targets.values():
        predictions = fit_value(design, probabilities)
        question = Question(log, on_logged_rows(log, probabilities), predictions)
        judge = dr(log, question.target.taken, predictions)
        asked.append((answers(question, estimators), judge))
    return rank_by_pairing(asked, tuple(estimators), config.consistent)


def rank_by_pairing(
    asked: Sequence[tuple[Answers, ValueEstimate]],
    names: Sequence[str],
    consistent: frozenset[str],
) -> EstimatorChoice:
    """`select_by_pairing` of answers that were given before.

    Args:
        asked: for each target, every estimator's answer and the doubly robust one, on one log.
        names: the candidates, in order of preference among equals.
        consistent: which of them have no bias in large logs.

    Raises:
        OverlapError: no estimator gave a number for every target.
    """
    refusals: dict[str, str] = {}
    for found, _ in asked:
        refusals.update(found.refusals)
    scores = []
    for name in names:
        if name in refusals:
            continue
        bias = 0.0
        if name not in consistent:
            bounds = [_bias_bound(found.estimates[name], judge) for found, judge in asked]
            bias = float(np.mean(np.square(bounds)))
        variance = float(np.mean([found.estimates[name].stderr ** 2 for found, _ in asked]))
        scores.append(EstimatorScore(name, bias + variance, bias, variance))
    return choose(scores, refusals, "paired")


def _bias_bound(estimate: ValueEstimate, judge: ValueEstimate) -> float:
    spread = clustered_stderr(estimate.influence - judge.influence)
    return abs(estimate.value - judge.value) + spread
