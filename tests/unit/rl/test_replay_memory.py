"""What is played comes back as decisions: pauses in one piece, ends without a next one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.simulation import Simulation
from nurture_envs.worlds.world import Outcome, View
from nurture_rl.policies.composition import Region
from nurture_rl.rl.replay_memory import PlayedContacts, PlayedDecisions, ReplayMemory
from tests.unit.rl.test_held_actor import Even
from tests.unit.rl.two_step_shop import EXIT, SEND, WAIT, shop_simulation
from tests.unit.rl.wishing_shop import WishingWorld, wishing_shop

PAUSE, LONG = 2, 3  # of the wishing shop with a pause of three days
NEAR_EVEN = Region(Even(), 1.5, 0.1)


@dataclass(frozen=True)
class Steady(WishingWorld):
    """Everybody buys for 10 EUR every day."""

    def respond(self, view: View, keys: Tensor) -> Outcome:
        amounts = torch.zeros((len(self.journey.channels), len(keys)))
        amounts[self.journey.channel_index("bought")] = 1.0
        return Outcome(amounts, torch.ones_like(view.action, dtype=torch.bool), {})


def pausing(days: int, discount: float = 0.9) -> list[PlayedDecisions]:
    """What passes where contacts pause for three days whenever they may."""
    actions = {"slots": ["now"], "pauses": [1, 3], "escalate": True}
    shop = Simulation(Steady(wishing_shop(actions=actions)))
    played, found = PlayedContacts(shop, 5, 1, discount, None), []
    for _ in range(days):
        legal = played.decision.mask
        table = torch.zeros(legal.shape)
        table[:, LONG] = legal[:, LONG].float()
        table[:, PAUSE] = 1.0 - table[:, LONG]
        found.append(played.step(table))
    return found


def test_a_pause_of_three_days_is_one_decision_that_is_discounted_over_them() -> None:
    passed = pausing(8)
    assert [len(one.action) for one in passed] == [0, 0, 5, 0, 0, 5, 0, 5]
    first, second, last = (passed[day] for day in (2, 5, 7))
    for one in (first, second):
        assert one.action.tolist() == [LONG] * 5
        assert one.reward.tolist() == pytest.approx([10.0 * (1.0 + 0.9 + 0.81)] * 5)
        assert one.onward.tolist() == pytest.approx([0.9**3] * 5)
    assert [float(one.features[0, 0]) for one in (first, second, last)] == [0.0, 3.0, 6.0]
    assert [float(one.next_features[0, 0]) for one in (first, second)] == [3.0, 6.0]


def test_nothing_follows_at_the_horizon_and_the_episode_s_return_is_told() -> None:
    last = pausing(8)[-1]
    assert last.reward.tolist() == pytest.approx([10.0 * (1.0 + 0.9)] * 5)  # days 6 and 7
    assert last.onward.tolist() == [0.0] * 5
    assert last.returns.tolist() == pytest.approx([10.0 * sum(0.9**day for day in range(8))] * 5)


def test_an_episode_that_ends_by_itself_has_no_next_decision_either() -> None:
    played = PlayedContacts(shop_simulation(), 4, 1, 1.0, NEAR_EVEN)
    leaving = torch.eye(3)[[EXIT, WAIT, EXIT, SEND]]
    passed = played.step(leaving)
    assert passed.onward.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert passed.next_features[:, 0].tolist() == [0.0, 1.0, 0.0, 1.0]  # new episodes began
    assert passed.next_anchor[0].tolist() == pytest.approx([1 / 3] * 3)


def passed(*numbers: float) -> PlayedDecisions:
    """Decisions that are told apart by their numbers."""
    values = torch.tensor(numbers)
    k = len(values)
    return PlayedDecisions(
        features=values[:, None],
        action=values.long() % 3,
        reward=values * 10.0,
        onward=torch.full((k,), 0.5),
        next_features=values[:, None] + 1.0,
        next_mask=values[:, None] != torch.arange(3),
        next_anchor=torch.rand(k, 3),
        returns=torch.zeros(0),
    )


def memory(size: int, region: Region | None = None) -> ReplayMemory:
    return ReplayMemory(size, passed(0.0), (np.array([1.0]), np.array([2.0])), 5.0, region)


def test_what_follows_a_remembered_decision_is_its_own_next_one() -> None:
    replay, added = memory(4, NEAR_EVEN), passed(0.0, 1.0, 2.0)
    replay.add(added)
    rows = torch.tensor([0, 2, 4])
    features, legal = replay.data.after(rows)
    assert features[:, 0].tolist() == [0.0, 0.5, 1.0]  # (x + 1 - 1) / 2
    assert torch.equal(legal, added.next_mask)
    assert replay.data.action[rows, 0].tolist() == [0, 1, 2]
    assert replay.data.backed_up(rows, torch.ones(3)).tolist() == [0.5, 2.5, 4.5]  # in units of 5
    assert replay.data.limits is not None
    assert torch.equal(replay.data.limits.anchor[rows + 1], added.next_anchor)


def test_the_oldest_decisions_make_room() -> None:
    replay = memory(3)
    for number in range(5):
        replay.add(passed(float(number)))
    rewards = replay.data.reward[torch.tensor([0, 2, 4])] * 5.0
    assert sorted(rewards.tolist()) == [20.0, 30.0, 40.0]
    following, legal = replay.data.after(torch.tensor([0, 2, 4]))
    assert (following[:, 0] * 2.0 + 1.0).tolist() == (rewards / 10.0 + 1.0).tolist()
    assert torch.equal(legal, (rewards / 10.0)[:, None] != torch.arange(3))


def test_decisions_are_drawn_and_what_follows_them_never_is() -> None:
    replay = memory(10)
    replay.add(passed(0.0, 1.0, 2.0))
    drawn = replay.draw((50, 4), torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 4)
    assert set(drawn.flatten().tolist()) == {0, 2, 4}
