"""Whole episodes: who is played, what is summed, and what the same seed means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nurture_envs.rollout import play, returns, returns_of_seeds
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.reference import reference_world
from tests.unit.envs.scripted_world import contacts, scripted
from tests.unit.envs.toy_journey import toy

FREE = toy(guardrails={})


@dataclass(frozen=True)
class Fixed:
    """The same probabilities everywhere, restricted to what is legal."""

    weights: tuple[float, ...]

    def action_probabilities(
        self, features: NDArray[np.float32], mask: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        table = np.where(mask, np.array(self.weights), 0.0)
        return np.asarray(table / table.sum(axis=1, keepdims=True))


def always(simulation: Simulation, action: str) -> Fixed:
    """The action where legal, else hardly anything but waiting."""
    weights = np.zeros(len(simulation.catalog))
    weights[simulation.catalog.wait] = 1e-300
    weights[simulation.catalog.index(action)] = 1.0
    return Fixed(tuple(weights))


def uniform(simulation: Simulation) -> Fixed:
    return Fixed((1.0,) * len(simulation.catalog))


def test_an_episode_is_played_to_its_end_and_no_further() -> None:
    simulation = scripted({(1, 1): {"left": 1.0}, (2, 0): {"bounced": 1.0}}, FREE)
    steps = list(play(simulation, always(simulation, "pause:1"), contacts(4)))
    assert [step.contact.tolist() for step in steps] == [[0, 1, 2, 3], [0, 1, 3], [0, 3], [0, 3]]
    assert [step.terminated.tolist() for step in steps][1] == [False, True, False]
    assert [int(step.state.bins[0]) for step in steps] == [0, 1, 2, 3]


def test_rows_are_numbered_from_the_offset_and_keep_their_own_answers() -> None:
    simulation = scripted({(1, 0): {"left": 1.0}, (2, 1): {"bought": 1.0}}, FREE)
    steps = list(play(simulation, always(simulation, "pause:1"), contacts(3), offset=100))
    assert steps[1].contact.tolist() == [100, 102]
    assert steps[1].amounts[:, simulation.journey.channel_index("bought")].tolist() == [0.0, 1.0]
    assert steps[1].state.keys.tolist() == [0, 2]


def test_a_step_carries_the_probability_of_what_was_done() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    for step in play(simulation, uniform(simulation), contact_keys(0, 300)):
        taken = step.probabilities.gather(1, step.action[:, None])[:, 0]
        assert bool((taken > 0).all())
        assert bool((step.probabilities[~step.mask] == 0).all())
        torch.testing.assert_close(taken, 1.0 / step.mask.sum(dim=1).to(torch.float64))


def test_the_return_discounts_each_bin() -> None:
    # discount 0.5: 8 in bin 0, 8 in bin 2, -0.5 for a send in each of four bins
    script = {(key, bin_): {"bought.value": 8.0} for key in range(40) for bin_ in (0, 2)}
    simulation = scripted(script, FREE)
    steps = play(simulation, always(simulation, "send:red@09"), contacts(40))
    found = sum(0.5 ** int(step.state.bins[0]) * step.reward for step in steps)
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [8 + 2 - 0.5 * (1 + 0.5 + 0.25 + 0.125)] * 40


def test_returns_sum_value_amounts_decisions_mix_and_reasons_by_hand() -> None:
    # nobody of this world is in the script: only the actions happen
    simulation = scripted({}, toy(guardrails__quiet_hours=None, guardrails__min_gap_hours=40))
    found = returns(simulation, always(simulation, "send:blue@now"), 7, seed=5)
    # sends in bins 0 and 2; the gap of 40 hours forbids bins 1 and 3; discount 0.5, price 0.5
    assert found.value.tolist() == [-0.5 * (1 + 0.25)] * 7
    assert found.decisions.tolist() == [4] * 7
    sent = found.amounts[:, simulation.journey.channel_index("sent_blue")]
    assert sent.tolist() == [2.0] * 7
    mix = found.action_mix[:, simulation.catalog.index("send:blue@now")]
    assert mix.tolist() == pytest.approx([1.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(found.action_mix.sum(axis=1), 1.0)


def test_reasons_count_every_forbidden_action_of_every_open_decision() -> None:
    simulation = scripted({}, toy(guardrails__quiet_hours=None, guardrails__min_gap_hours=0))
    found = returns(simulation, always(simulation, "pause:1"), 6, seed=1)
    no_intent = 4096
    assert found.reasons == {no_intent: 6 * 4}


def test_a_return_is_the_discounted_sum_of_the_rewards_of_the_steps() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    found = returns(simulation, uniform(simulation), 500, seed=2)
    journey = simulation.journey
    worth = np.zeros(500)
    for channel, weight in journey.reward.weights:
        worth += weight * found.amounts[:, journey.channel_index(channel)]
    sent = [i for i, name in enumerate(journey.channels) if name.startswith("sent_")]
    worth -= journey.reward.send_cost * found.amounts[:, sent].sum(axis=1)
    worth -= journey.reward.escalate_cost * found.amounts[:, journey.channel_index("escalated")]
    np.testing.assert_allclose(found.value, worth, rtol=1e-5, atol=1e-3)
    assert found.decisions.max() == 14
    assert found.decisions.min() >= 1


def test_the_same_seed_plays_the_same_people_and_another_seed_others() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    first, again, other = (
        returns(simulation, uniform(simulation), 400, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.value, again.value)
    np.testing.assert_array_equal(first.amounts, again.amounts)
    assert not np.array_equal(first.amounts[1:], other.amounts[:-1])  # nor one person further
    assert not np.array_equal(first.amounts, other.amounts)


def test_a_contacts_episode_does_not_depend_on_how_many_are_played() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    few = returns(simulation, uniform(simulation), 50, seed=3)
    many = returns(simulation, uniform(simulation), 5000, seed=3)  # two blocks
    np.testing.assert_array_equal(many.amounts[:50], few.amounts)
    np.testing.assert_array_equal(many.decisions[:50], few.decisions)
    assert (many.decisions > 0).all()


@pytest.mark.parametrize("n", [700, 3000])  # five seeds in a block, or one
def test_seeds_side_by_side_bring_what_each_brings_alone(n: int) -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    policy, seeds = uniform(simulation), [3, 1, 2]
    for seed, found in zip(seeds, returns_of_seeds(simulation, policy, n, seeds), strict=True):
        alone = returns(simulation, policy, n, seed)
        for name in ("value", "amounts", "decisions", "action_mix"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
        assert list(found.reasons.items()) == list(alone.reasons.items())


def test_two_policies_meet_the_same_people_and_luck() -> None:
    simulation = Simulation(reference_world("inbound_lead"))
    keys = contact_keys(4, 300)
    plans = (always(simulation, name) for name in ("pause:1", "send:welcome@09"))
    waiting, sending = (next(iter(play(simulation, plan, keys))) for plan in plans)
    assert not torch.equal(waiting.action, sending.action)
    assert torch.equal(waiting.features, sending.features)
    views = [i for i, c in enumerate(simulation.journey.channels) if c.startswith("viewed_")]
    assert float(waiting.amounts[:, views].sum()) > 0
    assert torch.equal(waiting.amounts[:, views], sending.amounts[:, views])


def test_progress_is_told_block_by_block() -> None:
    simulation = scripted({}, FREE)
    told: list[int] = []
    returns(simulation, always(simulation, "exit"), 5000, seed=0, progress=told.append)
    assert told == [4096, 5000]
