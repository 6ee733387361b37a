"""What a fitted world says of hours that were never logged."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from experiments.hours.surface import hour_surface
from nurture_envs.errors import WorldError
from nurture_envs.worlds.heads import Heads
from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.fit import WorldConfig, fit_world
from tests.unit.simulator.lamp_shop import silent
from tests.unit.simulator.mail_shop import mail_log, mail_shop, open_chance

OPENED = Heads.of(mail_shop()).counts.index("opened")


@lru_cache(maxsize=1)
def fitted() -> LearnedWorld:
    config = WorldConfig(members=3, hidden=(16,), rank=4)
    return fit_world(mail_log(4000, seed=0), mail_shop(), config, 0, silent).world


def contacts(n: int = 40) -> torch.Tensor:
    day = torch.eye(7)[torch.arange(n) % 7].T
    return torch.cat([torch.arange(n)[None] % 6, day, torch.ones(1, n)]).float()


def test_hours_that_are_no_slot_lie_on_the_planted_wave() -> None:
    hours = np.arange(24)
    surface = hour_surface(fitted(), contacts(), "lamps_a", [float(h) for h in hours], (0, 5))
    assert surface.shape == (3, 4, 2, 24)
    opened = surface[:, OPENED].mean(dim=(0, 1))
    planted = np.array([open_chance(True, float(hour)) for hour in hours])
    np.testing.assert_allclose(opened, planted, atol=0.06)


def test_the_surface_is_smooth_around_the_clock() -> None:
    hours = [h / 4 for h in range(96)]
    surface = hour_surface(fitted(), contacts(14), "shades_a", hours, (2,))[:, :, 0].mean(0)
    steps = (surface - surface.roll(1, dims=1)).abs().max(dim=1).values
    ranges = surface.max(dim=1).values - surface.min(dim=1).values
    assert float(steps[OPENED]) < 0.12 * float(ranges[OPENED])
    assert float(ranges[OPENED]) > 0.2


def test_a_message_that_the_journey_lacks_is_refused() -> None:
    with pytest.raises(WorldError, match="does not send 'hello'; ask for one of"):
        hour_surface(fitted(), contacts(), "hello", [9.0])


@pytest.mark.parametrize("hours", [[30.0], [9.0, -1.0], []])
def test_hours_outside_a_day_are_refused(hours: list[float]) -> None:
    with pytest.raises(WorldError, match=r"local hours in \[0, 24\)"):
        hour_surface(fitted(), contacts(), "lamps_a", hours)
