"""A fitted world carries the recalibration of its tuning contacts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nurture_envs.worlds.heads import Heads
from nurture_rl.simulator.fit import fit_world
from nurture_rl.simulator.recalibration import match_rates, recalibrate
from tests.unit.simulator.lamp_shop import QUICK, SEND, WAIT, lamp_log, lamp_shop, silent


def test_slopes_leave_the_tuning_contacts_little_to_mend() -> None:
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
        slope, _ = recalibrate(logits, happened, used, happened @ model.chain.T)
        # what is left is that rates are of the training contacts, not of these
        torch.testing.assert_close(model.slope, slope, atol=0.05, rtol=0.0)
        assert (slope[model.learned] - 1.0).abs().max() > 0.1  # two epochs leave things to mend


def test_rates_are_those_of_the_training_contacts() -> None:
    data, journey = lamp_log(600, seed=7), lamp_shop()
    fitted = fit_world(data, journey, replace(QUICK, members=1), 0, silent)
    rows = fitted.split.train
    features, action = torch.as_tensor(data.features[rows]).T, torch.as_tensor(data.action[rows])
    chance = fitted.world.hazards(features, action)[0].mean(dim=1)
    channels = Heads.of(journey).count_channels(journey)
    logged = (data.amounts[rows][:, channels] > 0).mean(axis=0)
    np.testing.assert_allclose(chance, logged, atol=0.003)


def test_rates_are_those_of_the_training_contacts_after_every_kind_of_action() -> None:
    data, journey = lamp_log(600, seed=7), lamp_shop()
    fitted = fit_world(data, journey, replace(QUICK, members=1), 0, silent)
    for kind in (SEND, WAIT):
        rows = fitted.split.train[data.action[fitted.split.train] == kind]
        features = torch.as_tensor(data.features[rows]).T
        chance = fitted.world.hazards(features, torch.as_tensor(data.action[rows]))[0].mean(dim=1)
        for name in ("clicked", "viewed", "bought"):
            logged = (data.amounts[rows, journey.channel_index(name)] > 0).mean()
            told = float(chance[Heads.of(journey).counts.index(name)])
            # rates of all decisions together leave up to 0.0017
            assert told == pytest.approx(logged, abs=2e-4)


def test_shifts_solve_for_the_rate_and_members_keep_their_own() -> None:
    z, y = torch.zeros(10_000, 1), (torch.arange(10_000) % 5 == 0).float()[:, None]
    nothing, ones = torch.zeros_like(z), torch.ones_like(z)
    assert float(match_rates(z, y, ones, nothing, ones)) == pytest.approx(np.log(1 / 4), abs=0.01)
    drawn = 1.0 + y  # events drawn twice: 1 / 3
    assert float(match_rates(z, y, drawn, nothing, ones)) == pytest.approx(np.log(1 / 2), abs=0.01)


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
