"""What follows a decision: discounts over pauses, ends of episodes, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nurture_rl.errors import FitError
from nurture_rl.learned.training_log import TrainingLog
from nurture_rl.rl.transitions import Transitions
from tests.unit.rl.two_step_shop import EXIT, SEND, WAIT
from tests.unit.rl.world_logs import shop_log, training_log


def small_log(discount: float = 0.9) -> TrainingLog:
    """An episode that pauses three bins after its first decision, and one of a single decision."""
    mask = np.array([[True, True, True], [True, False, True], [True, True, False], [True] * 3])
    return training_log(
        np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], np.float32),
        mask,
        np.array([WAIT, SEND, SEND, EXIT]),
        np.array([1.0, 2.0, 4.0, 8.0]),
        np.array([7, 7, 7, 9]),
        np.array([0, 3, 4, 0]),
        discount,
    )


def test_a_pause_of_three_bins_is_discounted_three_times() -> None:
    onward = Transitions.of(small_log()).onward
    torch.testing.assert_close(onward, torch.tensor([0.9**3, 0.9, 0.0, 0.0]))


def test_without_discount_everything_inside_an_episode_counts_in_full() -> None:
    assert Transitions.of(small_log(1.0)).onward.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_where_every_decision_is_its_own_episode_nothing_follows() -> None:
    log = small_log()
    alone = replace(log, discount=0.0, episode=np.arange(4), returns=log.reward)
    assert Transitions.of(alone).onward.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_nothing_follows_an_episode_whether_it_ended_by_itself_or_at_the_horizon() -> None:
    log = shop_log(200)
    onward = Transitions.of(log).onward.numpy()
    last = np.append(log.episode[1:] != log.episode[:-1], True)
    by_itself, at_horizon = last & (log.step == 0), last & (log.step == 1)
    assert by_itself.any()  # exit in bin 0
    assert at_horizon.any()
    assert (onward[by_itself] == 0.0).all()
    assert (onward[at_horizon] == 0.0).all()
    assert (onward[~last] == 1.0).all()


def test_what_follows_comes_with_its_own_mask() -> None:
    log = small_log()
    data = Transitions.of(log)
    features, mask = data.after(torch.tensor([0, 1, 3]))
    torch.testing.assert_close(features, data.features[[1, 2, 3]])
    assert mask.tolist() == log.mask[[1, 2, 3]].tolist()


def test_rewards_are_in_deviations_of_returns_and_backed_up_with_what_follows() -> None:
    log = small_log()
    data = Transitions.of(log)
    assert data.scale == pytest.approx(log.returns.std())
    rows, worth = torch.tensor([0, 1, 2]), torch.tensor([10.0, 20.0, 30.0])
    reward = torch.tensor([1.0, 2.0, 4.0]) / data.scale
    expected = reward + torch.tensor([0.9**3 * 10.0, 0.9 * 20.0, 0.0])
    torch.testing.assert_close(data.backed_up(rows, worth), expected)
    wide = data.backed_up(rows, torch.stack([worth, 2.0 * worth], dim=1))
    torch.testing.assert_close(wide[:, 0], expected)
    torch.testing.assert_close(wide[:, 1], 2.0 * expected - reward)


def test_features_are_standardised_and_saturate() -> None:
    log = shop_log(500)
    features = log.features.copy()
    features[0, 0] = 1e6
    data = Transitions.of(replace(log, features=features))
    assert float(data.features[0, 0]) == 10.0
    whole = Transitions.of(replace(log, features=features), reach=np.inf)
    assert float(whole.features[0, 0]) > 20.0


def test_a_constant_return_leaves_rewards_as_they_are() -> None:
    flat = replace(small_log(), reward=np.full(4, 3.0), returns=np.full(4, 7.0))
    data = Transitions.of(flat)
    assert data.scale == 1.0
    assert data.reward.tolist() == [3.0, 3.0, 3.0, 3.0]


def test_returns_too_large_for_float32_are_refused() -> None:
    log = small_log()
    huge = replace(log, reward=log.reward * 1e307, returns=log.returns * 1e307)
    with pytest.raises(FitError, match="float32 can hold; give rewards a larger unit"):
        Transitions.of(huge)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reward_that_is_no_number_never_becomes_a_log(bad: float) -> None:
    log = small_log()
    reward = log.reward.copy()
    reward[1] = bad
    with pytest.raises(FitError, match="row 1 has a feature, reward or return that is not finite"):
        replace(log, reward=reward)


def test_features_are_standardised_and_cut_on_both_sides() -> None:
    log = small_log()
    features = np.array([[-3.0], [0.0], [1.0], [9.0]], np.float32)
    wide = replace(log, features=features, columns=("x0",))
    x = wide.features.astype(np.float64)
    standard = (x - x.mean()) / x.std()
    data = Transitions.of(wide)
    assert data.features.numpy() == pytest.approx(standard, abs=1e-5)
    cut = Transitions.of(wide, reach=0.5).features
    assert cut.numpy() == pytest.approx(standard.clip(-0.5, 0.5), abs=1e-5)
    assert float(cut.min()) == -0.5
    assert float(cut.max()) == 0.5
