"""Pessimism takes off what the members of a world do not agree on, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.heads import ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import declared_delays
from nurture_rl.learned.scored import ScoredPolicy
from nurture_rl.rl.online_dqn import OnlineDQNConfig, train_online_dqn
from nurture_rl.rl.ppo import PPOConfig, train_ppo
from tests.unit.learned.test_learned_world import BOUGHT, JOURNEY, model
from tests.unit.rl.two_step_shop import silent
from tests.unit.simulator.lamp_shop import ESCALATE, EXIT, SEND, WAIT, starts

PRICE, SEND_COST = 20.0, 0.5
WAITING, CALLING = 0.1, 0.4  # chance to buy in the bin; all members agree
SENDING = (0.1, 0.9)  # one member each: 10 EUR on average, 8 EUR either way


def member(sending: float) -> ResponseModel:
    """Purchases of 20 EUR at chances by action; an exit sells nothing."""
    made = model(rate=0.0)
    made.learned[BOUGHT] = True
    made.value_mean.fill_(PRICE)
    made.value_low.fill_(PRICE)
    made.value_high.fill_(PRICE)
    chance = np.full(4, WAITING)
    chance[[SEND, ESCALATE, EXIT]] = sending, CALLING, 0.001
    wanted = torch.as_tensor(np.log(chance / (1.0 - chance)), dtype=torch.float32)
    design = torch.cat([made.embedding, torch.ones(4, 1)], dim=1)
    solved = torch.linalg.lstsq(design, wanted[:, None], driver="gelsd").solution[:, 0]
    torch.testing.assert_close(design @ solved, wanted, atol=1e-4, rtol=0.0)
    made.own[BOUGHT], made.bias[BOUGHT] = solved[:-1], solved[-1]
    return made


def world() -> LearnedWorld:
    members = tuple(member(chance) for chance in SENDING)
    return LearnedWorld(JOURNEY, members, starts(JOURNEY), declared_delays(JOURNEY))


def rewards(pessimism: float, action: int, n: int = 64) -> torch.Tensor:
    simulation = Simulation(world(), pessimism=pessimism)
    state = simulation.begin(contact_keys(3, n))
    decision = simulation.decision(state)
    return simulation.step(state, decision, torch.full((n,), action)).reward


def test_rewards_fall_where_members_disagree_by_that_many_deviations() -> None:
    for pessimism in (0.5, 1.0, 3.0):
        fall = rewards(0.0, SEND) - rewards(pessimism, SEND)
        np.testing.assert_allclose(fall, pessimism * 8.0, rtol=1e-4)


@pytest.mark.parametrize("action", [WAIT, ESCALATE, EXIT])
def test_rewards_stay_where_members_agree(action: int) -> None:
    torch.testing.assert_close(rewards(3.0, action), rewards(0.0, action), atol=1e-4, rtol=0.0)


def test_a_world_of_one_member_has_nobody_to_disagree_with() -> None:
    alone = world().member(1)
    for pessimism in (0.0, 2.0):
        simulation = Simulation(alone, pessimism=pessimism)
        state = simulation.begin(contact_keys(3, 64))
        decision = simulation.decision(state)
        reward = simulation.step(state, decision, torch.full((64,), SEND)).reward
        assert set(reward.tolist()) == {-SEND_COST, PRICE - SEND_COST}


def trained(pessimism: float) -> ScoredPolicy:
    config = PPOConfig(iterations=12, n_contacts=256, hidden=(8,), learning_rate=2e-2)
    return train_ppo(Simulation(world(), pessimism=pessimism), config, 0, silent)


def chosen(policy: ScoredPolicy) -> list[float]:
    features = np.array([[0.0, 2.0, 0.0]], np.float32)  # first bin, size 2, nothing sent
    return [float(p) for p in policy.action_probabilities(features, np.ones((1, 4), bool))[0]]


@pytest.mark.slow
def test_a_pessimistic_policy_avoids_what_members_do_not_agree_on() -> None:
    # sending earns 0.5 * 20 - 0.5 = 9.5 EUR, less 8 for the disagreement 1.5; calling 8 for sure
    careful = chosen(trained(1.0))
    assert careful[ESCALATE] > 0.6
    assert careful[SEND] < 0.2


@pytest.mark.slow
def test_a_policy_without_pessimism_goes_for_the_best_mean() -> None:  # negative control
    assert chosen(trained(0.0))[SEND] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize(("pessimism", "best"), [(1.0, ESCALATE), (0.0, SEND)])
def test_values_learned_by_playing_are_pessimistic_too_where_it_is_asked(
    pessimism: float, best: int
) -> None:
    config = OnlineDQNConfig(
        iterations=40, n_contacts=128, steps=20, hidden=(8,), learning_rate=1e-2
    )
    simulation = Simulation(world(), pessimism=pessimism)
    for seed in range(3):
        assert chosen(train_online_dqn(simulation, config, seed, silent))[best] == 1.0
