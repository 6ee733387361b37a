"""Dose, recovery and the half-life of fatigue."""

from __future__ import annotations

import numpy as np
import pytest

from nurture_rl.simulator.gap.compare import Comparison, Estimate, Finding, judged
from nurture_rl.simulator.gap.fatigue import half_lives
from nurture_rl.simulator.gap.surfaces import (
    Curve,
    CurvePoint,
    answer_types,
    curve_comparisons,
    curves,
    leaving_types,
    sends_of,
)
from nurture_rl.simulator.gap.trajectories import Trajectories
from tests.unit.gap.gap_logs import JOURNEY, episodes, random_log
from tests.unit.simulator.lamp_shop import SEND, WAIT


def tired(contacts: int, seed: int, half_life: float, cost: float = 1.0) -> Trajectories:
    """Contacts whose clicks fall with the fatigue that sends leave, over ten days."""
    rng = np.random.default_rng(seed)
    bins = 20
    action = rng.choice([SEND, WAIT], (contacts, bins), p=[0.3, 0.7])
    fatigue, clicked = np.zeros(contacts), np.zeros((contacts, bins))
    for t in range(bins):
        chance = 1.0 / (1.0 + np.exp(0.4 + cost * fatigue))
        clicked[:, t] = (action[:, t] == SEND) & (rng.random(contacts) < chance)
        fatigue = (fatigue + (action[:, t] == SEND)) * 0.5 ** (0.5 / half_life)
    return episodes([bins] * contacts, action.ravel().tolist(), clicked=clicked.ravel().tolist())


def test_ages_of_earlier_sends_are_in_days_and_stay_inside_the_episode() -> None:
    # Bins of half a day: sends at 0, 1 and 2.5 days, then a new contact's first.
    actions = [SEND, WAIT, SEND, WAIT, WAIT, SEND, SEND]
    sends = sends_of(episodes([6, 1], actions), JOURNEY)
    assert sends.since.tolist() == [np.inf, 1.0, 1.5, np.inf]
    assert sends.ages[2].tolist() == [1.5, 2.5]
    assert sends.dose.tolist() == [0, 1, 2, 0]


def test_what_follows_sends_is_an_answer_and_what_comes_anyway_is_not() -> None:
    log = random_log(300, 0)
    assert answer_types(log, JOURNEY) == ("click",)
    assert leaving_types(log, JOURNEY) == ()


@pytest.mark.parametrize("planted", [1.0, 4.0])
def test_the_half_life_is_recovered_inside_its_interval(planted: float) -> None:
    log = tired(1500, 3, planted)
    found = half_lives(log, tired(3000, 4, planted), JOURNEY, ("click",))
    assert found is not None
    assert found.real.lower <= planted <= found.real.upper
    assert found.p_value > 0.01  # the same fatigue


def test_two_half_lives_do_not_fit_one_fatigue() -> None:
    found = half_lives(tired(1500, 3, 1.0), tired(1500, 4, 6.0), JOURNEY, ("click",))
    assert found is not None
    assert found.p_value < 1e-6
    assert found.apart


def test_a_stronger_fatigue_of_the_same_pace_is_no_other_half_life() -> None:
    real, world = tired(1500, 3, 2.0), tired(1500, 4, 2.0, cost=2.0)
    found = half_lives(real, world, JOURNEY, ("click",))
    assert found is not None
    assert found.p_value < 1e-6  # one fatigue does not fit both
    assert not found.apart


def test_rates_alone_are_no_other_fatigue() -> None:
    real = random_log(1500, 0, click=0.2)
    found = half_lives(real, random_log(1500, 1, click=0.5), JOURNEY, ("click",))
    assert found is not None
    assert found.p_value > 0.01
    shifted = curves(real, random_log(1500, 1, click=0.5), JOURNEY, ("click",))
    gaps = [one.gap / one.stderr for one in curve_comparisons(shifted, 0.25)]
    assert max(np.abs(gaps)) < 4.0


def test_episodes_with_a_single_send_say_nothing_of_fatigue() -> None:
    log = episodes([2, 2], [SEND, WAIT] * 2, clicked=[1, 0, 0, 0])
    assert half_lives(log, log, JOURNEY, ("click",)) is None


def beside_an_empty_place(sends: int) -> Comparison:
    """A world that nobody answered at one place; elsewhere log and world are answered alike."""
    base = CurvePoint("first", 0.0, Estimate(0.2, 0.01), Estimate(0.2, 0.01), 1600, 1600)
    empty = CurvePoint("second", 1.0, Estimate(0.2, 0.06), Estimate(0.0, 0.0), 50, sends)
    return curve_comparisons((Curve("dose", "click", (base, empty)),), 0.25)[0]


def test_no_answer_to_a_few_sends_counts_as_half_an_answer_with_its_error() -> None:
    one = beside_an_empty_place(sends=5)
    # Half of 6 is a share of 1/12: log odds -log(11), against -log(4) of the base.
    assert one.simulated.value == pytest.approx(np.log(4.0) - np.log(11.0))
    # sqrt(p (1 - p) / 5) / (p (1 - p)) with p (1 - p) = 11/144, and 0.01 / 0.16 of the base.
    assert one.simulated.stderr == pytest.approx(np.hypot(np.sqrt(144.0 / 55.0), 0.0625))
    assert judged([one], 0.05)[0].finding is Finding.UNCLEAR


def test_no_answer_to_many_sends_still_differs() -> None:
    assert judged([beside_an_empty_place(sends=5000)], 0.05)[0].finding is Finding.DIFFERS
