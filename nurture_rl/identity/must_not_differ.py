"""Columns in which records of one person may not differ, over chains of likely links too."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from nurture_rl.identity.likely_links import LikelyLink, LinkSettings, agreement

Gives = tuple[frozenset[str], ...]  # the values of one contact, by column; empty: nothing is given


@dataclass(frozen=True, slots=True)
class GivenValues:
    """What contacts give in these columns."""

    of: Mapping[str, Gives]  # by contact
    alike: frozenset[tuple[int, str, str]]  # column and two values, the smaller first

    def differ(self, some: Collection[Gives], others: Collection[Gives]) -> bool:
        """Whether a contact of some and one of the others give values, none of which are alike.

        Args:
            some: what contacts give that are of one person.
            others: what contacts give that may be of the same person.
        """
        return any(self._apart(one, other) for one in some for other in others)

    def _apart(self, one: Gives, other: Gives) -> bool:
        return any(
            bool(left and right)
            and left.isdisjoint(right)
            and not any((column, min(a, b), max(a, b)) in self.alike for a in left for b in right)
            for column, (left, right) in enumerate(zip(one, other, strict=True))
        )


def given_values(
    records: pa.Table, settings: LinkSettings, links: Sequence[LikelyLink]
) -> GivenValues:
    """What linked contacts give in the columns that must not differ.

    Values are compared with those of all contacts that links lead to, as `likely_links` compares
    two records.

    Args:
        records: as for `likely_links`.
        settings: as for `likely_links`.
        links: between contacts of the records.
    """
    columns = sorted(settings.must_not_differ)
    reached = _reached(links)
    if not columns or not reached:
        return GivenValues({}, frozenset())
    sets: dict[str, tuple[set[str], ...]] = {
        contact: tuple(set() for _ in columns) for contact in reached
    }
    rows = zip(*(records[name].to_pylist() for name in ("contact", *columns)), strict=True)
    for contact, *values in rows:
        for values_of, value in zip(sets.get(contact, ()), values, strict=False):
            if value is not None:
                values_of.add(value)
    alike: set[tuple[int, str, str]] = set()
    with duckdb.connect(config={"threads": 1}) as engine:
        for at, column in enumerate(columns):
            pairs = {(reached[one], value) for one, given in sets.items() for value in given[at]}
            table = pa.table(
                {
                    "part": pa.array([part for part, _ in pairs], pa.int64()),
                    "given": pa.array([value for _, value in pairs], pa.string()),
                }
            )
            engine.register("given_values", table)
            found = engine.execute(
                "select distinct l.given, r.given from given_values l join given_values r "
                "on l.part = r.part and l.given < r.given where "
                + agreement(settings.comparisons[column], "l.given", "r.given")
            ).fetchall()
            alike |= {(at, min(pair), max(pair)) for pair in found}
    given = {one: tuple(frozenset(values) for values in some) for one, some in sets.items()}
    return GivenValues(given, frozenset(alike))


def _reached(links: Sequence[LikelyLink]) -> dict[str, int]:
    """The part of the graph of links that each contact is in."""
    parts: dict[str, list[str]] = {}
    for link in links:
        left = parts.setdefault(link.left, [link.left])
        right = parts.setdefault(link.right, [link.right])
        if left is not right:
            small, large = sorted((left, right), key=len)
            large += small
            parts.update(dict.fromkeys(small, large))
    number: dict[int, int] = {}
    return {contact: number.setdefault(id(some), len(number)) for contact, some in parts.items()}
