"""Asking a reference world what an hour is worth, with hours and weekdays planted by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from experiments.common.played import played_data
from experiments.hours.study import HourQuestion, every_hour, slots_sent, true_hours
from nurture_envs.journey_file import load_journey
from nurture_envs.simulation import Simulation
from nurture_envs.worlds.effects import MailParams
from nurture_envs.worlds.trial_onboarding import TrialOnboardingParams, TrialOnboardingWorld
from nurture_rl.policies.references import Random

JOURNEY = load_journey("trial_onboarding")
PLANTED = MailParams(
    unreachable=0.0,
    topic_pull=0.0,
    hour_pull=2.0,
    best_hours=(23.5, 23.5),
    hour_spread=0.0,
    weekdays=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    open_base=-1.0,
    open_share=1.0,
)
QUESTION = HourQuestion("connect_data", ("opened",), contacts=1000, lucks=8)
LATE, WEDNESDAY = 23, 2


@lru_cache(maxsize=2)
def asked(mail: MailParams) -> np.ndarray:
    params = TrialOnboardingParams(mail=mail, zone_unknown=0.0)
    return true_hours(TrialOnboardingWorld(JOURNEY, params), QUESTION)["opened"]


def open_chance(hour: float, weekday: float) -> float:
    """The planted chance that a human opens a message sent to a good address."""
    k = (12.0 / (np.pi * PLANTED.hour_width)) ** 2
    fit = np.exp(k * (np.cos(2.0 * np.pi * (hour - 23.5) / 24.0) - 1.0))
    return float(PLANTED.delivery / (1.0 + np.exp(1.0 - PLANTED.hour_pull * fit - weekday)))


def test_the_truth_peaks_where_planted_and_midnight_is_no_border() -> None:
    truth = asked(PLANTED)
    for day in range(7):
        assert set(np.argsort(truth[day])[-2:]) == {0, LATE}
    for apart in range(12):  # hours as far before half past 23 as after it
        assert truth[:, LATE - apart] == pytest.approx(truth[:, apart], abs=1e-3)


@pytest.mark.parametrize("hour, day", [(LATE, 0), (11, 0), (3, 5), (LATE, WEDNESDAY)])
def test_the_truth_is_the_planted_chance(hour: int, day: int) -> None:
    weekday = PLANTED.weekdays[day]
    # 8000 answers: four binomial standard deviations are below 0.0224.
    assert asked(PLANTED)[day, hour] == pytest.approx(open_chance(hour, weekday), abs=0.0224)


def test_hours_without_a_pull_are_all_alike_and_days_still_differ() -> None:
    truth = asked(replace(PLANTED, hour_pull=0.0))
    assert np.ptp(truth, axis=1).max() == 0.0
    others = np.delete(truth[:, 0], WEDNESDAY)
    assert truth[WEDNESDAY, 0] > others.max() + 0.1
    assert np.ptp(others) == 0.0


def test_slots_of_a_log_are_the_hours_and_days_it_sends_at() -> None:
    simulation = Simulation(TrialOnboardingWorld(JOURNEY))
    policy = Random(simulation.catalog, (("send", 0.5), ("pause", 0.5)))
    log = played_data(simulation, policy, 150, seed=1)
    sent = slots_sent(log, simulation.catalog)
    assert np.flatnonzero(sent.any(axis=0)).tolist() == [7, 9, 11, 13, 15, 17, 19]
    assert sent.any(axis=1).all()
    waits = replace(log, action=np.full_like(log.action, simulation.catalog.wait))
    assert not slots_sent(waits, simulation.catalog).any()


def test_a_journey_with_every_hour_has_the_features_and_messages_of_the_first() -> None:
    hourly = every_hour(JOURNEY)
    assert hourly.messages == JOURNEY.messages
    assert hourly.channels == JOURNEY.channels
    assert hourly.features == JOURNEY.features
