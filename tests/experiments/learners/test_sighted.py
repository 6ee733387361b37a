"""The true world as an oracle sees it: the same contacts and luck, and more columns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.learners.sighted import SightedSimulation, Unsighted
from experiments.learners.truth import TRUTH_SEED, context_of, true_returns
from nurture_envs.journey_file import load_journey
from nurture_envs.rollout import returns
from nurture_envs.worlds.draws import population_keys
from nurture_rl.policies.build import build_policy

JOURNEYS = ("inbound_lead", "stalled_opportunity", "trial_onboarding", "re_engagement")


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_policy_on_features_earns_what_it_earns_in_the_plain_world(name: str) -> None:
    journey = load_journey(name)
    world, policy = SightedSimulation(journey), build_policy("rules", context_of(journey))
    found = returns(world, Unsighted(policy, world.plain), 200, TRUTH_SEED)
    np.testing.assert_array_equal(found.value, true_returns(journey, policy, 200).value)


@pytest.mark.parametrize("name", JOURNEYS)
def test_the_hidden_columns_are_the_hidden_state(name: str) -> None:
    world = SightedSimulation(load_journey(name))
    state = world.begin(population_keys(3, 40))
    seen, columns = world.decision(state).features, list(world.spec.columns)
    assert len(columns) == seen.shape[1] > world.plain
    assert seen[:, columns.index("ready")].tolist() == state.latent["ready"].tolist()
    topics = [columns.index(f"interest={k}") for k in range(8)]
    assert torch.equal(seen[:, topics].argmax(dim=1), state.latent["interest"])
    assert torch.equal(seen[:, topics].sum(dim=1), torch.ones(40))


def test_a_message_that_was_shown_is_worn() -> None:
    world = SightedSimulation(load_journey("inbound_lead"))
    state = world.begin(population_keys(3, 40))
    first = world.decision(state)
    column = world.spec.columns.index("worn:welcome")
    assert first.features[:, column].tolist() == [0.0] * 40
    send = world.catalog.ids.index("send:welcome@09")
    legal = first.mask[:, send]
    after = world.step(state, first, torch.full((40,), send)).state
    worn = world.decision(after).features[:, column]
    # A day later; half is left after seven.
    torch.testing.assert_close(worn, legal.to(torch.float32) * 2.0 ** (-1.0 / 7.0))
