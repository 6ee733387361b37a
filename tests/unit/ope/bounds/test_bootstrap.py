"""The bootstrap's weights are a function of the contact, so shards and rows agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nurture_rl.errors import ShapeError
from nurture_rl.ope.bounds.bootstrap import (
    BootstrapConfig,
    ReplicateSums,
    basic_interval,
    percentile_interval,
    poisson_counts,
    replicate_sums,
    studentised_interval,
)

CONFIG = BootstrapConfig(replicates=400, seed=3)


def sums_of(n: int, config: BootstrapConfig = CONFIG) -> tuple[ReplicateSums, np.ndarray]:
    values = np.random.default_rng(0).exponential(size=n)
    return replicate_sums(np.arange(n), values, np.ones(n), config), values


def test_counts_are_poisson_and_independent() -> None:
    counts = poisson_counts(np.arange(5000), CONFIG)
    assert counts.shape == (5000, 400)
    seen = np.bincount(counts.ravel(), minlength=10)[:8] / counts.size
    assert seen == pytest.approx(stats.poisson.pmf(np.arange(8), 1.0), abs=1e-3)
    wide = counts.astype(np.float64)
    between_replicates = np.corrcoef(wide[:, :60].T) - np.eye(60)
    between_contacts = np.corrcoef(wide[:60]) - np.eye(60)
    assert np.abs(between_replicates).max() < 6 / np.sqrt(5000)
    assert np.abs(between_contacts).max() < 6 / np.sqrt(400)


def test_a_count_depends_on_contact_replicate_and_seed_alone() -> None:
    counts = poisson_counts(np.array([7, -3, 2**40]), CONFIG)
    assert (poisson_counts(np.array([2**40, 7]), CONFIG) == counts[[2, 0]]).all()
    fewer = poisson_counts(np.array([7, -3, 2**40]), BootstrapConfig(replicates=7, seed=3))
    assert (fewer == counts[:, :7]).all()
    other = poisson_counts(np.array([7, -3, 2**40]), BootstrapConfig(replicates=400, seed=4))
    assert (other != counts).mean() > 0.4
    # Pinned, so that shards of two releases agree as well.
    assert counts[:, :6].tolist() == [
        [2, 1, 2, 2, 1, 0],
        [0, 2, 1, 0, 2, 1],
        [1, 0, 1, 1, 0, 0],
    ]


def test_sums_are_the_weighted_sums() -> None:
    a, b = np.array([1.0, 2.0, 5.0]), np.array([2.0, 1.0, 3.0])
    names = np.array([4, 9, 1])
    found = replicate_sums(names, a, b, CONFIG)
    weights = poisson_counts(names, CONFIG).astype(np.float64).T
    moments = np.column_stack([np.ones(3), a, b, a * a, a * b, b * b])
    assert found.plain == pytest.approx(moments.sum(axis=0))
    assert found.replicates == pytest.approx(weights @ moments)


def test_shards_merge_to_the_whole_beyond_one_chunk() -> None:
    n = 20_000
    whole, values = sums_of(n, BootstrapConfig(replicates=6, seed=3))
    config = BootstrapConfig(replicates=6, seed=3)
    first = replicate_sums(np.arange(12_345), values[:12_345], np.ones(12_345), config)
    rest = np.arange(12_345, n)
    second = replicate_sums(rest, values[rest], np.ones(rest.size), config)
    merged = first.merge(second)
    assert merged.plain == pytest.approx(whole.plain)
    assert merged.replicates == pytest.approx(whole.replicates)
    assert merged.seed == 3


def test_intervals_of_a_mean_are_those_of_theory() -> None:
    sums, values = sums_of(2000)
    stderr, skewness = stats.sem(values), stats.skew(values) / np.sqrt(2000)
    z = 1.96
    for found, tilt in (
        (percentile_interval(sums, 0.95), skewness * (z**2 - 1) / 6),
        (basic_interval(sums, 0.95), -skewness * (z**2 - 1) / 6),
        (studentised_interval(sums, 0.95), skewness * (2 * z**2 + 1) / 6),
    ):
        due = values.mean() + stderr * np.array([tilt - z, tilt + z])
        assert (found.lower, found.upper) == pytest.approx(due, abs=0.35 * stderr)
        assert found.method.startswith("poisson-")


def test_percentile_and_basic_are_mirrors() -> None:
    sums, values = sums_of(300)
    ratios = sums.replicates[:, 1] / sums.replicates[:, 2]
    low, high = np.quantile(ratios, [0.05, 0.95])
    assert percentile_interval(sums, 0.9).lower == pytest.approx(low)
    assert percentile_interval(sums, 0.9).upper == pytest.approx(high)
    assert basic_interval(sums, 0.9).lower == pytest.approx(2 * values.mean() - high)
    assert basic_interval(sums, 0.9).upper == pytest.approx(2 * values.mean() - low)


def test_the_studentised_interval_divides_each_error_by_its_own() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.exponential(size=40), rng.uniform(1.0, 2.0, size=40)
    names = np.arange(40)
    found = studentised_interval(replicate_sums(names, a, b, CONFIG), 0.9)
    ratio = a.sum() / b.sum()

    def error(weights: np.ndarray) -> tuple[float, float]:
        own = float((weights @ a) / (weights @ b))
        return own, float(np.sqrt(weights @ (a - own * b) ** 2) / (weights @ b))

    drawn = [error(row) for row in poisson_counts(names, CONFIG).T.astype(np.float64)]
    low, high = np.quantile([(own - ratio) / spread for own, spread in drawn], [0.05, 0.95])
    stderr = error(np.ones(40))[1]
    assert found.lower == pytest.approx(ratio - high * stderr)
    assert found.upper == pytest.approx(ratio - low * stderr)


def test_a_constant_is_known_exactly() -> None:
    found = studentised_interval(
        replicate_sums(np.arange(50), np.full(50, 3.0), np.ones(50), CONFIG), 0.95
    )
    assert (found.lower, found.upper) == pytest.approx((3.0, 3.0))


def test_shards_of_other_luck_do_not_merge() -> None:
    first = sums_of(10)[0]
    with pytest.raises(ShapeError, match="seeds 3 and 4"):
        first.merge(sums_of(10, BootstrapConfig(replicates=400, seed=4))[0])
    with pytest.raises(ShapeError, match="400 and 8 replicates"):
        first.merge(sums_of(10, BootstrapConfig(replicates=8, seed=3))[0])


def test_rows_instead_of_contacts_are_refused() -> None:
    with pytest.raises(ShapeError, match="a contact comes twice"):
        replicate_sums(np.array([1, 1]), np.ones(2), np.ones(2), CONFIG)
    with pytest.raises(ShapeError, match=r"must be \[C\]"):
        replicate_sums(np.array([1, 2]), np.ones(3), np.ones(2), CONFIG)
    with pytest.raises(ShapeError, match=r"must be \[C\]"):
        replicate_sums(np.ones((2, 2), np.int64), np.ones((2, 2)), np.ones((2, 2)), CONFIG)
    with pytest.raises(ShapeError, match=r"must be \[C\]"):
        replicate_sums(np.array([1, 2]), np.ones(2), np.ones(3), CONFIG)


def test_weights_that_vanish_in_a_replicate_are_refused() -> None:
    sums = replicate_sums(np.arange(3), np.ones(3), np.array([1.0, 0.0, 0.0]), CONFIG)
    with pytest.raises(ShapeError, match="a replicate has no weight at all"):
        percentile_interval(sums, 0.95)
