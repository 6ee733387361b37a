"""How much of a policy's lift each factor of its actions earns: shares that sum to the total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import factorial

import numpy as np

from nurture_rl.appraisal.risk.factors import Factors, hybrid
from nurture_rl.errors import ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate, dr
from nurture_rl.ope.intervals import Difference, Interval, clustered_interval, paired_difference
from nurture_rl.ope.log import EvaluationLog, FloatArray
from nurture_rl.ope.ties import apart
from nurture_rl.ope.value_model import ValueDesign, fit_value

MOST_FACTORS = 6  # 2^k policies are evaluated

ValueOf = Callable[[FloatArray], ValueEstimate]
Follows = tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FactorShare:
    """One factor's part of the lift, in the log's unit per episode."""

    name: str
    value: float  # Shapley: averaged over all orders in which factors could be unlocked
    stderr: float  # clustered by contact
    interval: Interval
    influence: FloatArray  # error of `value`, split by contact, [C]; they sum to the lift's
    ordered: float  # unlocked after the factors before it, in the chain's order
    ordered_stderr: float
    alone: float  # unlocked alone, all others locked to the reference


@dataclass(frozen=True, slots=True, eq=False)
class LiftDecomposition:
    """The lift of a policy over the reference by factor; `value`s and `ordered`s sum to it."""

    total: Difference
    shares: tuple[FactorShare, ...]


def decompose_lift(
    target: FloatArray,
    reference: FloatArray,
    factors: Factors,
    value_of: ValueOf,
    level: float,
) -> LiftDecomposition:
    """Split the lift of a policy over the reference by the factors of its actions.

    With v(S) the value of the hybrid that follows the target in the factors S and is locked to the
    reference in the others,

        share_j = sum_{S without j} |S|! (k - |S| - 1)! / k!  [v(S + j) - v(S)],

    the average gain from unlocking j over all orders; the shares sum to v(all) - v(none). All
    hybrids are estimated on the same log, and a share's error is that combination of their
    influences.

    Args:
        target: the policy's probabilities on the log's rows, [N, a].
        reference: the reference's, [N, a].
        factors: the chain of choices, of `factors_of`.
        value_of: the value of probabilities on those rows, such as `doubly_robust` gives.
        level: stated coverage of each interval, in (0, 1).

    Raises:
        ShapeError: arrays that do not fit, more than six factors, or a level outside (0, 1).
        OverlapError, FitError: whatever `value_of` raises.

    Source: Shapley (1953), A Value for n-Person Games; for exact sums in attribution of outcomes,
        Owen & Prieur (2017), On Shapley Value for Measuring Importance of Dependent Inputs.
    """
    if factors.count > MOST_FACTORS:
        raise ShapeError(
            f"{factors.count} factors would need {2**factors.count} policies evaluated; group "
            f"them into at most {MOST_FACTORS}"
        )
    values: dict[Follows, ValueEstimate] = {}
    for follows in product((False, True), repeat=factors.count):
        # A factor that decides nothing is the same choice by either policy.
        same = tuple(
            one and decides for one, decides in zip(follows, factors.deciding, strict=True)
        )
        known = values.get(same)
        values[follows] = known or value_of(hybrid(target, reference, factors, follows))
    everything, nothing = (True,) * factors.count, (False,) * factors.count
    shares = tuple(_share(values, factors, j, level) for j in range(factors.count))
    return LiftDecomposition(paired_difference(values[everything], values[nothing], level), shares)


def doubly_robust(log: EvaluationLog, design: ValueDesign) -> ValueOf:
    """Doubly robust value of any policy on one log, with value models of one design."""

    def value_of(probabilities: FloatArray) -> ValueEstimate:
        taken = probabilities[np.arange(log.n_rows), log.action]
        return dr(log, taken, fit_value(design, probabilities))

    return value_of


def _share(
    values: dict[Follows, ValueEstimate], factors: Factors, j: int, level: float
) -> FactorShare:
    k = factors.count
    value, influence = 0.0, np.zeros_like(values[(False,) * k].influence)
    for follows in values:
        if follows[j]:
            continue
        before = sum(follows)
        weight = factorial(before) * factorial(k - before - 1) / factorial(k)
        gain, psi = _gain(values, follows, j)
        value += weight * gain
        influence += weight * psi
    ordered, ordered_influence = _gain(values, tuple(place < j for place in range(k)), j)
    alone, _ = _gain(values, (False,) * k, j)
    stderr = clustered_stderr(influence)
    return FactorShare(
        name=factors.names[j],
        value=value,
        stderr=stderr,
        interval=clustered_interval(value, stderr, influence.size, level),
        influence=influence,
        ordered=ordered,
        ordered_stderr=clustered_stderr(ordered_influence),
        alone=alone,
    )


def _gain(
    values: dict[Follows, ValueEstimate], follows: Follows, j: int
) -> tuple[float, FloatArray]:
    """What unlocking factor j adds, with its influence."""
    return apart(values[(*follows[:j], True, *follows[j + 1 :])], values[follows])
