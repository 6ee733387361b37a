"""Which of several estimates to believe when less bias costs more variance (SLOPE++)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import Interval, interval_of

WIDER = float(np.sqrt(6.0) - 1.0)  # the constant of SLOPE++ that gives its best guarantee
LEVEL = 0.95  # of each candidate's width


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """An estimate whose parameter was chosen by the data it was made from.

    A valid interval cannot be narrower than that of the least biased candidate: noise of the chosen
    candidate leaves out the bias it was allowed. `estimate` therefore carries the chosen value and
    the least biased candidate's error; `tuned_interval` is the interval that is valid by itself.
    """

    estimate: ValueEstimate  # chosen value, error and influence of `least_biased`
    chosen: ValueEstimate  # with the noise of its own, its bias left out
    least_biased: ValueEstimate  # the first candidate
    parameter: float  # of the chosen one; belongs to this log alone
    considered: tuple[float, ...]  # parameters, least biased first


def slope(candidates: Sequence[ValueEstimate], level: float = LEVEL) -> int:
    """Choose the candidate that is as narrow as it can be without contradicting the wider ones.

    Candidates are ordered by width, widest first (equally wide ones as given); the last i is
    chosen of those before the first that breaks

        |V_i - V_j| <= c_i + (sqrt(6) - 1) c_j    for all j before i

    with c the half-width of each one's clustered interval. With one of them unbiased the error is,
    up to a constant, that of the best candidate in hindsight.

    Args:
        candidates: estimates from one log, least biased first, at least one.
        level: stated coverage of the widths.

    Returns:
        The position of the chosen one.

    Raises:
        ShapeError: no candidate.

    Source: Tucker & Lee (2021), Improved Estimator Selection for Off-Policy Evaluation; Su, Srinath
        & Krishnamurthy (2020), Adaptive Estimator Selection for Off-Policy Evaluation.
    """
    if not candidates:
        raise ShapeError("expected at least one candidate to choose from, got none")
    half = np.array([_half_width(candidate, level) for candidate in candidates])
    order = np.argsort(-half, kind="stable")
    chosen = order[0]
    for place, i in enumerate(order):
        apart = [abs(candidates[i].value - candidates[j].value) for j in order[:place]]
        if (np.array(apart) > half[i] + WIDER * half[order[:place]]).any():
            break
        chosen = i
    return int(chosen)


def tuned(candidates: Mapping[float, ValueEstimate], level: float = LEVEL) -> Tuned:
    """Choose a parameter by `slope` and say with it how sure one can still be.

    Args:
        candidates: estimates from one log by parameter, least biased first. The first should be
            unbiased: it gives the interval.
        level: stated coverage of the widths that are compared.

    Raises:
        ShapeError: no candidate.
    """
    parameters, estimates = tuple(candidates), tuple(candidates.values())
    at = slope(estimates, level)
    first = estimates[0]
    return Tuned(
        estimate=replace(first, value=estimates[at].value),
        chosen=estimates[at],
        least_biased=first,
        parameter=parameters[at],
        considered=parameters,
    )


def tuned_interval(found: Tuned, level: float) -> Interval:
    """The least biased candidate's interval, stretched to the chosen value where it lies outside.

    It covers whenever the least biased candidate's does, however the parameter was chosen.
    """
    own, value = interval_of(found.least_biased, level), found.estimate.value
    return replace(own, lower=min(own.lower, value), upper=max(own.upper, value))


def _half_width(candidate: ValueEstimate, level: float) -> float:
    own = interval_of(candidate, level)
    return (own.upper - own.lower) / 2.0
