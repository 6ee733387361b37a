"""The reality gap as plain JSON values, read for figures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_rl.report.numbers import sentence_case
from nurture_rl.report.source import Json, listed, mapping, number, words

FloatArray = NDArray[np.float64]
TRUST = {
    "trust_for_ranking": ("released", "Trust it for ranking policies"),
    "trust_for_training_with_ensemble": ("open", "Trust it for training only, as an ensemble"),
    "do_not_trust": ("refused", "Do not trust it"),
}


@dataclass(frozen=True, slots=True)
class GapSource:
    """`GapReport.to_dict()`; a part that is missing leaves its figure out."""

    gap: Json

    @property
    def evidence(self) -> Mapping[str, object]:
        """What was measured."""
        return mapping(self.gap, "evidence")

    @property
    def causes(self) -> list[Json]:
        """What speaks against the world, roots first."""
        return rows(self.gap, "verdict", "causes")

    @property
    def trust(self) -> str:
        """The verdict's name."""
        return words(self.gap, "verdict", "trust") or "do_not_trust"

    def compared(self, family: str) -> list[Json]:
        """The comparisons of one family."""
        comparisons = rows(self.evidence, "comparisons")
        return [row for row in comparisons if words(row, "family") == family]


def rows(source: object, *path: str) -> list[Json]:
    """The mappings of a list; others are left out."""
    return [row for row in listed(source, *path) if isinstance(row, Mapping)]


def column(table: list[Json], *path: str) -> FloatArray:
    """One number of every row, NaN where it is missing, [n]."""
    values = [number(row, *path) for row in table]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def bounds(table: list[Json], side: str) -> tuple[FloatArray, FloatArray]:
    """Value and 95 % half-width of the log's ("real") or the world's ("simulated") number."""
    return column(table, side, "value"), 1.959964 * column(table, side, "stderr")


def shown(name: str | None) -> str:
    """`clicked_security` as `clicked security`."""
    return sentence_case(name or "")
