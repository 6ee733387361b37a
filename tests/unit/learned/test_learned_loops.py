"""A learned world played by loops: what torch plays, but for a chance within rounding of a draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nurture_envs.contact_env import ContactVectorEnv
from nurture_envs.worlds.heads import ResponseModel
from nurture_envs.worlds.learned import LearnedWorld
from nurture_envs.worlds.world import declared_delays
from tests.unit.learned.test_learned_world import JOURNEY, model, scrambled
from tests.unit.simulator.lamp_shop import starts

N, BINS = 1_200, 25


def ensemble(*models: ResponseModel) -> LearnedWorld:
    return LearnedWorld(JOURNEY, models, starts(JOURNEY, 7), declared_delays(JOURNEY))


def linked(seed: int) -> ResponseModel:
    """Heads that see each other, need each other, cannot follow, and contacts out of reach."""
    made = scrambled(seed)
    heads = made.chain.shape[0]
    lower = torch.ones(heads, heads).tril(-1)
    made.chain.copy_(lower * torch.linspace(-0.7, 0.9, heads)[:, None])
    made.needs.copy_(lower.bool() & (torch.arange(heads)[:, None] == heads - 1))
    made.possible[1, 0] = False
    made.reachable.copy_(torch.tensor([0.6, 0.9]))
    made.standard_mean.fill_(0.3)
    made.standard_scale.fill_(0.7)
    return made


def priced(seed: int) -> ResponseModel:
    """Values from a list of prices by action."""
    made = scrambled(seed)
    made.listed.fill_(True)
    made.prices.copy_(torch.linspace(1.0, 90.0, made.prices.numel()).reshape(made.prices.shape))
    return made


def logarithmic(seed: int) -> ResponseModel:
    """Values whose logarithm the network gives."""
    made = scrambled(seed)
    made.logarithmic.fill_(True)
    made.value_scale.fill_(0.8)
    return made


WORLDS = {
    "one member": ensemble(scrambled(1)),
    "three members": ensemble(*(scrambled(k) for k in range(3))),
    "linked heads": ensemble(*(linked(k) for k in range(2))),
    "listed values": ensemble(priced(1), priced(2)),
    "values by their logarithm": ensemble(logarithmic(1), logarithmic(2)),
    "rates alone": ensemble(model(0.3)),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_learned_world_shows_the_same_by_loops(name: str) -> None:
    envs = [ContactVectorEnv(WORLDS[name], N, block=700, compiled=c) for c in (False, True)]
    shown = [env.reset(seed=3) for env in envs]
    rng, differs, earned = np.random.default_rng(2), np.zeros(N, np.bool_), 0.0
    for _ in range(BINS):
        np.testing.assert_array_equal(shown[0][0][~differs], shown[1][0][~differs])
        mask = shown[0][1]["action_mask"]
        action = (rng.random(mask.shape) * mask).argmax(axis=1)
        plain, loops = (env.step(action) for env in envs)
        for one, other in zip(plain[:4], loops[:4], strict=True):
            differs |= (one != other).reshape(N, -1).any(axis=1)
        differs |= (plain[4]["action_mask"] != loops[4]["action_mask"]).any(axis=1)
        shown = [(plain[0], plain[4]), (loops[0], loops[4])]
        earned += float(np.abs(plain[1]).sum())
    assert differs.sum() <= 3  # of 1,200 contacts in 25 bins
    assert earned > 0.0


def test_rows_do_not_depend_on_members_block_or_neighbours() -> None:
    world = WORLDS["three members"]
    whole, few = ContactVectorEnv(world, 900), ContactVectorEnv(world, 31, block=8)
    one: Any = whole.reset(seed=5)
    other: Any = few.reset(seed=5)
    for _ in range(10):
        np.testing.assert_array_equal(one[0][:31], other[0])
        wait = np.full(900, 2)
        one = whole.step(wait)
        other = few.step(wait[:31])
        np.testing.assert_array_equal(one[1][:31], other[1])
