"""Headline tests are read from sound weeks, numbered by test, and split by single impressions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.real_logs.upworthy import FILE, HeadlineTests, read_tests, split_impressions
from nurture_rl.errors import LogError
from tests.shared_data import shared_data

PACKAGES: dict[str, list[object]] = {
    "clickability_test_id": ["b", "a", "b", "a", "old"],
    "impressions": [100, 200, 110, 210, 50],
    "clicks": [3, 4, 5, 6, 1],
    "test_week": [201403, 201446, 201403, 201446, 201402],
}


def folder(root: Path, **change: list[object]) -> Path:
    pq.write_table(pa.table({**PACKAGES, **change}), root / FILE)
    return root


def test_five_packages_by_hand(tmp_path: Path) -> None:
    tests = read_tests(folder(tmp_path))
    assert tests.n_tests == 2
    assert tests.n_arms.tolist() == [2, 2]
    assert tests.test.tolist() == [0, 0, 1, 1]
    assert tests.arm.tolist() == [0, 1, 0, 1]
    assert tests.impressions.tolist() == [200, 210, 100, 110]
    assert tests.clicks.tolist() == [4, 6, 3, 5]
    assert read_tests(tmp_path, 201402).n_tests == 3


def test_a_split_loses_nothing_and_keeps_clicks_below_impressions() -> None:
    tests = HeadlineTests(
        test=np.repeat(np.arange(500), 2),
        arm=np.tile([0, 1], 500),
        impressions=np.full(1000, 400),
        clicks=np.tile([0, 40], 500),
    )
    first, rest = split_impressions(tests, 0.25, np.random.default_rng(0))
    np.testing.assert_array_equal(first.impressions + rest.impressions, tests.impressions)
    np.testing.assert_array_equal(first.clicks + rest.clicks, tests.clicks)
    assert (first.clicks <= first.impressions).all()
    assert (rest.clicks <= rest.impressions).all()
    # 100,000 and 5,000 expected; four binomial standard deviations are 1,095 and 245.
    assert abs(first.impressions.sum() - 100_000) < 1_095
    assert abs(first.clicks.sum() - 5_000) < 245


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="week 201500 or later"):
        read_tests(folder(tmp_path), 201500)
    with pytest.raises(LogError, match="clicks <= impressions"):
        read_tests(folder(tmp_path, clicks=[3, 201, 5, 6, 1]))
    table = pa.table(PACKAGES).drop_columns(["clicks"])
    pq.write_table(table, tmp_path / FILE)
    with pytest.raises(LogError, match="clicks missing"):
        read_tests(tmp_path)
    (tmp_path / FILE).unlink()
    with pytest.raises(LogError, match="there is none"):
        read_tests(tmp_path)


def test_the_archive_has_the_published_counts() -> None:
    source = shared_data("upworthy_headlines")
    assert read_tests(source, 0).n_tests == 4_873
    sound = read_tests(source)
    assert sound.n_tests == 3_432
    assert int(sound.n_arms.max()) == 14
