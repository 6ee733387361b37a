"""The record of every interval, and the guard of its level."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided confidence interval."""

    lower: float
    upper: float
    level: float  # stated coverage, in (0, 1)
    method: str  # how it was made, such as "clustered-t" or "clopper-pearson"
    reason: str = ""  # why this method, where one was chosen


def require_level(level: float) -> None:
    """Refuse a level that is no probability.

    Raises:
        ShapeError: outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ShapeError(f"a level is a probability in (0, 1), got {level}; write 95 % as 0.95")
