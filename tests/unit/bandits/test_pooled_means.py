"""Shrinkage of units to groups and of groups to all, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nurture_rl.bandits.pooled_means import PooledMeans, pooled_means
from nurture_rl.errors import FitError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def test_units_shrink_as_the_normal_model_worked_by_hand() -> None:
    # Four units of two outcomes, means 1, 3, 5, 7, each +-1 around its mean: one group.
    # Within: 8 squares of 1 on 4 degrees = 2. Spread of means: 2 x (9 + 1 + 1 + 9) = 40 on 3
    # degrees; (40 - 3 x 2) / (8 - 16 / 8) = 34 / 6. Kept: (34/6) / (34/6 + 2/2) = 0.85.
    found = pooled_means(
        np.full(4, 2.0), np.array([2.0, 6.0, 10.0, 14.0]), 8.0 + 2 * (1 + 9 + 25 + 49), zeros(4)
    )
    assert found.within == pytest.approx(2.0)
    assert found.between_units == pytest.approx(34.0 / 6.0)
    assert found.overall == pytest.approx(4.0)
    assert found.unit == pytest.approx(4.0 + 0.85 * np.array([-3.0, -1.0, 1.0, 3.0]))
    # 0.85 of the variance of a mean of two, and what is not known of the group's mean.
    group = (34.0 / 6.0 + 1.0) / 4.0
    assert found.unit_variance == pytest.approx(np.full(4, 0.85 * 1.0 + 0.15**2 * group))


def test_groups_shrink_as_the_normal_model_worked_by_hand() -> None:
    # Two groups of two equal units: means 0, 0 and 4, 4; 2 outcomes each, +-1 around the mean.
    # Between units 0; a group's mean of 4 outcomes has variance 2 / 4; spread between groups:
    # (16 / 1 - 1) / (4 - 8 / 4) = 15 / 2, so a group keeps (15/2) / (15/2 + 1/2) = 15/16.
    found = pooled_means(
        np.full(4, 2.0), np.array([0.0, 0.0, 8.0, 8.0]), 8.0 + 4 * 16.0, np.array([0, 0, 1, 1])
    )
    assert found.between_units == 0.0
    assert found.between_groups == pytest.approx(7.5)
    assert found.group == pytest.approx([2.0 - 2.0 * 15 / 16, 2.0 + 2.0 * 15 / 16])
    assert found.unit == pytest.approx(found.group[[0, 0, 1, 1]])


def test_the_means_are_those_of_the_joint_normal_posterior() -> None:
    # Given the variances: generalised least squares over all outcomes at once.
    rng = np.random.default_rng(1)
    count, group = rng.integers(1, 6, 12).astype(float), np.repeat([0, 1, 2], 4)
    found, outcomes, _ = drawn(count, group, 1.0, 0.7, 1.5, rng)
    owner = np.repeat(np.arange(12), count.astype(int))
    same_unit = owner[:, None] == owner
    same_group = group[owner][:, None] == group[owner]
    covariance = (
        found.within * np.eye(outcomes.size)
        + found.between_units * same_unit
        + found.between_groups * same_group
    )
    weight = np.linalg.inv(covariance)
    overall = weight.sum(axis=0) @ outcomes / weight.sum()
    assert found.overall == pytest.approx(overall)
    link = found.between_units * np.eye(12)[:, owner] + found.between_groups * (
        group[:, None] == group[owner]
    )
    assert found.unit == pytest.approx(overall + link @ weight @ (outcomes - overall))


def test_groups_that_are_alike_are_pooled_and_groups_that_differ_are_left() -> None:
    count, group = np.full(400, 5.0), np.arange(400) % 20
    kept = []
    for spread in (0.0, 3.0):
        found, outcomes, _ = drawn(count, group, 1.0, 0.5, spread, np.random.default_rng(2))
        plain = np.bincount(np.repeat(group, 5), weights=outcomes) / 100.0
        kept.append(np.std(found.group) / np.std(plain))
    assert kept[0] < 0.6
    assert kept[1] > 0.97


def test_units_that_are_alike_are_pooled_and_units_that_differ_are_left() -> None:
    count, group = np.full(300, 5.0), np.zeros(300, np.int64)
    for spread, low, high in ((0.0, 0.0, 0.3), (3.0, 0.95, 1.0)):
        found, _, _ = drawn(count, group, 1.0, spread, 0.0, np.random.default_rng(3))
        assert low <= found.between_units / (found.between_units + found.within / 5.0) <= high


def test_the_variances_are_recovered() -> None:
    rng = np.random.default_rng(4)
    count, group = rng.integers(1, 9, 6000).astype(float), rng.integers(0, 60, 6000)
    found, _, _ = drawn(count, group, 2.0, 1.0, 0.8, rng)
    assert found.within == pytest.approx(4.0, rel=0.05)
    assert found.between_units == pytest.approx(1.0, rel=0.1)
    assert found.between_groups == pytest.approx(0.64, rel=0.5)  # of 60 groups


def test_a_unit_without_outcomes_takes_its_group_and_an_empty_group_takes_all() -> None:
    found = pooled_means(
        np.array([2.0, 2.0, 2.0, 0.0, 0.0]),
        np.array([2.0, 6.0, 10.0, 0.0, 0.0]),
        6.0 + 2 * (1 + 9 + 25),
        np.array([0, 0, 1, 1, 2]),
    )
    assert found.unit[3] == pytest.approx(found.group[1])
    assert found.unit[4] == pytest.approx(found.overall)
    assert found.unit_variance[4] >= found.unit_variance[3] >= found.unit_variance[2]


def test_shrunk_means_are_nearer_to_the_truth_than_plain_ones() -> None:
    count, group = np.full(500, 3.0), np.arange(500) % 10
    found, outcomes, truth = drawn(count, group, 2.0, 0.5, 0.5, np.random.default_rng(5))
    plain = outcomes.reshape(500, 3).mean(axis=1)
    assert ((found.unit - truth) ** 2).mean() < 0.4 * ((plain - truth) ** 2).mean()


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(FitError, match="vary inside a unit"):
        pooled_means(np.ones(3), np.ones(3), 3.0, zeros(3))
    with pytest.raises(ShapeError, match=r"must all be \[U\]"):
        pooled_means(np.ones(3), np.ones(2), 3.0, zeros(3))


def zeros(n: int) -> IntArray:
    return np.zeros(n, np.int64)


def drawn(
    count: FloatArray,
    group: IntArray,
    noise: float,
    units: float,
    groups: float,
    rng: np.random.Generator,
) -> tuple[PooledMeans, FloatArray, FloatArray]:
    """Pooled means of outcomes around N(2, ..), the outcomes, and the true units."""
    truth = 2.0 + rng.normal(0.0, groups, group.max() + 1)[group]
    truth = truth + rng.normal(0.0, units, group.size)
    owner = np.repeat(np.arange(group.size), count.astype(int))
    outcomes = truth[owner] + rng.normal(0.0, noise, owner.size)
    total = np.bincount(owner, weights=outcomes, minlength=group.size).astype(np.float64)
    found = pooled_means(count, total, float(outcomes @ outcomes), group)
    return found, outcomes, truth
