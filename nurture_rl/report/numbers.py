"""Numbers as text: as many digits as they deserve, and a dash for those that do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

from nurture_rl.report.source import number

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Bounded:
    """A value with its interval, each of which may be missing."""

    value: float | None
    lower: float | None = None
    upper: float | None = None

    def shown(self, signed: bool = False) -> str:
        """`12.3 [10.1, 14.5]`, with two digits of the interval's width."""
        if self.value is None:
            return MISSING
        if self.lower is None or self.upper is None:
            return shown(self.value, signed=signed)
        width = self.upper - self.lower
        places = None if width <= 0.0 else max(0, 1 - floor(log10(width)))
        value, low, high = (shown(x, places, signed) for x in (self.value, self.lower, self.upper))
        return f"{value} [{low}, {high}]"


def bounded(source: object, *path: str) -> Bounded:
    """The value, lower and upper bound found in the mapping at a path."""
    return Bounded(*(number(source, *path, key) for key in ("value", "lower", "upper")))


def shown(value: float | None, places: int | None = None, signed: bool = False) -> str:
    """A number with three significant digits, or with `places` decimals."""
    if value is None:
        return MISSING
    if places is None:
        size = abs(value)
        places = 0 if size >= 100.0 or size == 0.0 else min(2 - floor(log10(size)), 6)
    return f"{value:{'+' if signed else ''},.{places}f}".replace("-", "\u2212")


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return MISSING if value is None else f"{value:,.0f}".replace("-", "\u2212")


def percent(value: float | None) -> str:
    """A share as percent; small ones keep a digit that says something."""
    if value is None:
        return MISSING
    if 0.0 < abs(value) < 0.000005:
        return "< 0.001 %"
    places = 1 if value == 0.0 or abs(value) >= 0.01 else 2 if abs(value) >= 0.001 else 3
    return f"{100.0 * value:.{places}f} %".replace("-", "\u2212")


def shortened(text: str, length: int) -> str:
    """A text that fits where there is little room; its middle gives way."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def moment(text: str) -> str:
    """An ISO-8601 moment for people: `2027-03-01 12:00 UTC`; other texts as they are."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{found:%Y-%m-%d %H:%M} {found:%Z}".strip()


def sentence_case(name: str) -> str:
    """`MINIMUM_GAP` as `minimum gap`."""
    return name.replace("_", " ").lower()
