"""A fitted world carries the recalibration of its tuning contacts."""

from __future__ import annotations

import numpy as np
import torch

from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.fit import fit_world
from nurture_rl.simulator.recalibration import recalibrate
from tests.unit.simulator.lamp_shop import QUICK, lamp_log, lamp_shop, silent


def test_slope_and_shift_are_those_that_fit_the_tuning_contacts() -> None:
    data, journey = lamp_log(600, seed=7), lamp_shop()
    fitted = fit_world(data, journey, QUICK, 0, silent)
    rows = fitted.split.tuning
    action = torch.as_tensor(data.action[rows])
    channels = Heads.of(journey).count_channels(journey)
    happened = torch.as_tensor(data.amounts[rows][:, channels] > 0).float()
    for model in fitted.world.members:
        features = model.standard(torch.as_tensor(data.features[rows]))
        with torch.no_grad():
            logits = model.raw(features, action)[:, : len(channels)]
        used = (model.possible[action] & model.learned).float()
        slope, shift = recalibrate(logits, happened, used, happened @ model.chain.T)
        torch.testing.assert_close(model.slope, slope)
        torch.testing.assert_close(model.shift, shift)
        assert (slope[model.learned] - 1.0).abs().max() > 0.01  # two epochs leave things to mend


def test_what_is_known_late_recalibrates_to_all_that_happens() -> None:
    rng = np.random.default_rng(0)
    exposure = rng.choice([0.3, 1.0], 40_000)
    known = rng.random(40_000) < 0.4 * exposure
    logits = rng.normal(size=(40_000, 1))  # says nothing
    x, y, ones = (torch.tensor(v) for v in (logits, known[:, None], np.ones((40_000, 1))))
    thinned = recalibrate(x, y, ones, exposure=torch.tensor(exposure)[:, None])
    blind = recalibrate(x, y, ones)
    assert abs(float(torch.sigmoid(thinned[1])) - 0.4) < 0.01
    assert float(torch.sigmoid(blind[1])) < 0.28  # negative control: 0.4 * 0.65
