"""Which records are compared: those that agree on all parts of a rule, unless very many do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_IN_A_BLOCK = 1000  # records that agree; more say as little as a key of very many, at n^2 cost
_BETWEEN = "\x1f"  # parts


@dataclass(frozen=True, slots=True)
class BlockingPart:
    """What two records must agree on to be compared."""

    column: str
    signs: int | None  # first signs that count; None: all


BlockingRule = tuple[BlockingPart, ...]  # pairs that agree on all parts are compared


class Blocks:
    """The rules as SQL, with columns that leave out what too many records agree on."""

    def __init__(
        self, records: pa.Table, rules: Iterable[BlockingRule], names: Mapping[str, str]
    ) -> None:
        """Look at the records.

        Args:
            records: with the columns of the rules, [n].
            rules: that will be asked for.
            names: column → its name in SQL.
        """
        self.columns = {short: records[column] for column, short in names.items()}
        self._names = names
        self._guard: dict[BlockingRule, str] = {}
        for rule in sorted(rules, key=str):
            values, crowded = _blocked(records, rule)
            if crowded.size:
                self._guard[rule] = f"b{len(self._guard)}"
                self.columns[self._guard[rule]] = values

    def rule(self, parts: BlockingRule) -> str:
        """The condition under which two records `l` and `r` are compared."""
        agree = [
            f"l.{self._names[one.column]} = r.{self._names[one.column]}"
            if one.signs is None
            else f"left(l.{self._names[one.column]}, {one.signs})"
            f" = left(r.{self._names[one.column]}, {one.signs})"
            for one in parts
        ]
        if parts in self._guard:
            agree.append(f"l.{self._guard[parts]} = r.{self._guard[parts]}")
        return " AND ".join(agree)


def default_blocking(comparisons: Mapping[str, str]) -> tuple[tuple[BlockingPart, ...], ...]:
    """Address or telephone alone; of everything else two columns that begin alike.

    Args:
        comparisons: column → its kind.
    """
    alone = [
        (BlockingPart(column, None),)
        for column, kind in comparisons.items()
        if kind in ("email", "phone")
    ]
    begun = {
        column: BlockingPart(column, 4 if kind in ("name", "company", "address") else None)
        for column, kind in comparisons.items()
        if kind not in ("email", "phone")
    }
    return (*alone, *itertools.combinations(begun.values(), 2))


def crowded_rules(records: pa.Table, rules: Iterable[BlockingRule]) -> list[str]:
    """Which rules too many records agree on for them to be compared by it, with how many do.

    Args:
        records: with the columns of the rules, [n].
        rules: by which records are compared.
    """
    told = []
    for rule in rules:
        crowded = _blocked(records, rule)[1]
        if crowded.size:
            parts = " and ".join(
                one.column if one.signs is None else f"{one.column}:{one.signs}" for one in rule
            )
            told.append(f"{parts} ({crowded.sum():,} rows)")
    return told


def _blocked(records: pa.Table, rule: BlockingRule) -> tuple[pa.Array, np.ndarray]:
    """What a rule compares of each record, null where too many agree; and how many these are."""
    parts = [
        records[one.column].combine_chunks()
        if one.signs is None
        else pc.utf8_slice_codeunits(records[one.column].combine_chunks(), 0, one.signs)
        for one in rule
    ]
    values = pc.binary_join_element_wise(*parts, _BETWEEN)
    coded = values.dictionary_encode()
    code = np.asarray(coded.indices.fill_null(-1))
    counts = np.bincount(code[code >= 0], minlength=len(coded.dictionary))
    many = counts > MOST_IN_A_BLOCK
    return pc.if_else(pa.array(np.r_[many, False][code]), None, values), counts[many]
