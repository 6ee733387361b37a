"""Which of several estimates to believe when less bias costs more variance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nurture_rl.errors import ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import clustered_interval
from nurture_rl.ope.log import FloatArray

LEVEL = 0.95  # of the widths that are compared, and at which a tuned estimate's interval is valid
ROUNDING = 1e-9  # of the least biased half-width: equal estimates differ by less


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """An estimate whose parameter was chosen by the data it was made from.

    The noise of the chosen candidate leaves out the bias it was allowed, and no valid interval can
    be narrower than that of an unbiased candidate. `estimate` therefore has the chosen value and
    the least biased candidate's error, stretched until its 95 % interval contains that candidate's:
    it covers whenever the least biased one does, however the parameter was chosen.
    """

    estimate: ValueEstimate  # chosen value, stretched error and influence of `least_biased`
    chosen: ValueEstimate  # with the noise of its own, its bias left out
    least_biased: ValueEstimate  # the first candidate
    parameter: float  # of the chosen one; belongs to this log alone
    considered: tuple[float, ...]  # parameters, least biased first


def slope(candidates: Sequence[ValueEstimate]) -> int:
    """Choose the narrowest candidate of those that do not contradict the less biased ones.

    In the given order, candidates are admitted before the first i that breaks

        |V_i - V_j| <= c_ij    for all j before i

    with c_ij the half-width of the interval of V_i - V_j, clustered by contact. The published rule,
    SLOPE++, has c_i + (sqrt(6) - 1) c_j there, which holds for estimates from different logs as
    well; from one log they share most of their noise, and that rule lets a clipped estimate go
    wrong by two standard errors. Nothing is asked of the widths: where a more biased candidate is
    also the wider one, it is not chosen.

    Args:
        candidates: estimates from one log, least biased first, at least one.

    Returns:
        The position of the chosen one.

    Raises:
        ShapeError: no candidate.

    Source: Tucker & Lee (2021), Improved Estimator Selection for Off-Policy Evaluation; Su, Srinath
        & Krishnamurthy (2020), Adaptive Estimator Selection for Off-Policy Evaluation; errors of
        differences as in Lacour & Massart (2016), Minimal Penalty for Goldenshluger-Lepski Method.
    """
    if not candidates:
        raise ShapeError("expected at least one candidate to choose from, got none")
    half = np.array([_half_width(candidate.influence) for candidate in candidates])

    def apart(i: int, j: int) -> float:
        return _half_width(candidates[i].influence - candidates[j].influence)

    return narrowest([candidate.value for candidate in candidates], half, apart)


def narrowest(values: Sequence[float], half: FloatArray, apart: Callable[[int, int], float]) -> int:
    """The rule of `slope` by what it reads of the candidates.

    Args:
        values: of the candidates, least biased first.
        half: half-width of each one's interval, [k].
        apart: half-width of the interval of the difference of two of them.
    """
    slack = ROUNDING * half[0]
    admitted = 1
    while admitted < half.size and all(
        abs(values[admitted] - values[other]) <= apart(admitted, other) + slack
        for other in range(admitted)
    ):
        admitted += 1
    return int(np.argmin(half[:admitted]))


def tuned(candidates: Mapping[float, ValueEstimate]) -> Tuned:
    """Choose a parameter by `slope` and say with it how sure one can still be.

    Args:
        candidates: estimates from one log by parameter, least biased first. The first should be
            unbiased: it gives the interval.

    Raises:
        ShapeError: no candidate.
    """
    parameters, estimates = tuple(candidates), tuple(candidates.values())
    at = slope(estimates)
    first, chosen = estimates[0], estimates[at]
    estimate = reaching_over(first, chosen.value)
    return Tuned(estimate, chosen, first, parameters[at], parameters)


def reaching_over(unbiased: ValueEstimate, value: float) -> ValueEstimate:
    """A value chosen for its small error, with the unbiased estimate's error stretched to match.

    The 95 % interval around `value` contains that of `unbiased`, and covers whenever that one does.
    """
    half = _half_width(unbiased.influence)
    stretch = 1.0 + abs(value - unbiased.value) / half if half > 0.0 else 1.0
    return replace(
        unbiased,
        value=value,
        stderr=stretch * unbiased.stderr,
        influence=stretch * unbiased.influence,
    )


def _half_width(influence: FloatArray) -> float:
    """Half-width of the interval of an estimate whose error is split by contact, [C]."""
    return half_width(clustered_stderr(influence), influence.size)


def half_width(stderr: float, n_clusters: int) -> float:
    """Half-width of the interval by which candidates are compared."""
    return clustered_interval(0.0, stderr, n_clusters, LEVEL).upper
