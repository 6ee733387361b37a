"""A number in the log against the same number in the world, and what may be said of the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr

from nurture_rl.simulator.gap.false_findings import few_false
from nurture_rl.simulator.gap.trajectories import BoolArray, FloatArray, Trajectories, sums_of

_Z95 = 1.959964


class ComparisonResult(StrEnum):
    """What a comparison shows."""

    AGREES = "agrees"  # the whole interval of the gap lies inside the margin
    UNCLEAR = "unclear"  # the data do not say
    DIFFERS = "differs"  # the gap is larger than the margin, counting all comparisons made


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its standard error."""

    value: float
    stderr: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Pointwise 95 % interval."""
        return self.value - _Z95 * self.stderr, self.value + _Z95 * self.stderr


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number of the log and of the world."""

    family: str  # what kind of number
    head: str  # signal or channel it is about
    group: str  # among which decisions or contacts
    real: Estimate
    simulated: Estimate
    gap: float  # simulated against real, on the family's scale
    stderr: float  # of the gap
    margin: float  # gaps up to it do not matter in practice, on the same scale
    scale: str  # "log ratio", "log odds", "difference"
    finding: ComparisonResult = ComparisonResult.UNCLEAR

    @property
    def bounds(self) -> tuple[float, float]:
        """Pointwise 95 % interval of the gap."""
        return self.gap - _Z95 * self.stderr, self.gap + _Z95 * self.stderr

    @property
    def p_value(self) -> float:
        """Chance of a gap at least as large when the true one is no larger than the margin."""
        if not self.stderr > 0.0:
            return 0.0 if abs(self.gap) > self.margin else 1.0
        near, far = abs(self.gap) - self.margin, abs(self.gap) + self.margin
        return min(1.0, float(ndtr(-near / self.stderr) + ndtr(-far / self.stderr)))


def judged(comparisons: Sequence[Comparison], rate: float) -> tuple[Comparison, ...]:
    """The comparisons with their findings; at most a share `rate` of the "differs" are false.

    Each null hypothesis says that the gap lies within the margin, so a gap that does not matter is
    not rejected, even with much data. A comparison that is not rejected "agrees" only if its
    interval shows that.
    """
    differing = few_false([one.p_value for one in comparisons], rate)
    return tuple(
        replace(one, finding=_finding(one, differs))
        for one, differs in zip(comparisons, differing, strict=True)
    )


def _finding(one: Comparison, differs: bool) -> ComparisonResult:
    if differs:
        return ComparisonResult.DIFFERS
    low, high = one.bounds
    inside = -one.margin <= low and high <= one.margin
    return ComparisonResult.AGREES if inside else ComparisonResult.UNCLEAR


def ratios(
    played: Trajectories, top: FloatArray, below: FloatArray, inside: BoolArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Weighted ratio of two sums over rows and its contact-clustered standard error; each [k].

    Args:
        played: gives weights and contacts.
        top: numerator of each row, [N, k].
        below: denominator, [N] or [N, k].
        inside: rows that are summed, one at least, [N]; None: all. Contacts without one add
            nothing to the error, and are counted.
    """
    below = below if below.ndim == 2 else below[:, None]
    weight, contact = played.weight[:, None], played.contact
    if inside is not None:
        top, below = top[inside], below[inside]
        weight, contact = weight[inside], contact[inside]
    over, under = sums_of(weight * top, contact), sums_of(weight * below, contact)
    total = np.maximum(under.sum(axis=0), 1e-12)
    value = over.sum(axis=0) / total
    spread = ((over - value * under) ** 2).sum(axis=0)
    m = played.contacts
    return value, np.sqrt(spread * m / max(m - 1, 1)) / total


def log_ratio(real: Estimate, simulated: Estimate, floor: float) -> tuple[float, float]:
    """Logarithm of simulated over real, and its standard error.

    Args:
        floor: half an event, in the unit of the values: keeps what was never seen finite.
    """
    a, b = simulated.value + floor, real.value + floor
    relative = (max(simulated.stderr, floor) / a) ** 2 + (max(real.stderr, floor) / b) ** 2
    return float(np.log(a / b)), float(np.sqrt(relative))
