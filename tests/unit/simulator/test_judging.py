"""Worlds are judged on contacts and on days that they were not fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nurture_envs.worlds.learned import LearnedWorld
from nurture_rl.simulator.data import ContactSplit, WorldData
from nurture_rl.simulator.fit import WorldConfig, fit_world
from nurture_rl.simulator.judging import judge, judge_later_days
from nurture_rl.simulator.training_data import training_data
from tests.unit.simulator.lamp_shop import fitted_lamps, lamp_log, lamp_shop, silent
from tests.unit.simulator.test_recording_delays import CHANCE, STAY, log_read_early

JOURNEY = lamp_shop()
BOUGHT = JOURNEY.channel_index("bought")


def ready(data: WorldData) -> tuple[LearnedWorld, ContactSplit]:
    """No fit at all: the world of the other log, as if all rows had been trained on."""
    nobody = np.zeros(0, np.int64)
    return fitted_lamps().world, ContactSplit(np.arange(len(data.action)), nobody, nobody)


def ten_days(seed: int) -> WorldData:
    """600 contacts that enter over ten days and stay for one."""
    data = lamp_log(600, seed)
    return replace(data, when=20_000 + data.cluster % 10)


def test_a_world_is_calibrated_on_days_it_has_not_seen() -> None:
    found = judge_later_days(ten_days(seed=20), ready)
    assert found is not None
    assert found.from_day == 20_008
    assert (found.contacts, found.rows) == (120, 720)
    judged = {head.head: head for head in found.heads}
    assert judged["clicked"].ece < 0.04


def test_days_on_which_people_changed_are_seen_to_be_different() -> None:
    data = ten_days(seed=20)
    amounts = data.amounts.copy()
    amounts[data.when >= 20_008, BOUGHT] = 1.0  # a sale
    found = judge_later_days(replace(data, amounts=amounts), ready)
    assert found is not None
    judged = {head.head: head for head in found.heads}
    assert judged["bought"].ece > 0.7


def test_contacts_that_were_fitted_to_do_not_judge_later_days() -> None:
    data = lamp_log(600, seed=21)  # everybody is there on every day
    assert judge_later_days(replace(data, when=20_000 + data.step), ready) is None


def test_early_contacts_that_were_not_fitted_to_may_judge_later_days() -> None:
    def half(data: WorldData) -> tuple[LearnedWorld, ContactSplit]:
        rows, nobody = np.flatnonzero(data.cluster < 300), np.zeros(0, np.int64)
        return fitted_lamps().world, ContactSplit(rows, nobody, nobody)

    data = lamp_log(600, seed=21)
    found = judge_later_days(replace(data, when=20_000 + data.step), half)
    assert found is not None
    assert found.contacts == 300


@pytest.mark.slow
def test_what_is_not_known_yet_is_not_held_against_a_world() -> None:
    data = training_data(log_read_early(12_000, seed=26), JOURNEY, "none", "fitted").data
    config = WorldConfig(members=1, hidden=(8,), rank=2)
    fitted = fit_world(data, JOURNEY, config, 0, silent)
    judged = {head.head: head for head in fitted.calibration.heads}["bought"]
    assert judged.predicted_rate == pytest.approx(judged.base_rate, rel=0.12)
    rows = fitted.split.judging
    hazard = judge(fitted.world, replace(data, exposure=None), rows, fitted.split.train)
    bought = {head.head: head for head in hazard.heads}["bought"]
    assert bought.predicted_rate == pytest.approx(CHANCE * (1.0 - STAY**8), rel=0.12)
    assert bought.predicted_rate > 1.15 * bought.base_rate  # negative control
