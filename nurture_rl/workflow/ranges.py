"""What each number of a configuration may be; what no work could be done with is told at once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from nurture_rl.errors import ConfigError

Range = tuple[str, Any, bool, str]  # key, value, whether it can be worked with, what is expected
LEVEL = "a confidence level above 0 and below 1, such as 0.95"
MARGIN = "a gain of 0 or more, in the log's unit"


def require_each(ranges: Iterable[Range]) -> None:
    """Guard settings.

    Raises:
        ConfigError: names the first that cannot be worked with, and what was expected.
    """
    for name, value, good, expected in ranges:
        if not good:
            raise ConfigError(f"{name}: expected {expected}, got {value!r}")


def require_seed(where: str, seed: int) -> None:
    """Guard a number that generators are seeded with.

    Raises:
        ConfigError: it is below 0, or beyond what every generator takes.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"{where}: expected a whole number from 0 to 2^63 - 1, got {seed}")


def between(name: str, value: float, low: float, high: float, expected: str) -> Range:
    """A number from a lowest to a highest, both good."""
    return name, value, low <= value <= high, expected


def positive(name: str, value: int) -> Range:
    """A count of 1 or more."""
    return between(name, value, 1, math.inf, "1 or more")
