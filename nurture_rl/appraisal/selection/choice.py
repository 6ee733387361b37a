"""Which estimator to believe: what each is thought to err, and the one that errs least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nurture_rl.errors import OverlapError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.named_estimators import Answers


@dataclass(frozen=True, slots=True)
class EstimatorScore:
    """What an estimator is thought to err, over the targets it was judged on."""

    name: str
    mse: float  # squared unit, of the log; bias_squared plus variance
    bias_squared: float  # estimated, or a bound; >= 0
    variance: float


@dataclass(frozen=True, slots=True, eq=False)
class EstimatorChoice:
    """The estimator with the smallest estimated error, and the others."""

    name: str
    ranking: tuple[EstimatorScore, ...]  # by rising error
    refusals: Mapping[str, str]  # why an estimator is not ranked
    reason: str


def choose(scores: Sequence[EstimatorScore], refusals: Mapping[str, str]) -> EstimatorChoice:
    """Rank estimators by their error; equal ones keep their order.

    Raises:
        OverlapError: there is none to choose from.
    """
    if not scores:
        why = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
        raise OverlapError(f"no estimator gave a number throughout, so there is no choice: {why}")
    ranking = tuple(sorted(scores, key=lambda score: score.mse))
    best = ranking[0]
    return EstimatorChoice(
        name=best.name,
        ranking=ranking,
        refusals=refusals,
        reason=(
            f"{best.name} has the smallest estimated error of {len(ranking)} estimators, "
            f"{best.mse**0.5:.4g}: bias {best.bias_squared**0.5:.4g}, standard error "
            f"{best.variance**0.5:.4g}; next is {ranking[min(1, len(ranking) - 1)].name}"
        ),
    )


def rank_by_pairing(
    asked: Sequence[tuple[Answers, ValueEstimate]],
    names: Sequence[str],
    consistent: frozenset[str],
) -> EstimatorChoice:
    """Choose the estimator with the smallest bound on its error, on one log asked once.

    An estimator V that is not consistent is held against the doubly robust U on the same contacts.
    Their errors share much, so that V - U tells V's bias better than two independent estimates:

        mse = (|V - U| + s.e.(V - U))^2 + var V,    or var V where V is consistent

    One standard error is added because bias that the log cannot see is bias all the same: without
    it the direct method would be chosen whenever its bias is no larger than U's noise.

    Args:
        asked: for each target, every estimator's answer and the doubly robust one, on one log.
        names: the candidates, in order of preference among equals.
        consistent: which of them have no bias in large logs.

    Returns:
        The choice, by errors averaged over targets; one that refused for any is not ranked.

    Raises:
        OverlapError: no estimator gave a number for every target.

    Source: Goldenshluger & Lepski (2011) for choosing by differences to a less biased estimate, as
        in Su, Srinath & Krishnamurthy (2020), Adaptive Estimator Selection for OPE.
    """
    refusals: dict[str, str] = {}
    for answered, _ in asked:
        refusals.update(answered.refusals)
    scores = []
    for name in names:
        if name in refusals:
            continue
        bias = 0.0
        if name not in consistent:
            bounds = [_bias_bound(answered.estimates[name], judge) for answered, judge in asked]
            bias = float(np.mean(np.square(bounds)))
        variance = float(np.mean([answered.estimates[name].stderr ** 2 for answered, _ in asked]))
        scores.append(EstimatorScore(name, bias + variance, bias, variance))
    return choose(scores, refusals)


def _bias_bound(estimate: ValueEstimate, judge: ValueEstimate) -> float:
    spread = clustered_stderr(estimate.influence - judge.influence)
    return abs(estimate.value - judge.value) + spread
