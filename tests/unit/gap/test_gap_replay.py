"""From where the contacts of a replay start."""

from __future__ import annotations

from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.reference import reference_world
from nurture_envs.worlds.world import declared_delays
from nurture_rl.simulator.gap.replay import started_from
from tests.unit.learned.test_learned_world import JOURNEY, model
from tests.unit.simulator.lamp_shop import starts


def test_a_learned_world_takes_the_starts_it_is_given_and_others_keep_theirs() -> None:
    world = LearnedWorld(JOURNEY, (model(),), starts(JOURNEY, 7), declared_delays(JOURNEY))
    given = starts(JOURNEY, 3)
    taken, could = started_from(world, given)
    assert could is True
    assert isinstance(taken, LearnedWorld)
    assert taken.starts is given
    assert started_from(world, None) == (world, False)


def test_a_world_that_makes_its_contacts_keeps_doing_so() -> None:
    world = reference_world("inbound_lead")
    assert started_from(world, starts(JOURNEY, 3)) == (world, False)
