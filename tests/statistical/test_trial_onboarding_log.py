"""What is planted in the product-trial world can be read from its logs, and is gone when removed.

Every test knows what a sender would know. Users are alike in what a log does not show (habit and
readiness at entry, best hours), so that the planted size itself is expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pytest
import torch

from nurture_envs.journey_file import load_journey
from nurture_envs.worlds.draws import population_keys
from nurture_envs.worlds.recording import Lateness
from nurture_envs.worlds.reference import RENEWAL_PARAMS, reference_world
from nurture_envs.worlds.trial_onboarding import (
    MILESTONES,
    TOPICS,
    TrialOnboardingParams,
    TrialOnboardingWorld,
)
from nurture_envs.worlds.world import Surroundings, View
from tests.statistical.trial_fits import (
    JOURNEY,
    OPEN,
    PLANTED,
    WAIT,
    Reading,
    buys,
    cancels,
    clicks,
    days,
    level,
    log_of,
    logins,
    milestones,
    parts_of_appeal,
    pressure,
    price_views,
    scale,
    teaches_next,
)
from tests.statistical.world_logs import WorldLog, log_linear, logistic


@dataclass(frozen=True, slots=True)
class Effect:
    """A coefficient of a fit to the log, what is planted, and a log without it."""

    fit: Reading
    column: str
    planted: float
    without: str  # of the logs that lack it


P = PLANTED
EFFECTS = {
    "the goal's topic is clicked": Effect(clicks, "topic", P.mail.topic_pull, "a"),
    "the best hour is clicked": Effect(clicks, "hour", P.mail.hour_pull, "b"),
    "a message shown again is clicked less": Effect(clicks, "repeat", -P.mail.repeat_drag, "c"),
    "the tired click less": Effect(clicks, "fatigue", -P.mail.fatigue_drag, "d"),
    "a lesson brings a login": Effect(logins, "taught", P.login_taught, "a"),
    "a habit brings logins": Effect(logins, "level", P.login_habit * P.habit_milestone, "b"),
    "habits fade": Effect(logins, "day", -P.login_habit * P.fading, "c"),
    "milestones make a habit": Effect(logins, "level", P.login_habit * P.habit_milestone, "d"),
    "any other mail works a little": Effect(milestones, "other", P.milestone_other, "a"),
    "the next milestone's lesson works": Effect(milestones, "taught", P.milestone_taught, "b"),
    "a habit brings milestones": Effect(
        milestones, "level", P.milestone_habit * P.habit_milestone, "c"
    ),
    "few buy after the trial": Effect(buys, "lapsed", P.buy_lapsed, "a"),
    "the end of the trial presses": Effect(buys, "urgency", P.buy_urgency, "b"),
    "who is shown prices buys": Effect(buys, "asked", P.buy_asked, "c"),
    "calls of activated users sell": Effect(buys, "called", P.buy_ready * P.ready_called, "c"),
    "the ready buy": Effect(buys, "called", P.buy_ready * P.ready_called, "d"),
    "milestones sell": Effect(
        buys, "level", P.buy_milestone + P.buy_ready * P.ready_milestone, "e"
    ),
    "the ready look at prices": Effect(
        price_views, "level", P.pricing_ready * P.ready_milestone, "a"
    ),
    "readiness cools": Effect(price_views, "day", -P.pricing_ready * P.cooling, "b"),
    "prices are looked at before the end": Effect(price_views, "urgency", P.pricing_urgency, "c"),
    "milestones make ready": Effect(price_views, "level", P.pricing_ready * P.ready_milestone, "e"),
    "a habit keeps from cancelling": Effect(cancels, "day", P.cancel_habit * P.fading, "a"),
}
# Each removes at most one effect from a channel, or two of different columns.
WITHOUT = {
    "a": replace(
        P,
        mail=replace(P.mail, topic_pull=0.0),
        login_taught=0.0,
        milestone_other=0.0,
        buy_lapsed=0.0,
        pricing_ready=0.0,
        cancel_habit=0.0,
    ),
    "b": replace(
        P,
        mail=replace(P.mail, hour_pull=0.0),
        login_habit=0.0,
        milestone_taught=0.0,
        buy_urgency=0.0,
        cooling=0.0,
    ),
    "c": replace(
        P,
        mail=replace(P.mail, repeat_drag=0.0),
        fading=0.0,
        milestone_habit=0.0,
        buy_asked=0.0,
        ready_called=0.0,
        pricing_urgency=0.0,
    ),
    "d": replace(P, mail=replace(P.mail, fatigue_drag=0.0), habit_milestone=0.0, buy_ready=0.0),
    "e": replace(P, buy_milestone=0.0, ready_milestone=0.0),
}
IDLE = replace(P, gain_share=0.0, use_chance=0.0, pql_chance=0.0, call_chance=0.0)


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_read_from_the_log_and_is_gone_without_its_switch(name: str) -> None:
    effect = EFFECTS[name]
    found = effect.fit(PLANTED)
    assert found.finds(effect.column, effect.planted)
    assert found.sees(effect.column)
    assert not effect.fit(WITHOUT[effect.without]).sees(effect.column)


def test_hour_and_fatigue_scale_what_a_lesson_teaches() -> None:
    planted, flat = (milestones(PLANTED, share).log_likelihood for share in (P.gain_share, 0.0))
    assert planted > flat + 4.0
    planted, flat = (milestones(IDLE, share).log_likelihood for share in (P.gain_share, 0.0))
    assert flat > planted + 4.0


@pytest.mark.parametrize("gain", [1.0, 0.0])
def test_larger_teams_are_readier(gain: float) -> None:
    log = log_of(replace(PLANTED, size_gain=gain))
    size = (np.log(log.attribute("team_size")) - 1.0) / 0.8
    columns = {"size": size, "level": level(log), "day": days(log)} | pressure(log)
    assert logistic(log.happened("converted"), log.open, columns).finds("size", P.buy_ready * gain)


@pytest.mark.parametrize("drag", [1.2, 0.0])
def test_users_who_read_help_pages_are_stuck_only_where_confusion_is_planted(drag: float) -> None:
    # With this many help pages a confused user is known from six days.
    params = replace(PLANTED, confused_share=0.5, help_confused=5.0, confusion_drag=drag)
    log = WorldLog.of(TrialOnboardingWorld(OPEN, params), n=3000, waits=40.0)
    lost = (log.count("viewed_help")[:, :6].sum(axis=1) >= 3)[:, None]
    columns = {"level": level(log), "day": days(log), "lost": lost}
    columns["taught"] = teaches_next(log) * scale(log)
    among = log.happened("logged_in") & (level(log) < len(MILESTONES)) & (days(log) >= 6)
    found = logistic(log.count(*MILESTONES) > 0, among, columns)
    assert found.finds("lost", -drag)
    assert found.sees("lost") == (drag > 0.0)


def test_help_pages_tell_confusion_and_a_call_ends_it() -> None:
    for params in (replace(PLANTED, confused_share=1.0), PLANTED):
        log = log_of(params)
        helped = log.before(log.count("call_held")) > 0
        found = logistic(log.happened("viewed_help"), log.open, {"helped": helped})
        confused = params.confused_share == 1.0
        assert found.finds("base", P.help_base + P.help_confused * confused)
        assert found.finds("helped", -P.help_confused * confused)


@pytest.mark.parametrize("says", [0.6, 0.0])
def test_the_stated_goal_is_the_true_interest_as_often_as_planted(says: float) -> None:
    keen = replace(PLANTED.mail, topic_pull=9.0, click_base=-9.0, hour_pull=0.0)
    log = log_of(replace(PLANTED, goal_says=says, mail=keen))
    taught = log.happened("delivered") & (log.topic(TOPICS) < len(MILESTONES))
    stated = {"stated": log.topic(TOPICS) == log.level("goal", TOPICS[:4])}
    # The goal is the interest with chance s + (1 - s) / 4, any other topic with (1 - s) / 4.
    expected = np.log((says + (1.0 - says) / 4.0) / ((1.0 - says) / 4.0))
    assert log_linear(log.any_of("clicked_"), taught, stated).finds("stated", expected)


@pytest.mark.parametrize("shift", [0.05, 0.0])
def test_interests_move_away_from_the_goal_with_the_planted_chance_a_day(shift: float) -> None:
    keen = replace(PLANTED.mail, topic_pull=9.0, click_base=-9.0, fatigue_drag=0.0)
    keen = replace(keen, hour_pull=0.0, repeat_drag=0.0)
    log = log_of(replace(PLANTED, interest_shift=shift, mail=keen))
    on_goal = log.happened("delivered") & (log.topic(TOPICS) == log.level("goal", TOPICS[:4]))
    still = np.log(0.25 + 0.75 * (1.0 - shift) ** days(log))
    weekday = {"weekday": parts_of_appeal(log)["weekday"]}
    moved = log_linear(log.any_of("clicked_"), on_goal, weekday | {"late": days(log) >= 10})
    late, early = (still[on_goal & side].mean() for side in (days(log) >= 10, days(log) < 10))
    assert moved.finds("late", late - early)


@pytest.mark.parametrize("params", [PLANTED, IDLE])
def test_adopted_features_are_used_on_days_with_a_login_and_no_others(
    params: TrialOnboardingParams,
) -> None:
    log, chance = log_of(params), params.use_chance
    for k, topic in enumerate(TOPICS[: len(MILESTONES)]):
        used, able = log.happened(f"used_{topic}"), log.happened("logged_in") & (level(log) > k)
        assert not used[~able].any()
        share = used[able].mean()
        assert share == pytest.approx(chance, abs=4.0 * sqrt(0.25 / able.sum()))


@pytest.mark.parametrize("params", [PLANTED, IDLE])
def test_only_activated_users_are_qualified_with_the_planted_chance(
    params: TrialOnboardingParams,
) -> None:
    log, chance = log_of(params), params.pql_chance
    fresh = log.open & (log.before(log.count("became_pql")) == 0)
    active = fresh & (level(log) >= 4)
    share = log.happened("became_pql")[active].mean()
    assert share == pytest.approx(chance, abs=4.0 * sqrt(0.25 / active.sum()))
    assert log.happened("became_pql")[fresh & (level(log) == 0)].mean() < 0.005


@pytest.mark.parametrize("params", [PLANTED, IDLE])
def test_calls_are_held_as_often_as_planted(params: TrialOnboardingParams) -> None:
    log, chance = log_of(params), params.call_chance
    made = log.happened("escalated")
    share = log.happened("call_held")[made].mean()
    assert share == pytest.approx(chance, abs=4.0 * sqrt(0.25 / made.sum()))
    assert not log.happened("call_held")[~made].any()


def test_colleagues_tire_and_their_talks_make_ready() -> None:
    world, keys = TrialOnboardingWorld(JOURNEY, PLANTED), population_keys(3, 50)
    start = world.start(keys)
    zeros = torch.zeros(50, dtype=torch.int64)
    wait = zeros + WAIT
    after = [
        world.respond(
            View(torch.zeros(0, 50), wait, zeros, start.anchor_us, start.latent, around), keys
        ).latent
        for around in (Surroundings(), Surroundings(zeros + 2.0, zeros + 1.0, 1.0))
    ]
    torch.testing.assert_close(
        after[1]["fatigue"] - after[0]["fatigue"], zeros + 2.0 * P.account.send_fatigue
    )
    torch.testing.assert_close(
        after[1]["ready"] - after[0]["ready"], zeros + P.account.talk_gain, atol=1e-6, rtol=1e-5
    )


def test_purchases_are_recorded_late_unless_lateness_is_taken_away() -> None:
    column = JOURNEY.channel_index("converted")
    late = TrialOnboardingWorld(JOURNEY).delays[:, column]
    assert 0.2 < float(late[0]) < 0.8
    prompt = replace(TrialOnboardingParams(), purchases_late=Lateness())
    assert float(TrialOnboardingWorld(JOURNEY, prompt).delays[0, column]) == 1.0


def test_customers_before_a_renewal_have_adopted_in_part_and_trial_users_have_not() -> None:
    keys = population_keys(5, 4000)
    renewing = reference_world("renewal").start(keys)
    share = [(renewing.latent["level"] >= k).double().mean() for k in range(1, 5)]
    expected = [1.0 - k / 5.0 for k in range(1, 5)]  # every number of milestones alike
    np.testing.assert_allclose(share, expected, atol=0.03)
    none = replace(RENEWAL_PARAMS, adopted=0.0)
    fresh = TrialOnboardingWorld(load_journey("renewal"), none).start(keys)
    assert not fresh.latent["level"].any()


def test_the_reputation_of_a_sender_falls_with_complaints_and_heals() -> None:
    world = TrialOnboardingWorld(JOURNEY)
    share, totals = torch.tensor(0.8), torch.zeros(len(JOURNEY.channels))
    totals[JOURNEY.channel_index("sent_data")] = 1000.0
    healed = world.next_inbox_share(share, totals)
    totals[JOURNEY.channel_index("complained")] = 10.0
    hurt = world.next_inbox_share(share, totals)
    assert float(hurt) < 0.8 < float(healed)
    assert float(healed - hurt) == pytest.approx(
        0.8 * world.params.reputation.complaint_loss * 0.01, rel=1e-4
    )


SAME = replace(PLANTED, milestone_base=-20.0, buy_base=-20.0, cancel_base=-20.0)


@pytest.mark.parametrize(
    "params, channel",
    [
        (replace(SAME, habit_spread=1.2), "logged_in"),
        (SAME, "logged_in"),
        (replace(SAME, ready_spread=1.2), "viewed_pricing"),
        (SAME, "viewed_pricing"),
    ],
)
def test_users_differ_in_habit_and_readiness_beyond_what_the_sender_knows(
    params: TrialOnboardingParams, channel: str
) -> None:
    log = WorldLog.of(TrialOnboardingWorld(OPEN, params), n=2500, waits=1e6)
    seen = log.count(channel)
    early, late = seen[:, ::2].sum(axis=1), seen[:, 1::2].sum(axis=1)
    correlation = float(np.corrcoef(early, late)[0, 1])
    assert (correlation > 0.1) if params != SAME else (abs(correlation) < 4.0 / sqrt(len(early)))
