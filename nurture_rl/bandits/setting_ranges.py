"""What the numbers among a learner's settings may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import inf
from typing import Any

from nurture_rl.errors import FitError

LEAST = 1e-12  # in place of 0, where a number must be above 0

# What settings of the same name mean in every learner.
_COMMON: Mapping[str, tuple[float, float]] = {
    "draws": (1, inf),
    "floor": (0.0, 1.0),
    "multipliers": (1, inf),
    "ridge": (LEAST, inf),
}


def require_settings(settings: Any, **ranges: tuple[float, float]) -> None:
    """Guard a learner's settings; None passes, where a setting may be None.

    Args:
        settings: the record.
        ranges: least and largest value of its own numbers; those that learners share are known.

    Raises:
        FitError: names the first setting out of its range.
    """
    assert is_dataclass(settings)
    for name in (one.name for one in fields(settings)):
        low, high = ranges.get(name, _COMMON.get(name, (-inf, inf)))
        value = getattr(settings, name)
        if isinstance(value, int | float) and not low <= value <= high:
            upper = f" and at most {high:g}" if high < inf else ""
            raise FitError(
                f"{name} of {type(settings).__name__.removesuffix('Config')} must be at least "
                f"{low:g}{upper}, got {value}"
            )
