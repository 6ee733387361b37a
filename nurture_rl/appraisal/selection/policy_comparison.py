"""Many policies on one log: which are better than the reference, which may be the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nurture_rl.appraisal.selection.simultaneous import Family, critical_bounds, critical_value
from nurture_rl.appraisal.selection.winner import Winner, correct_winner
from nurture_rl.errors import NurtureError, ShapeError
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.intervals import Interval
from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.ties import apart


@dataclass(frozen=True, slots=True)
class Compared:
    """One policy among the others; its intervals cover together with all policies'."""

    name: str
    value: float  # in the log's unit, per episode
    interval: Interval  # of the value, simultaneous over policies; method "max-t"
    difference: float  # to the reference
    difference_interval: Interval  # simultaneous over policies; method "max-t"
    behind: float  # standard errors behind the policy that beats it most clearly, <= 0: none does
    may_be_best: bool  # no policy beats it beyond chance


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """Policies by falling estimate, those that may be the best, and what the winner is worth."""

    level: float
    reference: str
    policies: tuple[Compared, ...]  # the reference among them, with a difference of exactly 0
    best_set: tuple[
        str, ...
    ]  # holds the truly best policy with chance `level`, by falling estimate
    winner: str
    winner_value: Winner
    reason: str


def compare_policies(
    estimates: Mapping[str, ValueEstimate],
    reference: str,
    level: float,
    rng: np.random.Generator,
) -> PolicyComparison:
    """Compare policies that were estimated on the same contacts.

    Args:
        estimates: one estimator's answer for each policy on one log.
        reference: the policy that differences are taken to; one of `estimates`.
        level: chance that all intervals of a kind cover, that `best_set` holds the best policy,
            and that the winner's interval covers; in (0, 1).
        rng: draws the critical values.

    Returns:
        The comparison. A policy stays in `best_set` unless some other one's estimate lies further
        above it than the largest of chance differences would, so the truly best one is left out at
        most with chance 1 - level, however many there are.

    Raises:
        NurtureError: fewer than two policies, or a reference that is not among them.
        ShapeError: estimates from different contacts, or a level outside (0, 1).

    Source: Hsu (1984), Constrained Simultaneous Confidence Intervals for Multiple Comparisons with
        the Best; the winner as in Andrews, Kitagawa & McCloskey (2024).
    """
    names = _require_policies(estimates, reference)
    values = np.array([estimates[name].value for name in names])
    influences = np.stack([estimates[name].influence for name in names])
    own = critical_value(influences, Family(level), rng)
    gaps = [apart(estimates[name], estimates[reference]) for name in names]
    contrast = critical_value(np.stack([error for _, error in gaps]), Family(level), rng)
    winner = correct_winner(values, influences, level, rng)
    compared = []
    for place in np.argsort(-values, kind="stable"):
        behind, may_be_best = _behind(estimates, names[place], level, rng)
        difference, error = gaps[place]
        compared.append(
            Compared(
                name=names[place],
                value=float(values[place]),
                interval=_around(float(values[place]), influences[place], own, level),
                difference=difference,
                difference_interval=_around(difference, error, contrast, level),
                behind=behind,
                may_be_best=may_be_best,
            )
        )
    best = tuple(one.name for one in compared if one.may_be_best)
    return PolicyComparison(
        level=level,
        reference=reference,
        policies=tuple(compared),
        best_set=best,
        winner=names[winner.place],
        winner_value=winner,
        reason=_reason(names[winner.place], best, len(names), winner),
    )


def _behind(
    estimates: Mapping[str, ValueEstimate], name: str, level: float, rng: np.random.Generator
) -> tuple[float, bool]:
    """How clearly another policy beats one, and whether chance alone could do it."""
    gaps = [apart(other, estimates[name]) for rival, other in estimates.items() if rival != name]
    ahead = np.array([difference for difference, _ in gaps])
    errors = np.stack([error for _, error in gaps])
    stderr = np.array([clustered_stderr(row) for row in errors])
    # A policy that decides alike has no error left: ahead of it by 0 is no distance.
    distance = np.divide(
        ahead, stderr, out=np.where(ahead > 0.0, np.inf, -np.inf), where=stderr > 0
    )
    furthest, family = float(distance.max()), Family(level, two_sided=False)
    alone, split = critical_bounds(len(errors), errors.shape[1], family)
    if furthest <= alone or furthest > split:
        return furthest, furthest <= alone
    return furthest, furthest <= critical_value(errors, family, rng)


def _around(value: float, influence: FloatArray, critical: float, level: float) -> Interval:
    spread = clustered_stderr(influence)
    half = critical * spread if np.isfinite(spread) else np.inf
    return Interval(value - half, value + half, level, "max-t")


def _reason(winner: str, best: tuple[str, ...], count: int, worth: Winner) -> str:
    others = "the other" if count == 2 else f"each of the {count - 1} others"
    alone = f"{winner!r} beats {others} beyond chance"
    several = (
        f"{len(best)} of {count} policies cannot be told from the best ({', '.join(best)}); "
        f"{winner!r} looks best"
    )
    return (
        f"{alone if len(best) == 1 else several}; its estimate {worth.naive:.4g} is "
        f"{worth.corrected:.4g} once its having been chosen is taken out, "
        f"{worth.interval.level:.4g} interval {worth.interval.lower:.4g} to "
        f"{worth.interval.upper:.4g}"
    )


def _require_policies(estimates: Mapping[str, ValueEstimate], reference: str) -> tuple[str, ...]:
    names = tuple(estimates)
    if len(names) < 2 or reference not in names:
        raise NurtureError(
            f"expected two or more policies with {reference!r} among them, got {list(names)}; "
            "estimate the reference on the same log"
        )
    if len({estimates[name].influence.shape for name in names}) > 1:
        counts = {name: estimates[name].n_clusters for name in names}
        raise ShapeError(
            f"a comparison needs the same contacts for all policies, got {counts}; estimate all "
            "of them on one log"
        )
    return names
