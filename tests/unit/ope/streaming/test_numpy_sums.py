"""The sums by numpy: every column by hand for two decisions in one bucket and one in another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.ope.contact_hash import bucket_of
from nurture_rl.ope.streaming.decision_columns import DecisionColumns
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.streaming.numpy_sums import chunk_moments

CONFIG = MomentsConfig(n_buckets=64, clips=(3.0,), taus=(3.0,), lams=(4.0,))

# Weights 4, 1/2 and 0.
ROWS = DecisionColumns(
    contact=np.array([1, 1, 2], dtype=np.uint64),
    taken=np.array([0.8, 0.25, 0.0]),
    propensity=np.array([0.2, 0.5, 0.5]),
    reward=np.array([1.0, -4.0, 3.0]),
    q_logged=np.array([2.0, 3.0, 1.0]),
    value=np.array([1.0, 2.0, 5.0]),
)


def test_every_column_by_hand() -> None:
    found = chunk_moments(ROWS, CONFIG)
    first, second = bucket_of(np.array([1, 2], dtype=np.uint64), 64)
    # Corrections 4 * -1 and 0.5 * -7; scores -3 and -1.5.
    assert found.sums[first] == pytest.approx(
        [
            2,
            4.5,
            16.25,
            4 - 2,
            16 + 4,
            3,
            -7.5,
            9 + 2.25,
            3 - 2,
            -3.5,
            -4 / (1 + 4) + -3.5 / (1 + 0.25 / 4),
        ]
    )
    assert found.sums[second] == pytest.approx([1, 0, 0, 0, 0, 5, 0, 25, 0, 0, 0])
    assert found.sums.sum() == pytest.approx((found.sums[first] + found.sums[second]).sum())
    assert found.bounds == pytest.approx(np.array([[0.5, 4], [-4, 3], [-2, 4], [-3, 5]]))
    assert found.matched == 1


def test_outcomes_are_matched_where_weight_and_reward_are_above_zero() -> None:
    paid = replace(ROWS, reward=np.array([1.0, 2.0, 3.0]))
    assert chunk_moments(paid, CONFIG).matched == 2


def test_a_weight_equal_to_the_threshold_is_used() -> None:
    config = MomentsConfig(n_buckets=64, clips=(), taus=(4.0, 0.5), lams=())
    assert chunk_moments(ROWS, config).sums.sum(axis=0)[8:] == pytest.approx([-7.5, -3.5])


def test_no_weight_and_no_reward_leave_their_ranges_empty() -> None:
    nothing = np.zeros(1)
    rows = DecisionColumns(np.zeros(1, np.uint64), nothing, np.ones(1), nothing, nothing, nothing)
    found = chunk_moments(rows, CONFIG)
    assert found.bounds.tolist() == [[np.inf, -np.inf], [np.inf, -np.inf], [0, 0], [0, 0]]
    assert found.matched == 0
