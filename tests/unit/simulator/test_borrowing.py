"""What a fitted world says of messages that were never logged."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from nurture_envs.actions import ActionCatalog
from nurture_envs.errors import WorldError
from nurture_envs.worlds.borrowing import extend_world
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.world_files import load_learned_world, save_world
from tests.unit.simulator.lamp_shop import lamp_shop, silent
from tests.unit.simulator.mail_shop import HOURS, mail_log, mail_shop, open_chance

OPENED, CLICKED, _, BOUGHT = range(4)


@lru_cache(maxsize=1)
def fitted() -> LearnedWorld:
    config = WorldConfig(members=3, hidden=(16,), rank=4)
    return fit_world(mail_log(4000, seed=0), mail_shop(), config, 0, silent).world


def contacts(n: int = 40) -> torch.Tensor:
    day = torch.eye(7)[torch.arange(n) % 7].T
    return torch.cat([torch.arange(n)[None] % 6, day, torch.ones(1, n)]).float()


def chance(world: LearnedWorld, action: str, head: int) -> float:
    """Mean hazard over members and contacts."""
    which = torch.full((40,), ActionCatalog.of(world.journey).index(action))
    return float(world.hazards(contacts(), which)[:, head].mean())


@pytest.mark.slow
@pytest.mark.parametrize("hour", HOURS)
def test_a_new_message_acts_like_logged_ones_of_its_factors(hour: int) -> None:
    world = extend_world(fitted(), mail_shop(new="lamps"))
    new = chance(world, f"send:new@{hour:02d}", OPENED)
    assert new == pytest.approx(open_chance(True, hour), abs=0.03)
    other = chance(world, f"send:shades_a@{hour:02d}", OPENED)
    assert new > other + 0.1  # negative control: messages do differ


@pytest.mark.slow
def test_logged_actions_answer_in_the_extended_world_as_before() -> None:
    world = extend_world(fitted(), mail_shop(new="lamps"))
    for action in ("send:shades_b@12", "pause:1"):
        assert chance(world, action, OPENED) == chance(fitted(), action, OPENED)


@pytest.mark.slow
def test_an_extended_world_is_stored_and_read_like_any(tmp_path: Path) -> None:
    world = extend_world(fitted(), mail_shop(new="shades"))
    save_world(world, tmp_path / "world")
    again = load_learned_world(tmp_path / "world", mail_shop(new="shades"))
    assert chance(again, "send:new@06", OPENED) == chance(world, "send:new@06", OPENED)


def test_a_journey_of_other_signals_is_refused() -> None:
    with pytest.raises(WorldError, match="must have the signals and features of 'mail_shop'"):
        extend_world(fitted(), lamp_shop())


@pytest.mark.slow
def test_clicks_need_opens_and_raise_purchases_as_planted() -> None:
    model = fitted().members[0]
    assert model.needs.nonzero().tolist() == [[CLICKED, OPENED]]
    assert chance(fitted(), "send:lamps_a@12", CLICKED) == pytest.approx(
        0.4 * open_chance(True, 12), abs=0.03
    )
    clicked = 0.4 * open_chance(True, 12)
    assert chance(fitted(), "send:lamps_a@12", BOUGHT) == pytest.approx(
        0.5 * clicked + 0.05 * (1 - clicked), abs=0.03
    )
    # log-odds of 0.5 against 0.05
    assert float(model.chain[BOUGHT, CLICKED] + model.chain[BOUGHT, OPENED]) == pytest.approx(
        np.log(19), abs=0.5
    )


def test_heads_are_in_the_order_these_tests_assume() -> None:
    assert Heads.of(mail_shop()).counts == ("opened", "clicked", "left", "bought")
