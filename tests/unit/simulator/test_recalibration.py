"""A fitted world carries the recalibration of its tuning contacts."""

from __future__ import annotations

import torch

from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.fit import fit_world
from nurture_rl.simulator.network import recalibrate
from tests.unit.simulator.lamp_shop import QUICK, lamp_log, lamp_shop, silent


def test_slope_and_shift_are_those_that_fit_the_tuning_contacts() -> None:
    data, journey = lamp_log(600, seed=7), lamp_shop()
    fitted = fit_world(data, journey, QUICK, 0, silent)
    model, rows = fitted.world.model, fitted.split.tuning
    action = torch.as_tensor(data.action[rows])
    channels = Heads.of(journey).count_channels(journey)
    happened = torch.as_tensor(data.amounts[rows][:, channels] > 0).float()
    with torch.no_grad():
        logits = model.raw(torch.as_tensor(data.features[rows]), action)[:, : len(channels)]
    slope, shift = recalibrate(logits, happened, (model.possible[action] & model.learned).float())
    torch.testing.assert_close(model.slope, slope)
    torch.testing.assert_close(model.shift, shift)
    assert (slope[model.learned] - 1.0).abs().max() > 0.02  # two epochs leave something to mend
