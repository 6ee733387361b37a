"""Faults that other libraries shipped, as requirements of ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import PropensityError
from nurture_rl.ope.estimators import ips
from nurture_rl.ope.feature_map import standardised
from nurture_rl.ope.log import evaluation_log
from nurture_rl.ope.weighting.tuning import tuned_clipped_ips
from tests.unit.ope.log_makers import bandit_log, random_log


def test_standardising_takes_the_mean_off_before_it_divides() -> None:
    """`x - mean / std` without parentheses changes every model fitted on x."""
    log = random_log(0, [1] * 50)
    log = replace(log, features=(100.0 + 3.0 * log.features).astype(np.float32))
    x = standardised(log)[:, 1:3]
    assert x.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-9)
    assert x.std(axis=0) == pytest.approx([1.0, 1.0])


def test_a_reward_that_was_logged_is_not_read_as_zero() -> None:
    log = bandit_log([0, 1], [0.5, 0.5], [3.0, 5.0])
    assert ips(log, log.propensity).value == 4.0


def test_a_tuned_parameter_is_not_kept_for_the_next_log() -> None:
    first = bandit_log([0, 1] * 20, [0.5] * 40, [1.0, 1.0] * 20)
    taken = np.array([0.9, 0.1] * 20)
    alone = tuned_clipped_ips(first, taken)
    other = replace(first, reward=np.array([1.0, -50.0] * 20))
    tuned_clipped_ips(other, taken)
    assert tuned_clipped_ips(first, taken).parameter == alone.parameter


def test_a_missing_propensity_is_never_one() -> None:
    with pytest.raises(PropensityError, match="1 is no stand-in"):
        bandit_log([0, 1], [0.5, np.nan], [1.0, 1.0])


def test_late_rewards_are_divided_by_all_episodes_not_by_those_still_alive() -> None:
    log = evaluation_log(
        features=np.zeros((3, 1)),
        mask=np.ones((3, 2)),
        action=[0, 0, 0],
        propensity=[0.5] * 3,
        reward=[0.0, 8.0, 0.0],
        episode=[0, 0, 1],
        step=[0, 1, 0],
        cluster=[0, 1],
        terminal=[False, True, True],
        action_factors=np.eye(2),
        discount=1.0,
        unit="EUR",
    )
    assert ips(log, log.propensity).value == 4.0
