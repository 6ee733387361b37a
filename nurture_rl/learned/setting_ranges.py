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
    "batch": (1, inf),
    "draws": (1, inf),
    "epochs": (1, inf),
    "floor": (0.0, 1.0),
    "hidden": (1, inf),
    "iterations": (1, inf),
    "learning_rate": (LEAST, inf),
    "multipliers": (1, inf),
    "ridge": (LEAST, inf),
    "steps": (1, inf),
}


def require_settings(settings: Any, **ranges: tuple[float, float]) -> None:
    """Guard a learner's settings; None passes, where a setting may be None.

    Every number must be finite; of a tuple each number is looked at.

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
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and not _within(number, low, high):
                least = f"at least {low:g} and " if low > -inf else ""
                upper = f"at most {high:g}" if high < inf else "finite"
                raise FitError(
                    f"{name} of {_learner(settings)} must be {least}{upper}, got {number}"
                )


def require_layers(settings: Any) -> None:
    """Guard a learner whose network must have a hidden layer.

    Raises:
        FitError: `hidden` is empty.
    """
    if not settings.hidden:
        raise FitError(
            f"hidden of {_learner(settings)} must be one layer or more, such as [64, 64], got []"
        )


def _within(number: float, low: float, high: float) -> bool:
    return abs(number) < inf and low <= number <= high


def _learner(settings: Any) -> str:
    return type(settings).__name__.removesuffix("Config")
