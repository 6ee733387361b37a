"""The Upworthy Research Archive: headlines and images tried against each other on one page.

A test has no single readers, only counts by package; single impressions are drawn from them.

Source: Matias, Munger, Aubin Le Quere & Ebersole (2021), The Upworthy Research Archive, Scientific
    Data 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from nurture_rl.errors import LogError
from nurture_rl.logs.adapters.common import IntArray, cells, require_columns, require_file

FILE = "upworthy_exploratory_packages.parquet"
FIRST_SOUND_WEEK = 201403  # of earlier weeks the archive's authors doubt the randomisation

_COLUMNS = ("clickability_test_id", "impressions", "clicks", "test_week")


@dataclass(frozen=True, slots=True, eq=False)
class HeadlineTests:
    """Packages sorted by test, p packages of T tests."""

    test: IntArray  # 0 .. T-1, non-decreasing, [p]
    arm: IntArray  # place of the package in its test, in the file's order, [p]
    impressions: IntArray  # [p]
    clicks: IntArray  # [p]

    @property
    def n_tests(self) -> int:
        """Tests, T."""
        return int(self.test[-1]) + 1

    @property
    def n_arms(self) -> IntArray:
        """Packages of each test, [T]."""
        return np.bincount(self.test).astype(np.int64)


def read_tests(source: Path, first_week: int = FIRST_SOUND_WEEK) -> HeadlineTests:
    """Read the tests from one week on.

    Args:
        source: folder with the packages.
        first_week: year and week, as 201403.

    Raises:
        LogError: the file or a column is missing, no test is that late, or more clicks than
            impressions.
    """
    path = source / FILE
    require_file(path)
    require_columns(pq.read_schema(path).names, _COLUMNS, path)
    table = pq.read_table(path, columns=list(_COLUMNS))
    late = cells(table, "test_week").astype(np.int64) >= first_week
    if not late.any():
        raise LogError(f"expected tests of week {first_week} or later, there are none in {FILE}")
    test = np.unique(cells(table, _COLUMNS[0])[late], return_inverse=True)[1].astype(np.int64)
    order = np.argsort(test, kind="stable")
    test = test[order]
    impressions = cells(table, "impressions")[late][order].astype(np.int64)
    clicks = cells(table, "clicks")[late][order].astype(np.int64)
    if (clicks > impressions).any() or (clicks < 0).any():
        raise LogError("expected 0 <= clicks <= impressions of every package; use another copy")
    first = np.searchsorted(test, test)
    return HeadlineTests(test, np.arange(test.size) - first, impressions, clicks)


def split_impressions(
    tests: HeadlineTests, share: float, rng: np.random.Generator
) -> tuple[HeadlineTests, HeadlineTests]:
    """Deal single impressions into two groups by lot, the first with about `share` of them.

    Of each package a binomial number of impressions is drawn, its clicks hypergeometric: what a
    split of the single readers would give. Given the package's rate the groups are independent.
    """
    taken = rng.binomial(tests.impressions, share)
    clicked = rng.hypergeometric(tests.clicks, tests.impressions - tests.clicks, taken)
    first = HeadlineTests(tests.test, tests.arm, taken.astype(np.int64), clicked.astype(np.int64))
    rest = tests.impressions - first.impressions
    return first, HeadlineTests(tests.test, tests.arm, rest, tests.clicks - first.clicks)
