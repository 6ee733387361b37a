"""Whole-trajectory weights, by hand and in their limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_rl.errors import OverlapError
from nurture_rl.ope.estimators import ips, snips
from nurture_rl.ope.sequential.trajectory import discounted_returns, returns_to_go, sntis, tis
from tests.unit.ope.log_makers import random_log, two_episodes
from tests.unit.ope.sequential.small_logs import random_taken


def test_returns_by_hand() -> None:
    log, _ = two_episodes()
    # 1 + 0.5 * 4, and 2
    assert discounted_returns(log) == pytest.approx([3.0, 2.0])
    assert returns_to_go(log) == pytest.approx([3.0, 4.0, 2.0])


def test_returns_to_go_discount_by_bins_between() -> None:
    log = replace(random_log(0, [3]), step=np.array([0, 2, 5]), reward=np.array([1.0, 10.0, 100.0]))
    late = 10.0 + 0.9**3 * 100.0
    assert returns_to_go(log) == pytest.approx([1.0 + 0.9**2 * late, late, 100.0])


def test_whole_trajectory_weights_by_hand() -> None:
    log, taken = two_episodes()
    # weights 2 * 1/2 = 1 and 1/2: (1 * 3 + 0.5 * 2) / 2, and the same over 1.5
    assert tis(log, taken).value == pytest.approx(2.0)
    assert sntis(log, taken).value == pytest.approx(4.0 / 1.5)
    assert tis(log, taken).ess == pytest.approx(1.5**2 / 1.25)
    assert sntis(log, taken).ess == pytest.approx(1.5**2 / 1.25)


def test_errors_by_hand() -> None:
    log, taken = two_episodes()
    # 3 and 1 about their mean 2, halved; then w (G - V) / sum w with V = 8/3.
    assert tis(log, taken).influence == pytest.approx([0.5, -0.5])
    assert sntis(log, taken).influence == pytest.approx(
        [(3 - 8 / 3) / 1.5, 0.5 * (2 - 8 / 3) / 1.5]
    )


def test_horizon_one_makes_them_the_per_decision_forms() -> None:
    log = random_log(1, [1] * 12)
    taken = random_taken(2, log)
    assert tis(log, taken).influence == pytest.approx(ips(log, taken).influence)
    assert sntis(log, taken).influence == pytest.approx(snips(log, taken).influence)
    assert tis(log, taken).value == pytest.approx(ips(log, taken).value)
    assert sntis(log, taken).value == pytest.approx(snips(log, taken).value)


def test_target_equal_to_logging_gives_the_mean_return() -> None:
    log = random_log(3, [3, 1, 4, 2])
    for estimate in (tis(log, log.propensity), sntis(log, log.propensity)):
        assert estimate.value == pytest.approx(discounted_returns(log).mean())


def test_no_shared_episode_is_refused() -> None:
    log, _ = two_episodes()
    with pytest.raises(OverlapError, match="all 2 episode weights are 0"):
        sntis(log, np.array([1.0, 0.0, 0.0]))
