"""How two values of a column agree: at one of a few levels, as conditions of DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import duckdb

# Levels of each kind after "nothing given", best first: what is told of them, and their condition.
LEVELS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "email": (
            ("same", "{l} = {r}"),
            ("a typing error apart", "damerau_levenshtein({l}, {r}) <= 2"),
            ("same name at another domain", "split_part({l}, '@', 1) = split_part({r}, '@', 1)"),
        ),
        "name": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "phone": (
            ("same", "{l} = {r}"),
            ("same last seven digits", "right({l}, 7) = right({r}, 7)"),
            ("a digit apart", "damerau_levenshtein({l}, {r}) <= 1"),
        ),
        "company": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "address": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "postcode": (
            ("same", "{l} = {r}"),
            ("same first three signs", "left({l}, 3) = left({r}, 3)"),
        ),
        "exact": (("same", "{l} = {r}"),),
    }
)
OTHER, UNKNOWN = "different", "not given"


def level_told(kind: str, gamma: int) -> str:
    """What Splink's number of a level means: -1 nothing given, 0 different, the highest best."""
    labels = LEVELS[kind]
    if gamma <= 0:
        return OTHER if gamma == 0 else UNKNOWN
    return labels[len(labels) - gamma][0]


class Differences:
    """Which values of compared columns differ: agree at no level; each two are looked at once."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """Begin.

        Args:
            kinds: column → its kind.
        """
        self._either = {
            column: " OR ".join(condition.format(l="a", r="b") for _, condition in LEVELS[kind])
            for column, kind in kinds.items()
        }
        self._known: dict[tuple[str, str, str], bool] = {}
        self._engine = duckdb.connect(config={"threads": 1})

    def learn(self, asked: Iterable[tuple[str, str, str]]) -> None:
        """Look at many pairs at once: column, and two values as they are compared."""
        new: dict[str, set[tuple[str, str]]] = {}
        for column, one, other in asked:
            if one != other and (column, *_in_order(one, other)) not in self._known:
                new.setdefault(column, set()).add(_in_order(one, other))
        for column, some in new.items():
            pairs = sorted(some)
            query = f"select ({self._either[column]}) from (select unnest(?) a, unnest(?) b)"
            agree = self._engine.execute(query, [[a for a, _ in pairs], [b for _, b in pairs]])
            for pair, (alike,) in zip(pairs, agree.fetchall(), strict=True):
                self._known[column, *pair] = not alike

    def first(
        self, column: str, some: Collection[str], others: Collection[str]
    ) -> tuple[str, str] | None:
        """A value of each that differ, the first in order; None: all of them agree.

        Args:
            column: whose values they are.
            some: values, as they are compared.
            others: likewise.
        """
        pairs = [(a, b) for a in sorted(some) for b in sorted(others) if a != b]
        self.learn((column, *pair) for pair in pairs)
        return next((pair for pair in pairs if self._known[column, *_in_order(*pair)]), None)


def _in_order(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)
