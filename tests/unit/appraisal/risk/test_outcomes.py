"""A number per episode becomes a reward that every estimator can read."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.appraisal.risk.outcomes import episode_returns, paid_at_end
from nurture_rl.errors import ShapeError
from nurture_rl.ope.estimators import ips
from tests.unit.ope.log_makers import random_log


def test_a_return_is_the_discounted_sum_of_its_episode() -> None:
    log = random_log(0, [2, 1, 3], discount=0.5)
    r = log.reward
    assert episode_returns(log) == pytest.approx(
        [r[0] + 0.5 * r[1], r[2], r[3] + 0.5 * r[4] + 0.25 * r[5]]
    )


def test_what_is_paid_at_the_end_is_the_only_and_undiscounted_reward() -> None:
    log = random_log(0, [2, 1, 3], discount=0.5)
    paid = paid_at_end(log, np.array([5.0, 7.0, 9.0]), "chance")
    assert paid.reward.tolist() == [0.0, 5.0, 7.0, 0.0, 0.0, 9.0]
    assert episode_returns(paid).tolist() == [5.0, 7.0, 9.0]
    assert ips(paid, paid.propensity).value == pytest.approx(7.0)
    assert paid.unit == "chance"


@pytest.mark.parametrize("wrong", [np.zeros(2), np.array([1.0, np.nan, 2.0])])
def test_anything_but_a_finite_number_per_episode_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="one finite number for each of 3 episodes"):
        paid_at_end(random_log(0, [2, 1, 3]), wrong, "EUR")
