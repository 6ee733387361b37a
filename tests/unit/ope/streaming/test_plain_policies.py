"""The sums by numpy: every column by hand for two decisions in one bucket and one in another."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.ope.log import FloatArray
from nurture_rl.ope.streaming.moments import MomentsConfig
from nurture_rl.ope.streaming.plain_policies import plain_moments

CONFIG = MomentsConfig(n_buckets=8, clips=(3.0,), taus=(3.0,), lams=(4.0,))
BUCKET, WEIGHT = np.array([3, 3, 5]), np.array([4.0, 0.5, 0.0])
# Rewards, and what the model expects of the logged action and of the target.
ANSWERS = np.array([1.0, -4.0, 3.0]), np.array([2.0, 3.0, 1.0]), np.array([1.0, 2.0, 5.0])


def summed(config: MomentsConfig) -> FloatArray:
    return plain_moments(BUCKET, WEIGHT, ANSWERS, config).sums


def test_every_column_by_hand() -> None:
    found = summed(CONFIG)
    # Corrections 4 * -1 and 0.5 * -7.
    shrunken = -4 / (1 + 4) + -3.5 / (1 + 0.25 / 4)
    assert found[3] == pytest.approx([2, 4.5, 16.25, 4 - 2, 3, -7.5, 3 - 2, -3.5, shrunken])
    assert found[5] == pytest.approx([1, 0, 0, 0, 5, 0, 0, 0, 0])
    assert np.abs(found[[0, 1, 2, 4, 6, 7]]).max() == 0.0


def test_a_weight_equal_to_the_threshold_is_used() -> None:
    config = MomentsConfig(n_buckets=8, clips=(), taus=(4.0, 0.5), lams=())
    assert summed(config).sum(axis=0)[6:] == pytest.approx([-7.5, -3.5])


def test_the_largest_weight_is_kept_and_none_is_zero() -> None:
    assert plain_moments(BUCKET, WEIGHT, ANSWERS, CONFIG).largest == 4.0
    nothing = np.zeros(0)
    none = plain_moments(np.zeros(0, np.int64), nothing, (nothing, nothing, nothing), CONFIG)
    assert none.largest == 0.0
    assert none.sums.shape == (8, CONFIG.n_columns)
