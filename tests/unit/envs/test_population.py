"""Contacts that live together: shared limits, accounts and the sender's reputation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.errors import SimulationError
from nurture_envs.guardrails import Reason
from nurture_envs.guardrails.allocate import allocate
from nurture_envs.population import Population, settle, together
from nurture_envs.simulation import Simulation, Transition
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.world import Outcome, Surroundings, View
from tests.unit.envs.scripted_world import ScriptedWorld, contacts
from tests.unit.envs.toy_journey import toy

FREE = toy(guardrails={"conversation": {"called": 1}})
CPU = torch.device("cpu")


@dataclass(frozen=True)
class WatchfulWorld(ScriptedWorld):
    """Writes down what surrounds the contacts, and loses reputation with every bounce."""

    seen: list[Surroundings] = field(default_factory=list)

    def respond(self, view: View, keys: Tensor) -> Outcome:
        """As scripted."""
        self.seen.append(view.around)
        return ScriptedWorld.respond(self, view, keys)

    def next_inbox_share(self, share: Tensor, totals: Tensor) -> Tensor:
        """A tenth lost per bounce."""
        return share - 0.1 * totals[self.journey.channel_index("bounced")]


def played(
    simulation: Simulation, n: int, *actions: list[str]
) -> tuple[list[Transition], list[list[str]]]:
    """The transitions of n contacts, and the ids of what was done."""
    state, made = simulation.begin(contacts(n)), []
    for chosen in actions:
        wanted = torch.as_tensor(simulation.catalog.indices(chosen))
        made.append(simulation.step(state, simulation.decision(state), wanted))
        state = made[-1].state
    ids = simulation.catalog.ids
    return made, [[ids[i] for i in one.action.tolist()] for one in made]


def test_everybody_gets_it_while_there_is_room() -> None:
    wanted = np.array([True, False, True])
    assert allocate(wanted, np.zeros(3), 2).tolist() == [True, False, True]
    assert allocate(wanted, np.zeros(3), 9).tolist() == [True, False, True]


def test_the_highest_priorities_go_first_and_of_equals_the_earlier() -> None:
    wanted = np.array([True, True, False, True, True])
    priority = np.array([0.1, 0.9, 1.0, 0.5, 0.5])
    assert allocate(wanted, priority, 1).tolist() == [False, True, False, False, False]
    assert allocate(wanted, priority, 2).tolist() == [False, True, False, True, False]
    on_torch = allocate(torch.as_tensor(wanted), torch.as_tensor(priority), 2)
    assert on_torch.tolist() == [False, True, False, True, False]


def test_nobody_gets_what_there_is_no_room_for() -> None:
    assert not allocate(np.ones(4, np.bool_), np.zeros(4), 0).any()
    assert not allocate(np.ones(4, np.bool_), np.zeros(4), -3).any()


def test_sellers_take_only_so_many_calls_a_bin_and_the_rest_waits() -> None:
    population = Population(seller_capacity=250.0)  # of 1,000 contacts: 2 of 8
    simulation = Simulation(ScriptedWorld(FREE), population=population)
    made, done = played(simulation, 8, ["escalate"] * 6 + ["pause:1"] * 2)
    assert sorted(done[0]) == ["escalate"] * 2 + ["pause:1"] * 6
    assert made[0].refused is not None
    refused = [int(bits) for bits in made[0].refused]
    assert sorted(refused) == [0] * 4 + [int(Reason.SELLER_CAPACITY)] * 4
    assert [bits == 0 for bits in refused[:6]] == [act == "escalate" for act in done[0][:6]]
    called = FREE.channel_index("called")
    assert float(made[0].amounts[:, called].sum()) == 2.0


def test_who_gets_the_call_is_drawn_anew_every_bin() -> None:
    population = Population(seller_capacity=500.0)
    simulation = Simulation(ScriptedWorld(FREE), population=population)
    keys, nobody = contact_keys(3, 200), torch.zeros(200, dtype=torch.bool)
    company, bins = together(population, 200, CPU), torch.zeros(200, dtype=torch.int64)
    first, second = (
        settle(population, company, nobody, ~nobody, keys, bins + bin_) == 0 for bin_ in (0, 1)
    )
    assert int(first.sum()) == int(second.sum()) == 100
    # of two independent halves 50 are in both on average, with a standard deviation of 3.5
    assert 36 <= int((first & second).sum()) <= 64
    assert simulation.begin(keys).company is not None


def test_volume_grows_by_no_more_than_its_factor_over_the_trailing_mean() -> None:
    population = Population(volume_growth=1.5, volume_floor=200.0, trailing_bins=2)
    simulation = Simulation(ScriptedWorld(FREE), population=population)
    made, done = played(simulation, 10, *[["send:red@09"] * 10] * 4)
    sends = [sum(id_.startswith("send") for id_ in one) for one in done]
    # floor 2; means 2, (3+2)/2, (3+3)/2, (4+3)/2, times 1.5, whole
    assert sends == [3, 3, 4, 5]
    refused = made[0].refused
    assert refused is not None
    assert set(refused.tolist()) == {0, int(Reason.VOLUME_RAMP)}


def test_contacts_see_the_sends_and_talks_of_their_colleagues_in_the_bin_before() -> None:
    world = WatchfulWorld(FREE)
    simulation = Simulation(world, population=Population(account_size=3))
    first = ["send:red@09", "pause:1", "escalate", "send:red@09", "send:blue@09"]
    played(simulation, 5, first, ["pause:1"] * 5)
    sends, talks = world.seen[1].colleague_sends, world.seen[1].colleague_talks
    assert isinstance(sends, Tensor)
    assert isinstance(talks, Tensor)
    assert sends.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0]  # accounts are rows 0-2 and 3-4
    assert talks.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert world.seen[0] == Surroundings()


def test_the_inbox_share_follows_the_totals_of_everybody() -> None:
    world = WatchfulWorld(FREE, {(0, 0): {"bounced": 1.0}, (3, 0): {"bounced": 2.0}})
    simulation = Simulation(world, population=Population())
    played(simulation, 4, ["pause:1"] * 4, ["pause:1"] * 4)
    assert abs(float(world.seen[1].inbox_share) - 0.7) < 1e-6


@pytest.mark.parametrize(
    "fields",
    [
        {"account_size": 0},
        {"account_size": 1.5},
        {"seller_capacity": -5.0},
        {"seller_capacity": float("nan")},
        {"volume_growth": float("inf")},
        {"volume_floor": -3.0},
        {"trailing_bins": 0},
    ],
)
def test_a_population_of_impossible_numbers_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SimulationError, match=rf"{next(iter(fields))} must be .*, got"):
        Population(**fields)


def test_a_contact_alone_is_surrounded_by_nothing() -> None:
    world = WatchfulWorld(FREE, {(0, 0): {"bounced": 1.0}})
    made, _ = played(Simulation(world), 2, ["send:red@09"] * 2, ["pause:1"] * 2)
    assert world.seen == [Surroundings(), Surroundings()]
    assert made[0].refused is None


def test_the_environment_says_what_the_population_refused() -> None:
    population = Population(seller_capacity=100.0)
    env = ContactVectorEnv(ScriptedWorld(FREE), 10, population=population, compiled=False)
    env.reset(seed=0)
    *_, info = env.step(np.full(10, env.action_ids.index("escalate")))
    assert sorted(info["refused"].tolist()) == [0] + [int(Reason.SELLER_CAPACITY)] * 9
    np.testing.assert_array_equal(info["replaced"], info["refused"] != 0)
