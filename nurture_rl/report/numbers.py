"""Numbers as text: as many digits as they deserve, and a dash for those that do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import floor, log10

from nurture_rl.report.source import number
from nurture_rl.wording import plural

MISSING = "–"
DECIMALS = 6  # at most; what needs more is told by its power of ten
LARGEST = 1e15  # from which on whole digits say nothing
NO_WIDTH = 1e-9  # of the numbers' size: an interval narrower than that is rounding


@dataclass(frozen=True, slots=True)
class Bounded:
    """A value with its interval, each of which may be missing."""

    value: float | None
    lower: float | None = None
    upper: float | None = None

    def shown(self, signed: bool = False) -> str:
        """`12.3 [10.1, 14.5]`, with two digits of the interval's width, six decimals at most."""
        if self.value is None:
            return MISSING
        if self.lower is None or self.upper is None:
            return shown(self.value, signed=signed)
        places = _places(self.value, self.lower, self.upper)
        value, low, high = (shown(x, places, signed) for x in (self.value, self.lower, self.upper))
        return f"{value} [{low}, {high}]"


def _places(value: float, lower: float, upper: float) -> int | None:
    """Decimals that show two digits of the width; None: each number shows its own digits."""
    size, width = max(abs(value), abs(lower), abs(upper)), upper - lower
    if width <= NO_WIDTH * size or size < 0.1**DECIMALS:
        return None
    return min(max(0, 1 - floor(log10(width))), DECIMALS)


def bounded(source: object, *path: str) -> Bounded:
    """The value, lower and upper bound found in the mapping at a path."""
    return Bounded(*(number(source, *path, key) for key in ("value", "lower", "upper")))


def shown(value: float | None, places: int | None = None, signed: bool = False) -> str:
    """A number with three significant digits, or with `places` decimals; 0 has no sign."""
    if value is None:
        return MISSING
    plus, size = "+" if signed else "", abs(value)
    if size >= LARGEST or (places is None and 0.0 < size < 0.1**DECIMALS):
        mantissa, power = f"{value:{plus}.1e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", "\u2212")
    if places is None:
        places = 0 if size >= 100.0 or size == 0.0 else min(2 - floor(log10(size)), DECIMALS)
    if float(f"{size:.{places}f}") == 0.0:
        return f"{0.0:.{places}f}"
    return f"{value:{plus},.{places}f}".replace("-", "\u2212")


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return MISSING if value is None else f"{value:,.0f}".replace("-", "\u2212")


def counted(value: float | None, one: str, many: str | None = None) -> str:
    """A whole number and its word, such as "1,200 contacts"; words as in `plural`."""
    return f"{count(value)} {plural(value or 0.0, one, many)}"


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
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when:%Y-%m-%d %H:%M} {when:%Z}".strip()


def sentence_case(name: str) -> str:
    """`MINIMUM_GAP` as `minimum gap`."""
    return name.replace("_", " ").lower()
