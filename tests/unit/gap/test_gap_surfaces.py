"""Dose, recovery and the half-life of fatigue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from nurture_envs.journey_file import parse_journey
from nurture_rl.simulator.gap.compare import Comparison, ComparisonResult, Estimate, judged
from nurture_rl.simulator.gap.fatigue import half_lives
from nurture_rl.simulator.gap.surfaces import (
    Curve,
    CurvePoint,
    answer_types,
    curve_comparisons,
    curves,
    hour_table,
    leaving_types,
    sends_of,
)
from nurture_rl.simulator.gap.trajectories import FloatArray, Trajectories
from tests.unit.gap.gap_logs import JOURNEY, episodes, random_log
from tests.unit.simulator.lamp_shop import SEND, WAIT

# Sends at midnight and at 15 o'clock; then a pause of one day.
HOURLY = parse_journey(
    {**JOURNEY.resolved, "actions": {"slots": [0, 15], "pauses": [1], "exit": True}}
)
AT_0, AT_15, PAUSE = range(3)


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


@pytest.mark.parametrize(("clicks", "types"), [(49, ()), (50, ("click",))])
def test_fifty_answers_make_a_type_of_answer(clicks: int, types: tuple[str, ...]) -> None:
    clicked = [1.0] * clicks + [0.0] * (200 - clicks)
    log = episodes([1] * 200, [SEND] * 100 + [WAIT] * 100, clicked=clicked)
    assert answer_types(log, JOURNEY) == types


def test_answers_are_counted_by_dose_recovery_and_hour() -> None:
    # Thirty contacts are mailed on four days, at midnight but for the last; n + 9 answer the n-th.
    action = [AT_0, PAUSE] * 3 + [AT_15, PAUSE]
    clicked = np.zeros((30, 8))
    for nth in range(4):
        clicked[: 10 + nth, 2 * nth] = 1.0
    log = episodes([8] * 30, action * 30, clicked=clicked.ravel().tolist())
    world = episodes([8] * 20, action * 20, clicked=clicked[:20].ravel().tolist())
    dose, recovery, hour = curves(log, world, HOURLY, ("click",))
    assert [(point.sends, point.simulated_sends) for point in dose.points] == [(30, 20)] * 4
    simulated = [point.simulated.value for point in dose.points]
    assert simulated == pytest.approx([10 / 20, 11 / 20, 12 / 20, 13 / 20])
    share = [10 / 30, 11 / 30, 12 / 30, 13 / 30]
    assert [point.label for point in dose.points] == [
        "no send in 7 days",
        "1 send in 7 days",
        "2 sends in 7 days",
        "3 or more sends in 7 days",
    ]
    assert [point.x for point in dose.points] == [0.0, 1.0, 2.0, 3.0]
    assert [point.real.value for point in dose.points] == pytest.approx(share)
    assert [point.label for point in hour.points] == ["00:00", "15:00"]
    assert [point.x for point in hour.points] == [0.0, 15.0]
    assert [point.real.value for point in hour.points] == pytest.approx([33 / 90, share[3]])
    first, again, later = recovery.points
    assert (first.label, again.label) == ("the first send", "0 to 2 days after")
    assert first.x == -1.0  # where the page has its tick F
    assert again.x == pytest.approx((1.0 + 1.0 + 1.625) / 3)
    values = [one.real.value for one in (first, again, later)]
    assert values == pytest.approx([share[0], 36 / 90, 36 / 90])


def test_a_place_needs_ten_answers_and_a_send_on_either_side() -> None:
    # The first mail has 10 answers in all, the second 9; the third has 10, in the log alone.
    log, world = np.zeros((30, 6)), np.zeros((30, 4))
    log[:4, 0], log[:4, 2], log[:10, 4] = 1.0, 1.0, 1.0
    world[:6, 0], world[:5, 2] = 1.0, 1.0
    thrice = episodes([6] * 30, [AT_0, PAUSE] * 90, clicked=log.ravel().tolist())
    twice = episodes([4] * 30, [AT_0, PAUSE] * 60, clicked=world.ravel().tolist())
    found = {one.family: one for one in curves(thrice, twice, HOURLY, ("click",))}
    assert "dose" not in found  # one place alone is no curve
    assert [point.label for point in found["recovery"].points] == [
        "the first send",
        "0 to 2 days after",
        "any later send",
    ]


def test_what_follows_no_send_or_only_sends_is_no_answer() -> None:
    clicked = [1.0] * 60 + [0.0] * 60
    for action in (SEND, WAIT):
        assert answer_types(episodes([1] * 120, [action] * 120, clicked=clicked), JOURNEY) == ()


def test_hours_are_tabled_by_weekday_and_hour() -> None:
    monday = 4  # 1 January 1970 was a Thursday
    log = episodes([1] * 4, [AT_0, AT_0, AT_15, PAUSE], clicked=[1, 0, 1, 1])
    log = replace(log, when=np.array([monday, monday, monday + 6, monday]))
    log = log.reweighted(np.array([3.0, 1.0, 0.5, 1.0]))
    table = hour_table(log, log.reweighted(np.ones(4)), HOURLY, "click")
    assert table.shape == (2, 7, 24)
    assert table[:, 0, 0].tolist() == [0.75, 0.5]
    assert table[:, 6, 15].tolist() == [1.0, 1.0]
    assert np.isfinite(table).sum() == 4
    dateless = replace(log, when=None)
    at_once = episodes([1], [SEND], clicked=[1])
    assert np.isnan(hour_table(dateless, dateless, HOURLY, "click")).all()
    assert np.isnan(hour_table(at_once, at_once, JOURNEY, "click")).all()


def test_a_world_answered_more_at_one_place_has_a_gap_above_zero_there() -> None:
    quarter, half = Estimate(0.25, 0.01), Estimate(0.5, 0.01)
    base = CurvePoint("first", 0.0, quarter, quarter, 400, 400)
    (one,) = curve_comparisons(
        (Curve("dose", "click", (base, CurvePoint("next", 1.0, quarter, half, 400, 400))),), 0.25
    )
    assert one.gap == pytest.approx(np.log(3.0))
    fewer = CurvePoint("next", 1.0, half, quarter, 400, 400)
    (other,) = curve_comparisons((Curve("dose", "click", (base, fewer)),), 0.25)
    assert [other.gap, other.real.value] == pytest.approx([-np.log(3.0), np.log(3.0)])


@pytest.mark.parametrize("planted", [1.0, 4.0])
def test_the_half_life_is_recovered_inside_its_interval(planted: float) -> None:
    log = tired(1500, 3, planted)
    found = half_lives(log, tired(3000, 4, planted), JOURNEY, ("click",))
    assert found is not None
    assert found.real.lower <= planted <= found.real.upper
    assert found.p_value > 0.01  # the same fatigue


@pytest.mark.slow
def test_profile_and_deviance_are_those_of_the_likelihood_of_every_send() -> None:
    logs = tired(250, 3, 1.0), tired(250, 4, 6.0, cost=0.7)
    found = half_lives(*logs, JOURNEY, ("click",))
    assert found is not None
    sides = []
    for log in logs:
        sends = sends_of(log, JOURNEY)
        clicked = log.amounts[sends.row, JOURNEY.channel_index("clicked")]
        sides.append((sends.ages, clicked))

    def best(days: float, *some: tuple[FloatArray, FloatArray]) -> float:
        """Greatest log-likelihood with an intercept each and one slope."""
        x = [np.rint(50 * (0.5 ** (ages / days)).sum(axis=1)) / 50 for ages, _ in some]

        def loss(at: FloatArray) -> float:
            logits = [at[1 + i] + at[0] * one for i, one in enumerate(x)]
            return sum(
                float((np.logaddexp(0.0, z) - y * z).sum())
                for z, (_, y) in zip(logits, some, strict=True)
            )

        return -float(minimize(loss, np.zeros(1 + len(some)), tol=1e-8).fun)

    real, world, both = (
        np.array([best(days, *some) for days in found.days])
        for some in (sides[:1], sides[1:], sides)
    )
    assert found.real_profile == pytest.approx(real - real.max(), abs=1e-3)
    assert found.simulated_profile == pytest.approx(world - world.max(), abs=1e-3)
    assert found.deviance == pytest.approx(2 * (real.max() + world.max() - both.max()))
    assert found.freedom == 2
    inside = np.array(found.days)[real >= real.max() - 1.92]
    assert (found.real.lower, found.real.upper) == (inside.min(), inside.max())
    assert found.real.value == found.days[int(real.argmax())]


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


def beside_an_empty_place(sends: int, answered: float = 0.0) -> Comparison:
    """A world that nobody answered at one place; elsewhere log and world are answered alike.

    Or that everybody answered there.
    """
    base = CurvePoint("first", 0.0, Estimate(0.2, 0.01), Estimate(0.2, 0.01), 1600, 1600)
    empty = CurvePoint("second", 1.0, Estimate(0.2, 0.06), Estimate(answered, 0.0), 50, sends)
    return curve_comparisons((Curve("dose", "click", (base, empty)),), 0.25)[0]


def test_no_answer_to_a_few_sends_counts_as_half_an_answer_with_its_error() -> None:
    one = beside_an_empty_place(sends=5)
    # Half of 6 is a share of 1/12: log odds -log(11), against -log(4) of the base.
    assert one.simulated.value == pytest.approx(np.log(4.0) - np.log(11.0))
    # sqrt(p (1 - p) / 5) / (p (1 - p)) with p (1 - p) = 11/144, and 0.01 / 0.16 of the base.
    assert one.simulated.stderr == pytest.approx(np.hypot(np.sqrt(144.0 / 55.0), 0.0625))
    assert judged([one], 0.05)[0].finding is ComparisonResult.UNCLEAR


def test_answers_to_all_of_a_few_sends_lack_half_an_answer() -> None:
    one = beside_an_empty_place(sends=5, answered=1.0)
    # A share of 11/12, with the error of 1/12.
    assert one.simulated.value == pytest.approx(np.log(4.0) + np.log(11.0))
    assert one.simulated.stderr == pytest.approx(np.hypot(np.sqrt(144.0 / 55.0), 0.0625))


def test_no_answer_to_many_sends_still_differs() -> None:
    assert judged([beside_an_empty_place(sends=5000)], 0.05)[0].finding is ComparisonResult.DIFFERS
