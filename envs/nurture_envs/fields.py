"""Reading typed values out of plain data while collecting every problem on the way."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

_MISSING = object()
_LARGEST = sys.float_info.max


@dataclass(slots=True)
class Fields:
    """One mapping of a file under its dotted path; `problems` is shared by all of them.

    Every reader returns a usable value even after a problem, so that one pass finds all.
    """

    data: Mapping[str, Any]
    path: str
    problems: list[str]
    seen: set[str] = field(default_factory=set)

    def key(self, name: str) -> str:
        """The full dotted name of a key, for messages."""
        return f"{self.path}.{name}" if self.path else name

    def problem(self, name: str, text: str) -> None:
        """Note a problem of one key."""
        self.problems.append(f"{self.key(name)}: {text}")

    def has(self, name: str) -> bool:
        """Whether an optional key is written; it is known in any case."""
        self.seen.add(name)
        return name in self.data

    def _get(self, name: str, kind: type | tuple[type, ...], want: str, default: Any) -> Any:
        self.seen.add(name)
        value = self.data.get(name, _MISSING)
        if value is _MISSING or value is None:
            if default is _MISSING:
                self.problem(name, f"expected {want}, it is missing")
                return None
            return default
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, kind):
            self.problem(name, f"expected {want}, got {value!r}")
            return None if default is _MISSING else default
        return value

    def text(self, name: str, default: Any = _MISSING, among: Collection[str] = ()) -> str:
        """A string, one of `among` where given."""
        value = self._get(name, str, "text" if not among else _one_of(among), default)
        if value is None:
            return ""
        if among and value not in among and value != default:
            self.problem(name, f"expected {_one_of(among)}, got {value!r}{hint(value, among)}")
        return str(value)

    def name_text(self, name: str) -> str:
        """A string that is not empty."""
        value = self.text(name)
        if self.data.get(name) == "":
            self.problem(name, "expected text, got ''")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string that is not empty, or nothing."""
        value = self.text(name, "")
        if self.data.get(name) == "":
            self.problem(name, "expected text, got ''; leave the key out for any")
        return value or None

    def number(
        self,
        name: str,
        default: Any = _MISSING,
        low: float | None = None,
        high: float | None = None,
    ) -> float:
        """A finite number inside [low, high]."""
        want = f"a number{_bounds(low, high)}"
        value = self._get(name, (int, float), want, default)
        if value is None:
            return low if low is not None else 0.0
        if not abs(value) <= _LARGEST:  # a whole number may be larger, too
            self.problem(name, f"expected a finite number, got {value!r:.30}")
            return low if low is not None else 0.0
        if (low is not None and value < low) or (high is not None and value > high):
            self.problem(name, f"expected {want}, got {value!r}")
        return float(value)

    def integer(
        self, name: str, default: Any = _MISSING, low: int = 0, high: int | None = None
    ) -> int:
        """A whole number >= low, and <= high where there is one."""
        want = f"a whole number >= {low}" + ("" if high is None else f" and <= {high}")
        value = self._get(name, int, want, default)
        if value is None:
            return low
        if value < low or (high is not None and value > high):
            self.problem(name, f"expected {want}, got {value!r}")
        return int(value)

    def flag(self, name: str, default: Any = _MISSING) -> bool:
        """True or false."""
        return bool(self._get(name, bool, "true or false", default))

    def day(self, name: str) -> date | None:
        """A calendar day or nothing."""
        value = self._get(name, (date, str), "a day such as 2027-12-31", None)
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                self.problem(name, f"expected a day such as 2027-12-31, got {value!r}")
                return None
        if isinstance(value, datetime):
            self.problem(name, f"expected a day such as 2027-12-31, got the moment {value}")
            return None
        return value if isinstance(value, date) else None

    def items(self, name: str, default: Any = _MISSING) -> list[Any]:
        """A list; a single value counts as a list of one, an empty key as a missing one."""
        self.seen.add(name)
        value = self.data.get(name)
        value = default if value is None else value
        if value is _MISSING:
            self.problem(name, "expected a list, it is missing")
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def whole_numbers(self, name: str, default: list[int]) -> list[int]:
        """A list of whole numbers; the default after a problem."""
        values = self.items(name, default)
        wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, int)]
        if wrong:
            self.problem(name, f"expected whole numbers, got {wrong[0]!r} among them")
            return default
        return values

    def mapping(self, name: str, default: Any = _MISSING) -> Fields:
        """A nested mapping; of what is none, one problem is told and not what it lacks."""
        before = len(self.problems)
        value = self._get(name, Mapping, "a mapping", default)
        told = self.problems if len(self.problems) == before else []
        return Fields(value or {}, self.key(name), told)

    def mappings(self, name: str, default: Any = _MISSING) -> list[Fields]:
        """A list of mappings."""
        items = {f"{name}[{i}]": item for i, item in enumerate(self.items(name, default))}
        held = Fields(items, self.path, self.problems)
        return [held.mapping(key) for key in items]

    def children(self, name: str, default: Any = _MISSING) -> list[tuple[str, Fields]]:
        """The entries of a mapping of mappings, in file order."""
        outer = self.mapping(name, default)
        return [(str(key), outer.mapping(key, {})) for key in outer.data]

    def finish(self) -> None:
        """Note every key nobody asked for."""
        for name in self.data:
            if name not in self.seen:
                near = hint(str(name), self.seen)
                self.problem(str(name), f"no such key{near or f'; known are {sorted(self.seen)}'}")


def hint(value: str, among: Collection[str]) -> str:
    """`; did you mean ...?` when a known name is near, else nothing."""
    near = get_close_matches(value, list(among), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _one_of(among: Collection[str]) -> str:
    return "one of " + ", ".join(among)


def _bounds(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f" in [{'-inf' if low is None else low}, {'inf' if high is None else high}]"


def channels_of(f: Fields, name: str, known: list[str], default: Any = None) -> tuple[str, ...]:
    """The channels that a list of names and patterns stands for; a pattern of values says so."""
    wanted = f.items(name) if default is None else f.items(name, default)
    channels: list[str] = []
    for pattern in map(str, wanted):
        values = ".value" in pattern
        matches = [c for c in known if fnmatchcase(c, pattern) and c.endswith(".value") == values]
        if not matches:
            f.problem(name, f"no signal is called {pattern!r}{hint(pattern, known)}")
        channels += [match for match in matches if match not in channels]
    return tuple(channels)
