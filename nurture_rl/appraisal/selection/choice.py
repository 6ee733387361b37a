"""Which estimator to believe: what each is thought to err, and the one that errs least."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nurture_rl.errors import OverlapError


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
    method: str  # "paired"
    ranking: tuple[EstimatorScore, ...]  # by rising error
    refusals: Mapping[str, str]  # why an estimator is not ranked
    reason: str


def choose(
    scores: Sequence[EstimatorScore], refusals: Mapping[str, str], method: str
) -> EstimatorChoice:
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
        method=method,
        ranking=ranking,
        refusals=refusals,
        reason=(
            f"{best.name} has the smallest estimated error of {len(ranking)} estimators, "
            f"{best.mse**0.5:.4g}: bias {best.bias_squared**0.5:.4g}, standard error "
            f"{best.variance**0.5:.4g}; next is {ranking[min(1, len(ranking) - 1)].name}"
        ),
    )
