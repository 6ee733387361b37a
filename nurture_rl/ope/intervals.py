"""Intervals around an estimate, and around the difference of two on the same contacts."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.choose import chosen_for, clustered_interval
from nurture_rl.ope.bounds.few import binomial_interval
from nurture_rl.ope.bounds.interval import Interval, require_level
from nurture_rl.ope.bounds.rare_outcomes import RareOutcomes
from nurture_rl.ope.clusters import clustered_stderr
from nurture_rl.ope.estimators import ValueEstimate
from nurture_rl.ope.ties import apart

__all__ = [
    "Difference",
    "Interval",
    "binomial_interval",
    "clustered_interval",
    "interval_of",
    "no_difference",
    "paired_difference",
    "simultaneous_level",
]


SAME = "same"  # method of an interval of width 0: two estimates are one number
SAME_POLICY = "same-policy"  # the same, since two policies act alike


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one policy earns than another, per episode, on the same contacts."""

    value: float  # first minus second, in the log's unit
    stderr: float
    interval: Interval
    n_clusters: int

    @property
    def none(self) -> bool:
        """Whether the two are one but for rounding."""
        return self.value == 0.0 and self.stderr == 0.0


def interval_of(estimate: ValueEstimate, level: float) -> Interval:
    """The plain clustered t interval of an estimate; `chosen_interval` looks at its tail too."""
    return clustered_interval(estimate.value, estimate.stderr, estimate.n_clusters, level)


def paired_difference(
    first: ValueEstimate, second: ValueEstimate, level: float, outcomes: RareOutcomes | None = None
) -> Difference:
    """Difference of two estimates made from the same log, contact by contact.

    Errors the two share cancel, so it is tighter than the two intervals suggest. The interval is
    chosen as for a single estimate, by the tail of the differences between contacts. What is
    rounding in value or error is exactly 0.

    Args:
        first: one policy's estimate.
        second: the other's.
        level: stated coverage, in (0, 1).
        outcomes: of `rare_outcomes` with both policies, where both estimates carry the full
            importance weights; None looks at the contacts' errors alone.

    Raises:
        ShapeError: the estimates do not come from the same contacts.
    """
    if first.influence.shape != second.influence.shape:
        raise ShapeError(
            f"a paired difference needs the same contacts, got {first.n_clusters} and "
            f"{second.n_clusters}; estimate both policies on one log"
        )
    value, influence = apart(first, second)
    if value == 0.0 and not influence.any():
        return no_difference(
            level, first.n_clusters, SAME, "the two estimates are one number but for rounding"
        )
    interval = chosen_for(value, influence, level, outcomes)
    return Difference(value, clustered_stderr(influence), interval, first.n_clusters)


def no_difference(level: float, n_clusters: int, method: str, reason: str) -> Difference:
    """The difference of two policies that are one: exactly 0, and known.

    Args:
        level: stated coverage, in (0, 1).
        n_clusters: contacts of the log.
        method: `SAME` or `SAME_POLICY`.
        reason: by what they are one.

    Raises:
        ShapeError: a level outside (0, 1).
    """
    require_level(level)
    return Difference(0.0, 0.0, Interval(0.0, 0.0, level, method, reason), n_clusters)


def simultaneous_level(level: float, comparisons: int) -> float:
    """Level of each of k intervals so that all cover together at `level` (Bonferroni)."""
    require_level(level)
    if comparisons < 1:
        raise ShapeError(f"expected at least one comparison, got {comparisons}")
    return 1.0 - (1.0 - level) / comparisons
