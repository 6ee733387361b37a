"""Contacts are answered by the member they drew, and members may disagree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nurture_envs.errors import WorldError
from nurture_envs.worlds.draws import contact_keys
from nurture_envs.worlds.heads import ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import View, declared_delays
from tests.unit.learned.test_learned_world import BOUGHT, JOURNEY, model
from tests.unit.simulator.lamp_shop import SEND, starts


def buyer(chance: float) -> ResponseModel:
    """Purchases of 20 EUR at a chance of the member's own."""
    made = model()
    made.learned[BOUGHT] = True
    made.bias[BOUGHT] = float(np.log(chance / (1.0 - chance)))
    made.value_mean.fill_(20.0)
    made.value_high.fill_(20.0)
    made.value_low.fill_(20.0)
    return made


def ensemble(*chances: float) -> LearnedWorld:
    members = tuple(buyer(chance) for chance in chances)
    return LearnedWorld(JOURNEY, members, starts(JOURNEY), declared_delays(JOURNEY))


def view(world: LearnedWorld, n: int) -> View:
    start = world.start(contact_keys(1, n))
    zeros = torch.zeros(n, dtype=torch.int64)
    return View(torch.zeros(3, n), zeros + SEND, zeros, zeros, start.latent)


def purchases(world: LearnedWorld, n: int) -> torch.Tensor:
    amounts = world.respond(view(world, n), contact_keys(1, n)).amounts
    return amounts[JOURNEY.channel_index("bought")]


def test_each_member_answers_its_share_of_the_contacts() -> None:
    member = ensemble(*[0.5] * 5).start(contact_keys(1, 20_000)).latent["member"]
    np.testing.assert_allclose(torch.bincount(member) / 20_000, 0.2, atol=0.012)


def test_a_contact_is_answered_by_the_member_it_drew() -> None:
    world = ensemble(0.02, 0.9)
    member = world.start(contact_keys(1, 20_000)).latent["member"]
    bought = purchases(world, 20_000)
    assert float(bought[member == 0].mean()) == pytest.approx(0.02, abs=0.006)
    assert float(bought[member == 1].mean()) == pytest.approx(0.9, abs=0.013)


def test_the_member_stays_for_the_whole_episode() -> None:
    world = ensemble(0.5, 0.5)
    seen = view(world, 50)
    after = world.respond(seen, contact_keys(1, 50)).latent["member"]
    assert torch.equal(after, seen.latent["member"])


def test_a_member_alone_plays_as_it_plays_in_the_ensemble() -> None:
    world = ensemble(0.3, 0.6, 0.9)
    member = world.start(contact_keys(1, 3000)).latent["member"]
    together, alone = purchases(world, 3000), purchases(world.member(2), 3000)
    assert torch.equal(together[member == 2], alone[member == 2])
    assert not torch.equal(together, alone)


def test_hazards_are_told_for_every_member() -> None:
    seen = view(world := ensemble(0.1, 0.3), 7)
    chances = world.hazards(seen.features, seen.action)
    assert chances.shape == (2, 6, 7)
    np.testing.assert_allclose(chances[:, BOUGHT, 0], [0.1, 0.3], rtol=1e-5)


def test_disagreement_is_the_deviation_of_expected_rewards() -> None:
    # 20 EUR at chances 0.1 and 0.3: 2 and 6 EUR, each 2 EUR from their mean
    world = ensemble(0.1, 0.3)
    np.testing.assert_allclose(world.disagreement(view(world, 5)), 2.0, rtol=1e-4)


def test_members_that_agree_do_not_disagree() -> None:
    world = ensemble(0.2, 0.2, 0.2)
    assert float(world.disagreement(view(world, 5)).max()) == 0.0


def test_members_of_different_tables_are_refused() -> None:
    other = buyer(0.2)
    other.rates.fill_(0.1)
    members = (buyer(0.2), other)
    with pytest.raises(WorldError, match=r"member 1 differs from member 0 in \['rates'\]"):
        LearnedWorld(JOURNEY, members, starts(JOURNEY), declared_delays(JOURNEY))


def test_delays_of_other_channels_are_refused() -> None:
    with pytest.raises(WorldError, match=r"delays must be \[bins, 8 channels\], got \(1, 3\)"):
        LearnedWorld(JOURNEY, (buyer(0.2),), starts(JOURNEY), torch.ones(1, 3))


@pytest.mark.parametrize("k", [-1, 2, 9])
def test_a_member_that_does_not_exist_is_refused(k: int) -> None:
    with pytest.raises(WorldError, match=rf"a member in 0\.\.1, got {k}"):
        ensemble(0.1, 0.2).member(k)
